"""Prompts and answers go when they have reached their age, and the pages say when that is."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from inference_sandbox import keeping, repeating, reports, retention, stream
from inference_sandbox.models import Report, Run, RunTokens
from inference_sandbox.stream import Kind, Writer
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.celery import app
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt
from tests.people import signed_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def aged(prompt: Prompt) -> Any:
    def make(days: int, status: str = "finished") -> Run:
        run = prompt(prompt=f"{days} days ago")
        when = timezone.now() - timedelta(days=days)
        Run.objects.filter(pk=run.pk).update(
            status=status, output="Once", output_ids=[1], note="Hm.", created_at=when
        )
        RunTokens.objects.create(run=run, output=[[1, "Once", -1.0, 1.0, []]])
        run.refresh_from_db()
        return run

    return make


def test_old_texts_go_and_young_ones_stay(aged: Any, alice: Account) -> None:
    old, young = aged(91), aged(89)
    writer = Writer.take(old.pk)
    assert writer
    writer.append(Kind.TOKEN, t=1, x="Once")
    assert retention.empty_old_runs() == 1
    assert retention.empty_old_runs() == 0
    old.refresh_from_db()
    young.refresh_from_db()
    assert (old.prompt, old.output, old.note, old.output_ids) == ("", "", "", [])
    assert old.prompt_tokens
    assert (young.prompt, young.output) == ("89 days ago", "Once")
    assert list(RunTokens.objects.values_list("run", flat=True)) == [young.pk]
    assert stream.tokens_so_far(old.pk) == []
    event = Event.objects.get(verb=Verb.RUN_EMPTIED)
    assert (event.subject_id, event.actor_id) == (str(old.pk), None)


def test_many_go_in_pieces(aged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for _ in range(3):
        aged(100)
    assert retention.empty_old_runs() == 3


def test_what_a_manager_has_to_look_at_waits(aged: Any, alice: Account, manager: Account) -> None:
    run = aged(91)
    made = Report.objects.create(run=run, reporter=alice, kind="bias", text="Look.")
    text = signed_in(alice).get(run.get_absolute_url()).text
    assert "until a manager has answered" in text
    assert retention.empty_old_runs() == 0
    reports.close_report(made.pk, actor=manager, answer="Seen.")
    assert retention.empty_old_runs() == 1


def test_an_unfinished_run_waits(aged: Any) -> None:
    aged(91, status="queued")
    assert retention.empty_old_runs() == 0


def test_the_page_says_until_when_and_then_that_it_is_gone(aged: Any, alice: Account) -> None:
    run, browser = aged(80), signed_in(alice)
    until = run.created_at + timedelta(days=90)
    text = browser.get(run.get_absolute_url()).text
    assert f"are kept until {until.day} {until:%B %Y}." in text
    assert "kept for 90 days" in browser.get("/sandbox/").text
    with override_settings(SANDBOX_KEEP_DAYS=30):
        retention.empty_old_runs()
    text = browser.get(run.get_absolute_url()).text
    assert "Not kept any more" in text
    assert "80 days ago" not in text
    assert "Run again" not in text
    assert "Not kept any more" in browser.get("/sandbox/runs/").text
    with pytest.raises(Refusal) as refused:
        repeating.run_again(run.pk, actor=alice)
    assert refused.value.code == Code.WRONG_STATE
    with pytest.raises(Refusal):
        keeping.write_note(run.pk, actor=alice, text="Too late.")
    with pytest.raises(Refusal):
        keeping.share(run.pk, actor=alice, shared=True)
    keeping.delete(run.pk, actor=alice)


@override_settings(SANDBOX_KEEP_DAYS=0)
def test_nothing_goes_where_the_site_keeps_for_ever(aged: Any, alice: Account) -> None:
    run = aged(4000)
    assert retention.empty_old_runs() == 0
    assert "until you delete them" in signed_in(alice).get(run.get_absolute_url()).text
    assert "until you delete them" in signed_in(alice).get("/sandbox/").text


def test_beat_sees_to_it() -> None:
    assert "sandbox.empty_old_runs" in {e["task"] for e in app.conf.beat_schedule.values()}
