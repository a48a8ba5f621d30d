"""One box over names, institutions and answers; both databases find the same."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.db import connection

from access_requests import search_index, selectors, services
from access_requests.models import Application
from access_requests.search_words import words_of
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.people import ANSWERS, applicant
from tests.people import signed_in

QUEUE = "/admin/access_requests/application/"


def found(text: str) -> list[Application]:
    return list(selectors.search(selectors.submitted(), text))


@pytest.fixture
def theirs(release: Release) -> Application:
    """Of Łukasz Müller-García in Göttingen, handed in."""
    account = applicant("lukas", institution="Georg-August-Universität Göttingen")
    account.name = "Łukasz Müller-García"
    account.save()
    answers = {**ANSWERS, "research_purpose": "Does the café hypothesis hold for x-ray corpora?"}
    draft = services.start(actor=account, releases=[release], answers=answers)
    return services.submit(draft.pk, actor=account, typed_name=account.name)


@pytest.mark.parametrize(
    "text",
    [
        "Łukasz",
        "lukasz",
        "muller-garcia",
        "MÜLLER",
        "göttingen",
        "gottingen universitat",
        "café",
        "CAFE hypothesis",
        "hypoth",  # the beginning of a word
        "gött caf",
        "lukas@lab.test",
        "postdoc",
        "netherlands",
        "x-ray",
        "outputs paper",  # the label of a choice, as it is read
    ],
)
def test_it_finds_by_name_institution_and_answers(
    theirs: Application, submitted: Application, text: str
) -> None:
    assert theirs in found(text)


def test_it_finds_by_the_reference(theirs: Application, submitted: Application) -> None:
    assert found(theirs.reference) == [theirs]


@pytest.mark.parametrize(
    "form", ["WB-{:06d}", "wb-{:06d}", "WB-{}", "wb{}", " wb {} ", "WB \u2013 {:06d}"]
)
def test_a_reference_is_found_as_people_type_it_in_any_state_and_tab(
    approved: Application, rita: Account, form: str
) -> None:
    text = form.format(approved.pk)
    for place in ("", "&tab=queue", "&tab=mine", "&state=submitted", "&state=all"):
        page = signed_in(rita).get(f"{QUEUE}?q={quote(text)}{place}").text
        assert f"{approved.reference}</a>" in page, place
    grants = signed_in(rita).get(f"/admin/access_requests/grant/?q={quote(text)}").text
    assert approved.grants.get().account.email in grants
    other = signed_in(rita).get(f"{QUEUE}?q={quote(form.format(approved.pk + 1))}&state=all").text
    assert f"{approved.reference}</a>" not in other


def test_the_reference_of_a_draft_is_not_found(draft: Application, rita: Account) -> None:
    page = signed_in(rita).get(f"{QUEUE}?q={draft.reference}&state=all").text
    assert f"{draft.reference}</a>" not in page


@pytest.mark.parametrize("text", ["gottingen mallory", "ottingen", "nowhere", "?!", "\0"])
def test_every_word_must_be_there_from_its_beginning(theirs: Application, text: str) -> None:
    assert found(text) == []


def test_an_empty_search_leaves_the_list_as_it_is(theirs: Application) -> None:
    assert found("") == [theirs]


@pytest.mark.parametrize(
    "text",
    ['"', "'; drop table x; --", "a OR b*", "NEAR(a b)", "-", "a:*", "(", "%", "\\", "x" * 999],
)
def test_what_is_typed_is_words_and_no_language(theirs: Application, text: str) -> None:
    assert isinstance(found(text), list)


def test_what_reviewers_type_on_the_page_is_found_there(
    theirs: Application, submitted: Application, rita: Account
) -> None:
    page = signed_in(rita).get(QUEUE, {"q": "gottingen"}).content.decode()
    assert theirs.reference in page
    assert submitted.reference not in page


def test_drafts_are_never_found(draft: Application, rita: Account) -> None:
    assert draft.search_text == ""
    assert not selectors.search(Application.objects.all(), "negation").exists()
    for query in ("", "&state=all", "&state=draft"):
        page = signed_in(rita).get(f"{QUEUE}?q=negation{query}").content.decode()
        assert draft.reference not in page


def test_a_correction_is_found_once_it_is_handed_in_again(
    returned: Application, alice: Account
) -> None:
    answers = {**ANSWERS, "research_purpose": "How do they represent quantifiers?"}
    services.save_draft(returned.pk, actor=alice, answers=answers)
    assert not found("quantifiers")
    assert found("negation")
    services.submit(returned.pk, actor=alice, typed_name=alice.name)
    assert found("quantifiers")
    assert not found("negation")


def test_a_person_with_a_new_name_is_found_by_it(returned: Application, alice: Account) -> None:
    services.save_draft(
        returned.pk, actor=alice, answers={**ANSWERS, "research_purpose": "Still typing."}
    )
    alice.name = "Alice Newname"
    alice.save()
    assert found("newname negation") == [returned]
    assert not found("typing")


def test_saving_something_else_of_an_account_reads_no_applications(
    submitted: Application, alice: Account, django_assert_num_queries: Callable
) -> None:
    with django_assert_num_queries(1):
        alice.save(update_fields=["last_login"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Łukasz Müller-García", ["lukasz", "muller", "garcia"]),
        ("Straße ø_1", ["strasse", "o", "1"]),
        ("ﬁne-tuning", ["fine", "tuning"]),
        ("WB-000012", ["wb", "000012"]),
        ("", []),
    ],
)
def test_words_are_small_and_without_accents(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL keeps its index itself")
def test_an_index_that_a_migration_lost_is_made_again(submitted: Application) -> None:
    with connection.cursor() as cursor:
        for name in search_index.TRIGGERS:
            cursor.execute(f"DROP TRIGGER {name}")
    Application.objects.filter(pk=submitted.pk).update(search_text="quite other words")
    call_command("migrate", verbosity=0)
    assert found("quite other")
    assert not found("negation")
    Application.objects.filter(pk=submitted.pk).update(search_text="and again others")
    assert found("again")
    assert not found("quite")
