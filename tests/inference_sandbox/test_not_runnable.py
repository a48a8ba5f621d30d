"""A release that the sandbox cannot run is not offered, and whoever names it is told the same sentence."""

from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from distribution import selectors as distribution
from inference_sandbox import selectors, services, support
from inference_sandbox.forms import defaults
from inference_sandbox.models import Run
from portal.accounts.models import Account, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Release
from portal.refusals import Code, Refusal
from tests.distribution import sets
from tests.inference_sandbox.conftest import Prompt, give, tiny_release
from tests.people import signed_in, with_token

SENTENCE = "The sandbox cannot run this because the weights are quantised (gptq); we run weights in floating point."


@pytest.fixture
def quantised(family: Family, alice: Account, tmp_path: Path) -> Release:
    """Published and granted to alice."""
    folder = sets.quantised(tmp_path / "gptq", "gptq", sets.gptq)
    release = tiny_release(family, folder, "quantised")
    give(alice, release)
    return release


def test_a_run_is_refused_at_once_with_the_sentence_of_the_release_page(
    quantised: Release, prompt: Prompt
) -> None:
    with pytest.raises(Refusal) as refused:
        prompt(release=quantised)
    assert (refused.value.code, refused.value.detail) == (Code.NOT_RUNNABLE, SENTENCE)
    assert not Run.objects.exists()
    assert Event.objects.filter(verb=Verb.RUN_DENIED, data__code="not_runnable").count() == 1


def test_the_playground_does_not_offer_it_and_says_why_to_whoever_names_it(
    quantised: Release, tiny: Release, grant: Any, alice: Account
) -> None:
    client = signed_in(alice)
    assert list(selectors.playable_releases(alice)) == [tiny]
    assert "release=quantised" not in client.get("/sandbox/").content.decode()
    named = client.get("/sandbox/?release=quantised")
    assert named.status_code == 409
    assert SENTENCE in named.content.decode()
    form = {**defaults(), "release": "quantised", "prompt": "Once", "mode": "plain"}
    sent = client.post("/sandbox/runs/", {k: v for k, v in form.items() if v is not None})
    assert SENTENCE in sent.content.decode()
    assert not Run.objects.exists()


def test_who_has_no_other_release_reads_why_there_is_nothing_to_prompt(
    quantised: Release, alice: Account, mallory: Account
) -> None:
    assert SENTENCE in signed_in(alice).get("/sandbox/").content.decode()
    assert "quantised" not in signed_in(mallory).get("/sandbox/").content.decode()


def test_the_apis_say_the_same(
    quantised: Release, tiny: Release, grant: Any, alice: Account
) -> None:
    client = with_token(alice, Scope.SANDBOX)
    assert [card["id"] for card in client.get("/v1/models").json()["data"]] == [tiny.repo_id]
    for answer in (
        client.get(f"/v1/models/{quantised.repo_id}"),
        client.post(
            "/v1/completions",
            {"model": quantised.repo_id, "prompt": "Once"},
            content_type="application/json",
        ),
    ):
        assert (answer.status_code, answer["X-Error-Code"]) == (404, "not_runnable")
        assert SENTENCE in answer.json()["error"]["message"]
    run = client.post(
        "/api/v1/runs/", {"release": "quantised", "prompt": "Once"}, content_type="application/json"
    )
    assert (run.status_code, run.json()["code"]) == (409, "not_runnable")
    assert run.json()["detail"] == SENTENCE


def test_another_server_may_run_what_our_engine_does_not(
    quantised: Release, prompt: Prompt, alice: Account, settings: Settings
) -> None:
    settings.SANDBOX_ENGINE_URL = "http://127.0.0.1:9/v1"
    assert quantised in selectors.playable_releases(alice)
    assert prompt(release=quantised).status == Run.Status.QUEUED


def test_mallory_is_not_told_of_it(quantised: Release, mallory: Account) -> None:
    with pytest.raises(Refusal) as refused:
        services.create_run(actor=mallory, release=quantised, prompt="Once")
    assert refused.value.code == Code.NOT_GRANTED


def test_a_release_that_runs_is_offered_as_before(
    tiny: Release, grant: Any, alice: Account
) -> None:
    assert distribution.current_revision(tiny).sandbox_note == ""
    assert list(selectors.playable_releases(alice)) == [tiny]


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("Nothing says which token ends a text", "nothing says which token ends a text."),
        ("config.json is of X; we run Y.", "config.json is of X; we run Y."),
        ("a\n  b", "a b."),
        ("x" * 400, "x" * 300 + "…"),
    ],
)
def test_a_cause_goes_on_from_because(cause: str, said: str) -> None:
    assert support._cause(ValueError(cause)) == said
