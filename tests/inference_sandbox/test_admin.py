"""Managers see that a run was, and never what was said."""

from django.urls import reverse

from inference_sandbox.models import Run
from portal.accounts.models import Account
from tests.inference_sandbox.conftest import Prompt
from tests.people import signed_in

LIST = reverse("admin:inference_sandbox_run_changelist")


def test_a_manager_sees_the_runs_but_no_text(prompt: Prompt, manager: Account) -> None:
    run = prompt(prompt="A private thought")
    Run.objects.filter(pk=run.pk).update(output="A private answer")
    client = signed_in(manager)
    detail = reverse("admin:inference_sandbox_run_change", args=[run.pk])
    for url in (LIST, detail):
        text = client.get(url).content.decode()
        assert "Tiny" in text or run.release.repo_id in text
        assert "private" not in text
        assert str(len("A private thought")) in text


def test_nobody_changes_or_deletes_a_run_there(prompt: Prompt, manager: Account) -> None:
    run = prompt()
    client = signed_in(manager)
    assert client.get(reverse("admin:inference_sandbox_run_add")).status_code == 403
    deletion = reverse("admin:inference_sandbox_run_delete", args=[run.pk])
    assert client.post(deletion, {"post": "yes"}).status_code == 403
    assert Run.objects.filter(pk=run.pk).exists()


def test_reviewers_and_strangers_do_not_see_the_runs(
    prompt: Prompt, rita: Account, mallory: Account
) -> None:
    prompt()
    assert signed_in(rita).get(LIST).status_code == 403
    assert signed_in(mallory).get(LIST).status_code == 302
