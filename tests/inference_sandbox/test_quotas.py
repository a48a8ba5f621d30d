"""The quota of a grant: counted once, reserved beforehand, shown, raised by a manager."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connection
from django.test import Client, override_settings
from django.utils import timezone

from access_requests.models import Grant
from inference_sandbox import generation, quotas, services, stream
from inference_sandbox.models import DayOfUse, Job, Quota, Run
from inference_sandbox.stream import Kind, Writer
from portal.accounts.models import Account, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt, give
from tests.people import signed_in, with_token

RUNS = "/api/v1/runs/"
PROMPT = 5  # tokens of "Once"


def refused(call: Any, **values: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(**values)
    assert caught.value.code == Code.QUOTA_EXHAUSTED
    return caught.value


def used(grant: Grant) -> int:
    return quotas.use_of(grant).used


# ---- Requests at once ----------------------------------------------------------------------------


def test_at_most_four_requests_of_a_grant_are_unfinished(
    prompt: Prompt, alice: Account, grant: Grant
) -> None:
    runs = [prompt() for _ in range(4)]
    refusal = refused(prompt)
    assert "4 at a time" in refusal.detail
    assert refusal.headers == {"Retry-After": str(quotas.SOON)}
    assert Event.objects.filter(verb=Verb.RUN_DENIED, data__code="quota_exhausted").count() == 1
    services.cancel(runs[0].pk, actor=alice)
    assert prompt().status == Run.Status.QUEUED


def test_the_requests_under_another_grant_do_not_count(prompt: Prompt, tiny: Release) -> None:
    from tests.people import person

    bob = person("bob")
    give(bob, tiny)
    for _ in range(4):
        prompt()
    assert prompt(actor=bob).account == bob
    refused(prompt)


def test_a_job_counts_once_however_many_runs_it_has(
    prompt: Prompt, alice: Account, tiny: Release, grant: Grant
) -> None:
    asked: Any = [(tiny, {"prompt": "Once", "max_tokens": 8, "seed": seed}) for seed in range(6)]
    for _ in range(4):
        services.create_job(actor=alice, kind=Job.Kind.SWEEP, asked=asked)
    assert quotas.use_of(grant).unfinished == 4
    refused(prompt)
    refused(services.create_job, actor=alice, kind=Job.Kind.SWEEP, asked=asked)
    assert Job.objects.count() == 4


# ---- Tokens a day --------------------------------------------------------------------------------


@override_settings(SANDBOX_TOKENS_PER_DAY=30)
def test_what_may_still_be_written_is_reserved(
    prompt: Prompt, alice: Account, grant: Grant
) -> None:
    first = prompt(max_tokens=20)
    use = quotas.use_of(grant)
    assert (use.used, use.reserved, use.left) == (0, PROMPT + 20, 5)
    refusal = refused(prompt, max_tokens=1)
    assert "25 are reserved" in refusal.detail
    assert refusal.headers == {"Retry-After": str(quotas.SOON)}, "it is a matter of waiting"
    services.cancel(first.pk, actor=alice)
    assert prompt(max_tokens=25).status == "queued", "what never began costs nothing"


@override_settings(SANDBOX_TOKENS_PER_DAY=30)
def test_a_prompt_that_no_rest_of_the_day_has_room_for_is_told_when_the_day_ends(
    prompt: Prompt, grant: Grant
) -> None:
    DayOfUse.objects.create(grant=grant, day=timezone.now().date(), tokens=20)
    refusal = refused(prompt, max_tokens=8)
    assert "10 are left; this may need 13" in refusal.detail
    assert "The day ends at 00:00 UTC" in refusal.detail
    assert 0 < int(refusal.headers["Retry-After"]) <= 86_400
    assert prompt(max_tokens=5).status == "queued"


@override_settings(SANDBOX_TOKENS_PER_DAY=30)
def test_yesterday_does_not_count(prompt: Prompt, grant: Grant) -> None:
    yesterday = timezone.now().date() - timedelta(days=1)
    DayOfUse.objects.create(grant=grant, day=yesterday, tokens=30)
    assert prompt(max_tokens=8).status == "queued"


@override_settings(SANDBOX_TOKENS_PER_DAY=60)
def test_a_job_reserves_all_its_runs_or_nothing(
    alice: Account, tiny: Release, grant: Grant
) -> None:
    asked: Any = [(tiny, {"prompt": "Once", "max_tokens": 20})] * 3
    refused(services.create_job, actor=alice, kind=Job.Kind.SWEEP, asked=asked)
    assert (Run.objects.count(), Job.objects.count()) == (0, 0)
    services.create_job(actor=alice, kind=Job.Kind.SWEEP, asked=asked[:2])
    assert quotas.use_of(grant).reserved == 50


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_charged_once_for_its_prompt_and_its_tokens(
    prompt: Prompt, grant: Grant
) -> None:
    run = prompt(max_tokens=8)
    generation.execute(run.pk)
    generation.execute(run.pk)  # handed over twice
    run.refresh_from_db()
    assert used(grant) == PROMPT + (run.output_tokens or 0) > PROMPT
    assert quotas.use_of(grant).reserved == 0


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_as_it_writes_the_row_charges_nothing_and_its_successor_once(
    prompt: Prompt, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, charge = prompt(max_tokens=8), quotas.charge

    def dies(*args: Any, **values: Any) -> None:
        charge(*args, **values)
        raise SystemExit

    monkeypatch.setattr(quotas, "charge", dies)
    with pytest.raises(SystemExit):
        generation.execute(run.pk)
    assert (used(grant), Run.objects.get().status) == (0, "running")
    monkeypatch.setattr(quotas, "charge", charge)
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (used(grant), run.status) == (PROMPT + 8, "finished")


@pytest.mark.parametrize("begun", [True, False])
def test_what_was_stopped_is_charged_if_a_model_had_it(
    prompt: Prompt, alice: Account, grant: Grant, begun: bool
) -> None:
    """Its worker is gone; what it wrote is in the stream."""
    run = prompt()
    if begun:
        writer = Writer.take(run.pk)
        assert writer
        writer.append(Kind.START)
        for token in (7, 8, 9):
            writer.append(Kind.TOKEN, t=token, x="a", r=[token, "a", -0.5, 1.0, []])
        writer.release()
        Run.objects.filter(pk=run.pk).update(status="running")
    services.cancel(run.pk, actor=alice)
    services.cancel(run.pk, actor=alice)
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert used(grant) == (PROMPT + 3 if begun else 0)
    assert run.output_ids == ([7, 8, 9] if begun else [])
    if begun:
        assert [record[0] for record in run.tokens.output] == [7, 8, 9]


@pytest.mark.django_db(transaction=True)
def test_a_failure_before_the_model_had_it_costs_nothing(
    prompt: Prompt, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference_sandbox import worker

    run = prompt()
    monkeypatch.setattr(worker.engines, "_take", lambda revision: 1 / 0)
    generation.execute(run.pk)
    assert (Run.objects.get(pk=run.pk).status, used(grant)) == ("failed", 0)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
@override_settings(SANDBOX_TOKENS_PER_DAY=60, SANDBOX_SIMULTANEOUS=100)
def test_requests_that_come_together_cannot_pass_the_limit(prompt: Prompt, grant: Grant) -> None:
    """Each may need 13 of the 60 tokens; twelve ask at once, over connections of their own."""
    together, came = threading.Barrier(12), []

    def ask() -> None:
        together.wait()
        try:
            came.append(prompt(max_tokens=8))
        except Refusal as refusal:
            came.append(refusal)
        finally:
            connection.close()
            close_old_connections()

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(isinstance(one, Run) for one in came) == 4
    assert {one.code for one in came if isinstance(one, Refusal)} == {Code.QUOTA_EXHAUSTED}
    assert quotas.use_of(grant).reserved == 52


# ---- Shown ---------------------------------------------------------------------------------------


def test_the_page_shows_what_is_left_before_it_is_hit(alice: Account, grant: Grant) -> None:
    DayOfUse.objects.create(grant=grant, day=timezone.now().date(), tokens=50_000)
    text = signed_in(alice).get("/sandbox/").text
    assert "150,000 of today’s 200,000 tokens" in text
    assert "00:00 UTC" in text


def test_a_program_reads_it_with_each_run_it_starts_and_is_refused_with_429(
    alice: Account, grant: Grant, tiny: Release
) -> None:
    program = with_token(alice, Scope.SANDBOX)
    asked = {"release": tiny.slug, "prompt": "Once", "max_tokens": 8}
    answer = program.post(RUNS, asked, content_type="application/json").json()
    assert answer["quota"]["left"] == 200_000 - 13
    assert answer["quota"]["unfinished"] == 1
    assert answer["quota"]["resets_at"].endswith("T00:00:00Z")
    with override_settings(SANDBOX_TOKENS_PER_DAY=20):
        no = program.post(RUNS, asked, content_type="application/json")
    assert (no.status_code, no.json()["code"]) == (429, "quota_exhausted")
    assert int(no["Retry-After"]) > 0


def test_a_program_asks_for_the_quota_of_a_release(
    alice: Account, mallory: Account, grant: Grant, tiny: Release
) -> None:
    address = f"/api/v1/releases/{tiny.slug}/quota/"
    shown = with_token(alice, Scope.SANDBOX).get(address).json()
    assert (shown["tokens_per_day"], shown["simultaneous"]) == (200_000, 4)
    assert with_token(mallory, Scope.SANDBOX).get(address).json()["code"] == "not_granted"
    assert with_token(alice, Scope.READ).get(address).json()["code"] == "scope_missing"
    assert Client().get(address).status_code == 401


# ---- Raised by a manager -------------------------------------------------------------------------


def test_a_manager_raises_the_quota_of_one_grant(
    prompt: Prompt, grant: Grant, manager: Account
) -> None:
    quotas.set_quota(grant, actor=manager, tokens_per_day=1_000_000, simultaneous=6)
    for _ in range(6):
        prompt()
    assert "6 at a time" in refused(prompt).detail
    event = Event.objects.get(verb=Verb.SANDBOX_QUOTA_SET)
    assert (event.actor_id, event.subject_id) == (manager.pk, str(grant.pk))
    assert event.data["after"] == {"tokens_per_day": 1_000_000, "simultaneous": 6}
    quotas.set_quota(grant, actor=manager, tokens_per_day=1_000_000, simultaneous=6)
    assert Event.objects.filter(verb=Verb.SANDBOX_QUOTA_SET).count() == 1, "nothing changed"
    quotas.set_quota(grant, actor=manager, tokens_per_day=None, simultaneous=None)
    assert quotas.use_of(grant).tokens_per_day == 200_000
    assert not Quota.objects.exists()


def test_nobody_else_does(grant: Grant, alice: Account, rita: Account) -> None:
    for person in (alice, rita):
        with pytest.raises(Refusal) as caught:
            quotas.set_quota(grant, actor=person, tokens_per_day=1, simultaneous=1)
        assert caught.value.code == Code.NOT_ALLOWED
    assert not Quota.objects.exists()


@pytest.mark.parametrize(("name", "value"), [("tokens_per_day", 0), ("simultaneous", -1)])
def test_a_quota_of_nothing_is_refused_by_name(
    grant: Grant, manager: Account, name: str, value: int
) -> None:
    values: Any = {"tokens_per_day": 1, "simultaneous": 1, name: value}
    with pytest.raises(Refusal) as caught:
        quotas.set_quota(grant, actor=manager, **values)
    assert list(caught.value.fields) == [name]


def test_a_manager_sets_it_on_the_page_of_the_grants_use(
    grant: Grant, manager: Account, rita: Account, mallory: Account
) -> None:
    address = f"/admin/inference_sandbox/run/grants/{grant.pk}/"
    desk = signed_in(manager)
    assert "200,000" in desk.get(address).text
    given = {"tokens_per_day": "500000", "simultaneous": "8"}
    assert signed_in(rita).post(address, given).status_code == 404
    assert signed_in(mallory).get(address).status_code == 302
    assert quotas.use_of(grant).simultaneous == 4
    assert desk.post(address, {**given, "simultaneous": "0"}).status_code == 422
    assert desk.post(address, given).status_code == 302
    assert quotas.use_of(grant).tokens_per_day == 500_000
    assert "500,000" in desk.get(address).text


def test_the_stream_keeps_what_the_quota_needs(prompt: Prompt) -> None:
    """A worker that takes over knows that its predecessor had begun."""
    run = prompt()
    writer = Writer.take(run.pk)
    assert writer
    writer.append(Kind.START)
    assert [entry.kind for entry in stream.written_so_far(run.pk)] == [Kind.START]
