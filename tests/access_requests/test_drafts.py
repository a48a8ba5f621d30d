"""A draft loses nothing: what is typed is saved or the page says why not, and no window overwrites another."""

import re
from typing import Any

import pytest
from django.test import Client

from access_requests import services
from access_requests.models import Application, State
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from tests.access_requests.people import ANSWERS
from tests.access_requests.samples import EVERY_QUESTION
from tests.access_requests.test_pages import posted, url
from tests.people import signed_in

JSON = {"accept": "application/json"}


def hidden(page: str) -> dict[str, str]:
    """What a page of questions carries beside the answers."""
    pairs = re.findall(r'<input type="hidden" name="(base|form|account)" value="([^"]*)"', page)
    return dict(pairs)


def opened(client: Client, address: str) -> dict[str, str]:
    found = hidden(client.get(address).text)
    assert set(found) == {"base", "form", "account"}
    return found


def autosave(client: Client, address: str, data: dict[str, Any]) -> Any:
    return client.post(address, data, headers=JSON)


def test_the_page_saves_while_one_types(alice: Account, release: Release) -> None:
    client = signed_in(alice)
    page = opened(client, url("apply", "llama"))
    first = autosave(client, url("apply", "llama"), posted(release, publications="One.") | page)
    draft = Application.objects.get()
    assert first.status_code == 200
    assert first.json()["action"] == url("edit", draft.pk)
    page["base"] = first.json()["base"]
    more = posted(release, publications="Two.") | page
    assert autosave(client, first.json()["action"], more).status_code == 200
    draft.refresh_from_db()
    assert draft.answers["publications"] == "Two."


def test_an_answer_that_does_not_fit_is_named_and_nothing_is_saved(
    draft: Application, alice: Account, release: Release
) -> None:
    client = signed_in(alice)
    page = opened(client, url("edit", draft.pk))
    long = posted(release, publications="z" * 5000) | page
    answer = autosave(client, url("edit", draft.pk), long)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert "Publications" in answer.json()["detail"]
    draft.refresh_from_db()
    assert draft.answers == ANSWERS


def test_who_is_signed_out_is_not_told_that_it_is_saved(
    draft: Application, release: Release, client: Client
) -> None:
    answer = autosave(client, url("edit", draft.pk), posted(release, publications="One."))
    assert answer.status_code == 302
    assert answer.url.startswith("/account/login/")


def test_what_one_typed_is_not_saved_to_the_account_that_signed_in_meanwhile(
    alice: Account, mallory: Account, release: Release
) -> None:
    page = opened(signed_in(alice), url("apply", "llama"))
    other = signed_in(mallory)
    for headers in (JSON, {}):
        answer = other.post(url("apply", "llama"), posted(release) | page, headers=headers)
        assert answer.status_code == 403
    assert not Application.objects.exists()


def test_an_older_window_does_not_overwrite_a_newer_one(
    draft: Application, alice: Account, release: Release
) -> None:
    client = signed_in(alice)
    older = opened(client, url("edit", draft.pk))
    newer = opened(client, url("edit", draft.pk))
    client.post(url("edit", draft.pk), posted(release, publications="Newer.") | newer)
    stale = posted(release, publications="Older.") | older
    answer = autosave(client, url("edit", draft.pk), stale)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    response = client.post(url("edit", draft.pk), stale)
    assert response.status_code == 409
    assert "Newer." in response.text  # both are there, and the person chooses
    assert "Older." in response.text
    draft.refresh_from_db()
    assert draft.answers["publications"] == "Newer."
    client.post(url("edit", draft.pk), stale | hidden(response.text))
    draft.refresh_from_db()
    assert draft.answers["publications"] == "Older."


def test_two_windows_of_a_new_application_do_not_overwrite_each_other(
    alice: Account, release: Release
) -> None:
    client = signed_in(alice)
    page = opened(client, url("apply", "llama"))
    client.post(url("apply", "llama"), posted(release, publications="First.") | page)
    other = client.post(url("apply", "llama"), posted(release, publications="Second.") | page)
    assert other.status_code == 409
    assert "First." in other.text
    assert "Second." in other.text
    assert Application.objects.get().answers["publications"] == "First."


def test_a_second_click_on_save_is_no_conflict(alice: Account, release: Release) -> None:
    client = signed_in(alice)
    data = posted(release) | opened(client, url("apply", "llama")) | {"go_on": "1"}
    first, second = (client.post(url("apply", "llama"), data) for _ in range(2))
    assert first.url == second.url == url("licence", Application.objects.get().pk)


@pytest.mark.parametrize("moment", ["own_application", "check"])
def test_a_second_click_on_submit_that_overlaps_the_first_lands_on_the_receipt(
    draft: Application, alice: Account, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from access_requests import views

    client = signed_in(alice)
    data = {"typed_name": alice.name, "text_sha256": draft.family.licence.current.sha256}
    own, newer = views.own_application, views.selectors.newer_form

    def first_click() -> None:
        if Application.objects.get(pk=draft.pk).state == State.DRAFT:
            services.submit(draft.pk, actor=alice, **data)

    def slow_own(*args: Any) -> Application:
        found = own(*args)
        first_click()
        return found

    def slow_newer(application: Application) -> Any:
        first_click()
        return newer(application)

    if moment == "own_application":
        monkeypatch.setattr(views, "own_application", slow_own)
    else:
        monkeypatch.setattr(views.selectors, "newer_form", slow_newer)
    response = client.post(url("licence", draft.pk), data)
    assert response.status_code == 302
    assert response.url == url("application", draft.pk)


def test_opening_a_draft_writes_nothing(
    draft: Application, alice: Account, family: Family, release: Release
) -> None:
    services.make_form(family, EVERY_QUESTION)
    before = Application.objects.filter(pk=draft.pk).values().get()
    client = signed_in(alice)
    page = client.get(url("edit", draft.pk))
    assert "The questions have changed" in page.text
    assert "new question" in page.text
    assert client.get(url("licence", draft.pk)).url == url("edit", draft.pk)
    assert Application.objects.filter(pk=draft.pk).values().get() == before
    data = {"releases": [release.slug], "answers-title": "Negation", **hidden(page.text)}
    assert client.post(url("edit", draft.pk), data).status_code == 302
    draft.refresh_from_db()
    assert draft.form.version == 2
    assert draft.answers["title"] == "Negation"
    assert ANSWERS["research_purpose"] in str(draft.carried["dropped"])


def test_signing_out_clears_what_the_browser_kept(alice: Account, rita: Account) -> None:
    assert "Clear-Site-Data" not in signed_in(alice).get("/account/logout/").headers
    for client, address in (
        (signed_in(alice), "/account/logout/"),
        (signed_in(rita), "/admin/logout/"),
    ):
        assert client.post(address).headers["Clear-Site-Data"] == '"storage"'
