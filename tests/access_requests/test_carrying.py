"""Answers that move to a newer form, or into a new application."""

from typing import Any

from access_requests import services
from access_requests.models import Application
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from tests.access_requests.people import ANSWERS
from tests.access_requests.samples import EVERY_QUESTION, GOOD, PDF, upload
from tests.access_requests.test_submit import refusal_of
from tests.people import signed_in

NEWER: list[dict[str, Any]] = [
    {"key": "title", "label": "Title of the work", "type": "text", "required": True},
    {"key": "gpus", "label": "GPUs", "type": "choice", "choices": [["few", "Few"]]},
    {"key": "letter", "label": "Letter", "type": "attachment"},
    {"key": "ethics", "label": "Ethics board", "type": "text"},
]


def begun(alice: Account, family: Family, release: Release) -> Application:
    services.make_form(family, EVERY_QUESTION)
    draft = services.start(actor=alice, releases=[release], answers=GOOD)
    services.attach(draft.pk, "letter", upload(PDF), actor=alice)
    draft.refresh_from_db()
    return draft


def test_a_draft_moves_to_the_newer_form_when_it_is_saved_and_loses_nothing(
    alice: Account, family: Family, release: Release
) -> None:
    draft = begun(alice, family, release)
    newer = services.make_form(family, NEWER)
    page = signed_in(alice).get(f"/applications/{draft.pk}/edit/").text
    letter = draft.answers["letter"]
    services.save_draft(draft.pk, actor=alice, form=newer)  # as the page's next save does
    draft.refresh_from_db()
    assert draft.form == newer
    assert draft.answers == {"title": "Negation", "letter": letter}
    assert draft.carried["new"] == ["ethics"]
    assert draft.carried["changed"] == ["title", "gpus"]
    assert ["GPUs", "4"] in draft.carried["dropped"]
    assert page.count("new question") == 1
    assert page.count("changed question") == 2
    assert "Probe it." in page  # no longer asked; to copy
    again = signed_in(alice).get(f"/applications/{draft.pk}/edit/").text
    assert "new question" in again  # until it is submitted
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    draft.refresh_from_db()
    assert draft.carried == {}


def test_the_licence_page_shows_what_is_new_first(
    alice: Account, family: Family, release: Release
) -> None:
    draft = begun(alice, family, release)
    client = signed_in(alice)
    assert client.get(f"/applications/{draft.pk}/licence/").status_code == 200
    services.make_form(family, NEWER)
    response = client.get(f"/applications/{draft.pk}/licence/")
    assert response.url == f"/applications/{draft.pk}/edit/"
    services.save_draft(draft.pk, actor=alice, form=family.forms.get(version=2))
    assert client.get(f"/applications/{draft.pk}/licence/").status_code == 200


def test_what_was_submitted_stays_on_its_form(
    returned: Application, alice: Account, mallory: Account, family: Family
) -> None:
    newer = services.make_form(family, NEWER)
    services.save_draft(returned.pk, actor=alice, form=newer)
    returned.refresh_from_db()
    assert returned.form.version == 1
    denied = refusal_of(services.save_draft, returned.pk, actor=mallory, form=newer)
    assert denied.status == 404


def test_a_new_application_can_start_from_the_last_one(
    refused: Application, alice: Account, release: Release
) -> None:
    client = signed_in(alice)
    Application.objects.filter(pk=refused.pk).update(state="withdrawn")
    empty = client.get("/applications/new/llama/?release=llama-7b").text
    assert f"?from={refused.pk}&amp;release=llama-7b" in empty
    assert ANSWERS["research_purpose"] not in empty
    Application.objects.filter(pk=refused.pk).update(state="refused")
    status_page = client.get(f"/applications/{refused.pk}/").text
    assert f"/applications/new/llama/?from={refused.pk}" in status_page
    filled = client.get(f"/applications/new/llama/?from={refused.pk}&release=llama-7b").text
    assert ANSWERS["research_purpose"] in filled
    assert f"Filled in from {refused.reference}" in filled
    assert f"Filled in from {refused.reference}" in client.get("/applications/new/llama/").text
    assert Application.objects.count() == 1  # nothing is made before the first save


def test_nobody_starts_from_the_answers_of_another(
    refused: Application, mallory: Account, second_reviewer: Account
) -> None:
    from portal.accounts.models import Affiliation

    for other in (mallory, second_reviewer):
        Affiliation.objects.create(
            account=other, category="academia", institution="U", country="NL", position="x"
        )
        page = signed_in(other).get(f"/applications/new/llama/?from={refused.pk}")
        assert page.status_code == 200
        assert ANSWERS["research_purpose"] not in page.text
        assert "Start from your last application" not in page.text
    for odd in ("x", "-1", "9" * 30, "\0", "²"):
        assert signed_in(mallory).get("/applications/new/llama/", {"from": odd}).status_code == 200
