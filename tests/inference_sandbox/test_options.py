"""The options of the playground: what a person may say of a prompt, and what stands where they say nothing."""

import json
from html import unescape
from typing import Any

import pytest
from django.test import Client

from access_requests.models import Grant
from inference_sandbox.forms import ALTERNATIVES, PRESETS, RunForm
from inference_sandbox.models import Run
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.inference_sandbox.conftest import Prompt
from tests.people import signed_in

RUNS = "/sandbox/runs/"


@pytest.fixture
def browser(alice: Account, grant: Grant) -> Client:
    return signed_in(alice)


def sent(browser: Client, tiny: Release, **changes: Any) -> Run:
    values = {"release": tiny.slug, "mode": "plain", "prompt": "Once", "temperature": "0"}
    response = browser.post(RUNS, {**values, "top_p": "1", "max_tokens": "8", **changes})
    assert response.status_code == 302, response.content
    return Run.objects.latest("created_at")


def test_every_option_reaches_the_run(browser: Client, tiny: Release) -> None:
    given = {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.2, "presence_penalty": -0.5}
    given |= {"frequency_penalty": 0.25, "logprobs": 3, "seed": 11}
    run = sent(browser, tiny, stop="END\r\n\r\nstop here", repeatable="on", **given)
    assert {name: getattr(run, name) for name in given} == given
    assert run.stop == ["END", "stop here"]
    assert run.repeatable
    assert run.prompt_logprobs == 3


def test_what_is_left_empty_is_as_usual(browser: Client, tiny: Release) -> None:
    run, usual = sent(browser, tiny), Run()
    names = ("top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")
    assert all(getattr(run, name) == getattr(usual, name) for name in names)
    assert (run.logprobs, run.prompt_logprobs) == (ALTERNATIVES, ALTERNATIVES)
    assert (run.stop, run.repeatable) == ([], False)


def test_no_tokens_read_the_prompt_alone(browser: Client, tiny: Release) -> None:
    assert sent(browser, tiny, max_tokens="0").max_tokens == 0


def test_a_system_message_opens_a_conversation_and_no_plain_text(
    browser: Client, tiny: Release
) -> None:
    run = sent(browser, tiny, mode="chat", system="Be brief.", prompt="Who?")
    assert [m["role"] for m in run.messages] == ["system", "user"]
    assert run.prompt == "Who?"
    assert sent(browser, tiny, mode="plain", system="Be brief.").messages == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"top_k": "-1"}, "The top-k must be from 0"),
        ({"min_p": "1.5"}, "The min-p must be from 0 to 1"),
        ({"repetition_penalty": "0"}, "The repetition penalty must be from 0.01 to 2"),
        ({"presence_penalty": "3"}, "The presence penalty must be from -2 to 2"),
        ({"logprobs": "21"}, "The number of alternatives must be from 0 to 20"),
        ({"stop": "\n".join("abcdefghijklmnopq")}, "Give at most 16 stop strings"),
    ],
)
def test_an_option_out_of_bounds_opens_the_disclosure_and_says_so(
    browser: Client, tiny: Release, changes: dict[str, str], said: str
) -> None:
    values = {"release": tiny.slug, "mode": "plain", "prompt": "Once", "temperature": "0"}
    response = browser.post(RUNS, {**values, "top_p": "1", "max_tokens": "8", **changes})
    text = unescape(response.content.decode())
    assert response.status_code == 400
    assert said in text
    assert '<details class="more" open>' in text
    assert not Run.objects.exists()


def test_a_run_fills_the_form_with_its_options(browser: Client, prompt: Prompt) -> None:
    run = prompt(top_k=40, stop=["END", "stop here"], repeatable=True, logprobs=3)
    text = browser.get(f"/sandbox/?from={run.pk}").content.decode()
    assert 'name="top_k" value="40"' in text
    assert "END\nstop here</textarea>" in text
    assert '<details class="more" open>' in text
    plain = browser.get(f"/sandbox/?from={prompt().pk}").content.decode()
    assert '<details class="more">' in plain, "nothing to see there"


def test_a_preset_sets_fields_that_the_form_has(browser: Client, tiny: Release) -> None:
    for preset in PRESETS:
        values = json.loads(preset.json)
        assert set(values) <= set(RunForm.base_fields)
        said = {name: value for name, value in values.items() if value is not False}
        run = sent(browser, tiny, **said)
        assert run.temperature == values["temperature"]
        assert run.repeatable == values["repeatable"]
