"""Withdrawn, replaced, taken down, restored: who gets what, and who is told."""

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from access_requests.models import Grant
from distribution import selectors, services
from distribution.models import Artifact, Download, Revision
from distribution.services import issue_links, publish_folder, take_down
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.selectors import history
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.distribution.asking import ask
from tests.distribution.weights import granted
from tests.people import signed_in
from tests.portal.test_mails_reference import read_well


@pytest.fixture
def grant(alice: Account, revision: Revision) -> Grant:
    return granted(alice, revision.release)


def downloads(alice: Account, release: Release) -> str:
    """Alice has the shard; the link she had it with."""
    links = {link.path: link.url for link in issue_links(release, actor=alice)}
    assert ask(links["consolidated.00.pth"]).status == 200
    return links["consolidated.00.pth"]


def replaced(folder: Path, **more: Any) -> Revision:
    (folder / "tokenizer.model").write_bytes(b"mended")
    (folder / "NOTES.md").write_text("new")
    return publish_folder(folder, repo_id="meta/llama-7b", actor=None, **more).revision


def refused(code: Code, act: Any, *args: Any, **kwargs: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        act(*args, **kwargs)
    assert caught.value.code == code
    return caught.value


# ---- replaced ------------------------------------------------------------------------------------


def test_who_downloaded_the_old_revision_is_told_what_differs(
    grant: Grant, revision: Revision, folder: Path, alice: Account, mallory: Account
) -> None:
    granted(mallory, revision.release)  # who never downloaded anything
    downloads(alice, revision.release)
    assert not OutgoingMail.objects.exists()
    new = replaced(folder, note="The tokenizer lacked a token.")
    mail = OutgoingMail.objects.get()
    assert (mail.template, mail.to) == ("revision_replaced", alice.email)
    for text in (
        "The tokenizer lacked a token.",
        "2 files differ:",
        "- NOTES.md is new\n- tokenizer.model has changed",
        revision.digest[:12],
        new.digest[:12],
        "/releases/llama-7b/files/",
    ):
        assert text in mail.body
    read_well(mail)


def test_nobody_is_told_twice_nor_of_what_they_do_not_have(
    grant: Grant, revision: Revision, folder: Path, alice: Account
) -> None:
    replaced(folder)
    assert not OutgoingMail.objects.exists(), "nobody had downloaded it"
    downloads(alice, Release.objects.get())
    publish_folder(folder, repo_id="meta/llama-7b", actor=None)  # the same again
    assert not OutgoingMail.objects.exists()


def test_an_older_revision_is_put_in_place_again(
    grant: Grant, revision: Revision, folder: Path, alice: Account, manager: Account
) -> None:
    new = replaced(folder)
    downloads(alice, Release.objects.get())
    assert services.make_current(revision.pk, actor=manager, note="").changed
    release = Release.objects.get()
    assert selectors.current_revision(release) == revision
    assert selectors.revision_named(release, new.digest) == new, "the other can still be had"
    assert "NOTES.md is gone" in OutgoingMail.objects.get().body
    assert not services.make_current(revision.pk, actor=manager).changed
    assert OutgoingMail.objects.count() == 1


# ---- taken down ----------------------------------------------------------------------------------


def test_what_is_taken_down_opens_by_no_link_and_no_name(
    grant: Grant, revision: Revision, alice: Account, manager: Account
) -> None:
    link = downloads(alice, revision.release)
    take_down(revision.pk, actor=manager, reason="It holds a person's data.")
    answer = ask(link)
    assert (answer.status, answer.headers["X-Error-Code"]) == (403, "taken_down")
    assert "It holds a person's data." in answer.text
    release = Release.objects.get()
    shard = Artifact.objects.get(path="consolidated.00.pth")
    refused(Code.TAKEN_DOWN, issue_links, release, actor=alice)
    refused(Code.TAKEN_DOWN, services.issue_link, shard, grant=grant, actor=alice)
    for name in ("main", revision.digest, revision.digest[:8]):
        refused(Code.TAKEN_DOWN, selectors.revision_named, release, name)
    mail = OutgoingMail.objects.get()
    assert (mail.template, mail.to) == ("revision_taken_down", alice.email)
    assert "It holds a person's data." in mail.body
    read_well(mail)
    event = history(release).filter(verb=Verb.REVISION_TAKEN_DOWN).get()
    assert (event.actor, event.data["digest"]) == (manager, revision.digest)
    refused(Code.WRONG_STATE, take_down, revision.pk, actor=manager, reason="again")
    page = signed_in(alice).get("/releases/llama-7b/files/")
    assert "was taken down" in page.content.decode()


def test_a_new_revision_takes_its_place_and_the_old_one_stays_down(
    grant: Grant, revision: Revision, folder: Path, alice: Account
) -> None:
    take_down(revision.pk, actor=None, reason="Wrong weights.")
    refused(Code.WRONG_STATE, publish_folder, folder, repo_id="meta/llama-7b", actor=None)
    new = replaced(folder)
    release = Release.objects.get()
    assert selectors.current_revision(release) == new
    assert downloads(alice, release)
    refused(Code.TAKEN_DOWN, selectors.revision_named, release, revision.digest)
    refused(Code.WRONG_STATE, services.make_current, revision.pk, actor=None)


def test_another_revision_of_the_release_is_not_touched(
    grant: Grant, revision: Revision, folder: Path, alice: Account
) -> None:
    replaced(folder)
    take_down(revision.pk, actor=None, reason="Old and wrong.")
    assert downloads(alice, Release.objects.get())


def test_restored_the_same_links_open_again(
    grant: Grant, revision: Revision, alice: Account, manager: Account
) -> None:
    link = downloads(alice, revision.release)
    refused(Code.WRONG_STATE, services.restore_revision, revision.pk, actor=manager)
    take_down(revision.pk, actor=manager, reason="A look is needed.")
    services.restore_revision(revision.pk, actor=manager)
    assert ask(link).status == 200
    verbs = set(history(revision.release).values_list("verb", flat=True))
    assert {Verb.REVISION_TAKEN_DOWN, Verb.REVISION_RESTORED} <= verbs


# ---- withdrawn and restored ----------------------------------------------------------------------


def test_a_withdrawn_release_is_restored_as_it_was(
    grant: Grant, revision: Revision, alice: Account, manager: Account
) -> None:
    link = downloads(alice, revision.release)
    services.withdraw(revision.release_id, actor=manager, reason="Wrong weights.")
    assert ask(link).headers["X-Error-Code"] == "withdrawn"
    release = services.restore(revision.release_id, actor=manager)
    assert release.is_published
    assert ask(link).status == 200
    refused(Code.WRONG_STATE, services.restore, release.pk, actor=manager)
    assert history(release).last().verb == Verb.RELEASE_RESTORED


def test_one_that_never_had_weights_is_announced_again(release: Release, manager: Account) -> None:
    services.withdraw(release.pk, actor=manager, reason="Wrong weights.")
    assert services.restore(release.pk, actor=manager).status == Release.Status.ANNOUNCED


@pytest.mark.parametrize("who", ["alice", "rita"])
def test_only_managers_do_any_of_it(
    revision: Revision, who: str, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(who)
    for act in (
        lambda: services.restore(revision.release_id, actor=person),
        lambda: services.restore_revision(revision.pk, actor=person),
        lambda: services.make_current(revision.pk, actor=person),
        lambda: take_down(revision.pk, actor=person, reason="x"),
    ):
        refused(Code.NOT_ALLOWED, act)
    revision.refresh_from_db()
    assert revision.taken_down_at is None


# ---- as it is typed, and as it is pressed --------------------------------------------------------


def test_the_commands(revision: Revision, folder: Path) -> None:
    def run(*words: str) -> str:
        out = StringIO()
        call_command(*words, stdout=out)
        return out.getvalue()

    assert "took meta/llama-7b@" in run("take_down", "meta/llama-7b", "--reason=Wrong.")
    with pytest.raises(CommandError, match="taken down already"):
        run("take_down", "meta/llama-7b", "--reason=Wrong.")
    prefix = revision.digest[:9]
    assert "restored meta/llama-7b@" in run("restore", "meta/llama-7b", f"--revision={prefix}")
    with pytest.raises(CommandError, match="no one revision 'v9'"):
        run("take_down", "meta/llama-7b", "--revision=v9", "--reason=Wrong.")
    with pytest.raises(CommandError, match="is not withdrawn"):
        run("restore", "meta/llama-7b")
    with pytest.raises(CommandError, match="--reason"):
        run("withdraw", "meta/llama-7b")
    run("withdraw", "meta/llama-7b", "--reason=Wrong.")
    assert "restored meta/llama-7b" in run("restore", "meta/llama-7b")


def test_the_buttons(grant: Grant, revision: Revision, folder: Path, manager: Account) -> None:
    new = replaced(folder, tag="v2")
    client = signed_in(manager)

    def page(which: Revision) -> str:
        return client.get(f"/admin/distribution/revision/{which.pk}/change/").content.decode()

    def press(which: Revision, action: str, **data: str) -> int:
        url = f"/admin/distribution/revision/{which.pk}/act/{action}/"
        return client.post(url, data).status_code

    assert "Make it the current one" in page(revision)
    assert "Make it the current one" not in page(new)
    assert "v2" in page(new)
    assert "original LLaMA layout" in page(new)
    assert "safetensors (config.json" not in page(new)
    assert press(revision, "make_current", note="Back.") == 302
    assert selectors.current_revision(Release.objects.get()) == revision
    assert press(new, "explode") == 400
    assert client.get("/admin/distribution/revision/").status_code == 200


def test_reviewers_have_no_such_page(revision: Revision, rita: Account) -> None:
    client = signed_in(rita)
    assert client.get(f"/admin/distribution/revision/{revision.pk}/change/").status_code in (
        302,
        403,
        404,
    )
    confirmed = {"reason": "x", "confirm": "meta/llama-7b"}
    for url in (
        take_down_page(revision),
        *(f"{release_page(revision)}{act}/" for act in ("withdraw", "take_down", "restore")),
    ):
        assert client.get(url).status_code in (302, 403, 404)
        assert client.post(url, confirmed).status_code in (302, 403, 404)
    assert Artifact.objects.filter(revision__taken_down_at=None).exists()
    assert Release.objects.get().is_published


# ---- from the release, with a confirmation --------------------------------------------------------


def take_down_page(revision: Revision) -> str:
    return f"/admin/distribution/revision/{revision.pk}/take_down/"


def release_page(revision: Revision) -> str:
    return f"/admin/catalog/release/{revision.release_id}/"


def test_the_release_and_its_list_lead_to_withdraw_and_take_down(
    revision: Revision, manager: Account
) -> None:
    client = signed_in(manager)
    for page in ("/admin/catalog/release/", f"{release_page(revision)}change/"):
        shown = client.get(page).content.decode()
        for act in ("withdraw", "take_down"):
            assert f'href="{release_page(revision)}{act}/"' in shown
    to = client.get(f"{release_page(revision)}take_down/")
    assert (to.status_code, to["Location"]) == (302, take_down_page(revision))


def test_withdrawing_says_what_it_touches_and_wants_a_reason_and_the_name(
    grant: Grant, revision: Revision, alice: Account, mallory: Account, manager: Account
) -> None:
    now = timezone.now()
    granted(mallory, revision.release, ends_at=now)  # ended: not counted
    Download.objects.create(
        grant=grant, artifact=revision.artifacts.first(), busy_until=now + timedelta(minutes=1)
    )
    client, url = signed_in(manager), f"{release_page(revision)}withdraw/"
    page = client.get(url).content.decode()
    for words in ("1 person holds a grant", "1 running", "0 runs are queued or running"):
        assert words in page
    for data in (
        {},
        {"reason": "Leaked."},
        {"reason": "Leaked.", "confirm": "meta/llama-8b"},
        {"reason": " ", "confirm": "meta/llama-7b"},
    ):
        refused = client.post(url, data)
        assert refused.status_code == 422
        assert data.get("reason", "") in refused.content.decode(), "what was typed comes back"
    assert Release.objects.get().is_published
    assert client.post(url, {"reason": "Leaked.", "confirm": "meta/llama-7b"}).status_code == 302
    event = history(revision.release).get(verb=Verb.RELEASE_WITHDRAWN)
    assert (event.actor, event.data["reason"]) == (manager, "Leaked.")
    again = client.post(url, {"reason": "Leaked.", "confirm": "meta/llama-7b"})
    assert again.status_code == 409
    assert "is withdrawn already" in again.content.decode()


def test_a_withdrawn_release_is_restored_from_its_page(
    revision: Revision, manager: Account
) -> None:
    services.withdraw(revision.release_id, actor=manager, reason="Wrong.")
    client = signed_in(manager)
    shown = client.get(f"{release_page(revision)}change/").content.decode()
    assert f'href="{release_page(revision)}restore/"' in shown
    assert f'href="{release_page(revision)}withdraw/"' not in shown
    data = {"reason": "A false alarm.", "confirm": "meta/llama-7b"}
    assert client.post(f"{release_page(revision)}restore/", data).status_code == 302
    assert Release.objects.get().is_published
    event = history(revision.release).get(verb=Verb.RELEASE_RESTORED)
    assert event.data["reason"] == "A false alarm."


def test_taking_down_says_what_it_touches_and_wants_a_reason_and_the_name(
    grant: Grant, revision: Revision, alice: Account, manager: Account
) -> None:
    downloads(alice, revision.release)
    client, url = signed_in(manager), take_down_page(revision)
    page = client.get(url).content.decode()
    assert "1 person downloaded it" in page
    assert client.post(url, {"reason": "Wrong."}).status_code == 422
    revision.refresh_from_db()
    assert revision.taken_down_at is None
    confirmed = {"reason": "Wrong.", "confirm": "meta/llama-7b"}
    assert client.post(url, confirmed).status_code == 302
    revision.refresh_from_db()
    assert revision.taken_down_reason == "Wrong."
    event = history(revision.release).get(verb=Verb.REVISION_TAKEN_DOWN)
    assert (event.actor, event.data["reason"]) == (manager, "Wrong.")
    assert client.post(url, confirmed).status_code == 409
    assert (
        take_down_page(revision)
        not in client.get(f"/admin/distribution/revision/{revision.pk}/change/").content.decode()
    )


def test_no_reason_no_withdrawal(revision: Revision, manager: Account) -> None:
    refused(Code.INVALID, services.withdraw, revision.release_id, actor=manager, reason=" ")
    refused(Code.INVALID, take_down, revision.pk, actor=manager, reason="")
    assert Release.objects.get().is_published
