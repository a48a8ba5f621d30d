"""Starting a run: what is kept, what is handed over, and every input that is refused."""

from typing import Any

import pytest
from django.test import TestCase, override_settings

from access_requests.models import Grant
from access_requests.services import revoke
from inference_sandbox import selectors, stream, tokens
from inference_sandbox.models import Run
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt


def test_a_prompt_becomes_a_queued_run_of_the_current_revision(
    prompt: Prompt, tiny: Release, alice: Account, grant: Grant
) -> None:
    run = prompt(seed=7)
    assert (run.status, run.seed, run.grant) == (Run.Status.QUEUED, 7, grant)
    assert run.revision == tiny.revisions.get(is_current=True)
    assert run.prompt_tokens == len("Once") + 1, "one token a byte, and the one that begins a text"
    event = Event.objects.get(verb=Verb.RUN_STARTED)
    assert (event.actor_id, event.subject_id) == (alice.pk, str(run.pk))
    assert "Once" not in str(event.data), "the log holds no prompts"


def test_the_run_waits_in_the_queue_of_its_model(prompt: Prompt, tiny: Release) -> None:
    with TestCase.captureOnCommitCallbacks(execute=True):
        run = prompt()
    assert stream.waiting(selectors.queue_of(tiny)) == {str(run.pk)}
    assert stream.queue_length(selectors.queue_of(tiny)) == 1


def test_without_a_seed_one_is_drawn_and_kept(prompt: Prompt) -> None:
    seeds = {prompt().seed, prompt().seed, prompt().seed}
    assert len(seeds) == 3


def test_a_chat_is_counted_with_its_template(prompt: Prompt) -> None:
    assert prompt(mode="chat").prompt_tokens > prompt(mode="plain").prompt_tokens


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("prompt", "", Code.INVALID),
        ("prompt", " \n\t", Code.INVALID),
        ("prompt", "a\x00b", Code.INVALID),
        ("prompt", "half a pair \ud83d", Code.INVALID),
        ("prompt", "x" * 2000, Code.TOO_LONG),
        ("mode", "poem", Code.INVALID),
        ("temperature", -0.1, Code.INVALID),
        ("temperature", 2.1, Code.INVALID),
        ("temperature", float("nan"), Code.INVALID),
        ("temperature", float("inf"), Code.INVALID),
        ("top_p", -0.1, Code.INVALID),
        ("top_p", 1.01, Code.INVALID),
        ("top_p", float("nan"), Code.INVALID),
        ("max_tokens", 0, Code.INVALID),
        ("max_tokens", -1, Code.INVALID),
        ("max_tokens", 1025, Code.INVALID),
        ("max_tokens", 1024, Code.TOO_LONG),
        ("seed", -1, Code.INVALID),
        ("seed", 2**63, Code.INVALID),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(
    prompt: Prompt, field: str, value: Any, code: Code
) -> None:
    with pytest.raises(Refusal) as refused:
        prompt(**{field: value})
    assert refused.value.code == code
    assert list(refused.value.fields) == [field]
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", 0.0), ("temperature", 2.0), ("top_p", 1.0), ("top_p", 0.001), ("seed", 0),
     ("seed", 2**63 - 1), ("max_tokens", 1), ("max_tokens", 1024 - 5)],
)  # fmt: skip
def test_a_value_at_the_edge_is_taken(prompt: Prompt, field: str, value: Any) -> None:
    assert getattr(prompt(**{field: value}), field) == value


def test_a_prompt_longer_than_the_context_is_told_the_limit_and_the_count(prompt: Prompt) -> None:
    with pytest.raises(Refusal) as refused:
        prompt(prompt="x" * 2000)
    assert "2,001 tokens" in refused.value.detail
    assert "maximum context length is 1024 tokens" in refused.value.detail


def test_an_answer_beyond_the_context_is_told_how_much_is_left(prompt: Prompt) -> None:
    with pytest.raises(Refusal) as refused:
        prompt(prompt="x" * 1000, max_tokens=100)
    assert "at most 23 tokens" in refused.value.way_out


@override_settings(SANDBOX_CONTEXT=50)
def test_the_sites_own_limit_counts_where_it_is_lower(prompt: Prompt, tiny: Release) -> None:
    assert tokens.context_limit(tiny.revisions.get()) == 50
    with pytest.raises(Refusal, match="50"):
        prompt(prompt="x" * 60)


def test_without_a_grant_nothing_runs_and_the_denial_is_an_event(
    prompt: Prompt, mallory: Account, tiny: Release
) -> None:
    with pytest.raises(Refusal) as refused:
        prompt(actor=mallory)
    assert refused.value.code == Code.NOT_GRANTED
    event = Event.objects.get(verb=Verb.RUN_DENIED)
    assert (event.actor_id, event.subject_id) == (mallory.pk, str(tiny.pk))
    assert event.data["code"] == "not_granted"


def test_a_revoked_grant_opens_nothing(prompt: Prompt, grant: Grant, manager: Account) -> None:
    prompt()
    revoke(grant.pk, actor=manager, reason="The project ended.")
    with pytest.raises(Refusal) as refused:
        prompt()
    assert refused.value.code == Code.REVOKED
    assert "The project ended." in refused.value.detail


def test_a_release_without_weights_is_refused(
    alice: Account, release: Release, prompt: Prompt
) -> None:
    from tests.inference_sandbox.conftest import give

    give(alice, release)
    with pytest.raises(Refusal) as refused:
        prompt(release=release)
    assert refused.value.code == Code.NOT_PUBLISHED


def test_a_release_is_found_by_slug_and_by_repo_id(tiny: Release) -> None:
    assert selectors.release_named(tiny.slug) == selectors.release_named(tiny.repo_id) == tiny
    with pytest.raises(Refusal) as refused:
        selectors.release_named("meta/llama-99b")
    assert refused.value.code == Code.NOT_FOUND


def test_counting_tokens_does_not_import_torch(prompt: Prompt) -> None:
    """The web process counts with the real tokenizer, and never pays for torch."""
    import subprocess
    import sys

    lines = (
        "import django, sys; django.setup(); import portal.urls; from django.urls import resolve"
    )
    lines += "; resolve('/sandbox/'); import inference_sandbox.engine.tokenizer"
    lines += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", lines], check=False).returncode == 0
