"""The licence manager: what changed, how many grants are touched, and what becomes of them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access_requests import selectors, services
from access_requests.differences import by_words
from access_requests.models import Grant
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.catalog.models import Licence, LicenceVersion, Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code
from tests.access_requests.people import denials, mails_to, verbs
from tests.access_requests.test_grants import shut
from tests.access_requests.test_submit import refusal_of
from tests.people import signed_in

KEEP, REACCEPT, SUSPEND = LicenceVersion.Standing


def test_the_difference_is_shown_word_by_word() -> None:
    pieces = by_words("Use it for research only.\nKeep it.", "Use it for teaching only.\nKeep it.")
    assert [(p.kind, p.text) for p in pieces] == [
        ("same", "Use it for "),
        ("removed", "research"),
        ("added", "teaching"),
        ("same", " only.\nKeep it."),
    ]


def test_equal_texts_differ_in_nothing_and_long_ones_are_cut() -> None:
    assert {piece.kind for piece in by_words("One text.", "One text.")} == {"same"}
    long = "word " * 500
    pieces = by_words(long + "old", long + "new")
    assert [p.kind for p in pieces] == ["same", "skipped", "same", "removed", "added"]
    assert sum(len(p.text.split()) + p.words for p in pieces) == 502


@pytest.mark.parametrize(("standing", "opens"), [(KEEP, True), (REACCEPT, True), (SUSPEND, False)])
def test_a_published_version_does_at_once_what_it_says_and_tells_the_holder_once(
    grant: Grant,
    alice: Account,
    manager: Account,
    licence: Licence,
    release: Release,
    second_release: Release,
    standing: LicenceVersion.Standing,
    opens: bool,
) -> None:
    Grant.objects.create(
        account=alice,
        release=second_release,
        acceptance=grant.acceptance,
        starts_at=grant.starts_at,
        ends_at=grant.ends_at,
    )
    version = services.publish_version(
        licence.pk, actor=manager, text="New text.", standing=standing, reaccept_days=14
    )
    assert (licence.current, version.number) == (version, 2)
    if opens:
        assert selectors.grant_for(alice, release) == grant
    else:
        assert shut(alice, release).code == Code.LICENCE_CHANGED
    assert mails_to(alice).count("licence_changed") == 1
    mail = OutgoingMail.objects.get(template="licence_changed")
    assert (release.name in mail.body, second_release.name in mail.body) == (True, True)
    assert ("/applications/grants/" in mail.body) == (standing != KEEP)
    assert verbs(version) == [Verb.LICENCE_PUBLISHED]


def test_after_the_days_given_the_grant_waits(
    grant: Grant, alice: Account, manager: Account, licence: Licence, release: Release
) -> None:
    version = services.publish_version(
        licence.pk, actor=manager, text="New.", standing=REACCEPT, reaccept_days=14
    )
    version.published_at = timezone.now() - timedelta(days=13)
    version.save(update_fields=["published_at"])
    assert selectors.grant_for(alice, release) == grant
    version.published_at = timezone.now() - timedelta(days=14)
    version.save(update_fields=["published_at"])
    assert shut(alice, release).code == Code.LICENCE_CHANGED
    services.accept_licence(grant.pk, actor=alice, typed_name=alice.name)
    assert selectors.grant_for(alice, release) == grant
    assert Verb.GRANT_REACCEPTED in verbs(grant)


def test_my_access_leads_to_the_new_text_as_long_as_it_waits_to_be_accepted(
    grant: Grant, alice: Account, manager: Account, licence: Licence
) -> None:
    way = f"/applications/grants/{grant.pk}/licence/"
    assert way not in signed_in(alice).get("/applications/").content.decode()
    services.publish_version(
        licence.pk, actor=manager, text="New.", standing=REACCEPT, reaccept_days=14
    )
    page = signed_in(alice).get("/applications/").content.decode()
    assert way in page
    assert f"by {timezone.now() + timedelta(days=14):%-d %b %Y}" in page
    services.accept_licence(grant.pk, actor=alice, typed_name=alice.name)
    assert way not in signed_in(alice).get("/applications/").content.decode()


def test_who_holds_nothing_that_runs_is_not_told(
    grant: Grant, alice: Account, manager: Account, licence: Licence
) -> None:
    services.revoke(grant.pk, actor=manager, reason="Shared.")
    assert selectors.grants_touched_by(licence).count() == 0
    services.publish_version(licence.pk, actor=manager, text="New.", standing=SUSPEND)
    assert "licence_changed" not in mails_to(alice)


def test_only_a_manager_publishes_a_version(
    licence: Licence, alice: Account, rita: Account, mallory: Account
) -> None:
    for actor in (alice, rita, mallory):
        refusal = refusal_of(
            services.publish_version, licence.pk, actor=actor, text="New.", standing=KEEP
        )
        assert refusal.code == Code.NOT_FOUND
        renamed = refusal_of(
            services.describe_licence, licence.pk, actor=actor, name="Mine", summary=""
        )
        assert renamed.code == Code.NOT_FOUND
    assert licence.versions.count() == 1
    assert len(denials(licence)) == 6


@pytest.mark.parametrize(
    ("text", "standing", "days", "field"),
    [
        (" ", KEEP, 30, "text"),
        ("# For research\r\n\r\nNot for commerce.\n", KEEP, 30, "text"),
        ("New.", REACCEPT, 0, "reaccept_days"),
        ("New.", REACCEPT, 366, "reaccept_days"),
    ],
)
def test_a_version_that_says_nothing_new_is_not_published(
    licence: Licence,
    manager: Account,
    text: str,
    standing: LicenceVersion.Standing,
    days: int,
    field: str,
) -> None:
    refusal = refusal_of(
        services.publish_version,
        licence.pk,
        actor=manager,
        text=text,
        standing=standing,
        reaccept_days=days,
    )
    assert field in refusal.fields
    assert licence.versions.count() == 1


def test_the_manager_previews_the_change_and_then_publishes_it(
    grant: Grant, manager: Account, licence: Licence, alice: Account, release: Release
) -> None:
    desk = signed_in(manager)
    page = f"/admin/catalog/licence/{licence.pk}/change/"
    act = f"/admin/catalog/licence/{licence.pk}/act/"
    assert f"/admin/catalog/licence/{licence.pk}/" in desk.get("/admin/catalog/licence/").text
    assert "Standing grants under this licence now: 1" in desk.get(page).text
    given = {
        "text": "# For research\r\n\r\nNot for war.",
        "standing": "suspend",
        "reaccept_days": "30",
    }
    shown = desk.post(f"{act}preview/", given)
    assert "<del>commerce.</del><ins>war.</ins>" in shown.text
    assert "1 standing grant of 1 holder" in shown.text
    assert licence.versions.count() == 1
    assert desk.post(f"{act}publish/", given).status_code == 302
    assert shut(alice, release).code == Code.LICENCE_CHANGED
    again = desk.post(f"{act}publish/", given)
    assert (again.status_code, licence.versions.count()) == (400, 2)
    assert "Changed since version 1" in desk.get(page).text
    empty = desk.post(f"{act}preview/", {**given, "text": ""})
    assert empty.status_code == 422


def test_the_manager_makes_a_licence_with_its_first_text_and_renames_it(manager: Account) -> None:
    desk = signed_in(manager)
    given = {"name": "Open", "slug": "open", "summary": "", "text": "Do what you like."}
    assert desk.post("/admin/catalog/licence/add/", given).status_code == 302
    made = Licence.objects.get(slug="open")
    assert made.current.text == "Do what you like."
    act = f"/admin/catalog/licence/{made.pk}/act/about/"
    assert desk.post(act, {"name": "Open licence", "summary": "All."}).status_code == 302
    made.refresh_from_db()
    assert (made.name, made.summary) == ("Open licence", "All.")


def test_the_licence_manager_is_for_managers_alone(
    licence: Licence, rita: Account, alice: Account, mallory: Account
) -> None:
    for other in (rita, alice, mallory):
        browser = signed_in(other)
        for address in ("", "add/", f"{licence.pk}/change/"):
            assert browser.get(f"/admin/catalog/licence/{address}").status_code in (302, 403, 404)
        given = {"text": "Mine.", "standing": "keep", "reaccept_days": "30"}
        for action in ("preview", "publish", "about"):
            answer = browser.post(f"/admin/catalog/licence/{licence.pk}/act/{action}/", given)
            assert answer.status_code in (302, 403, 404)
    assert licence.versions.count() == 1
