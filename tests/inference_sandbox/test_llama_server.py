"""`WEIGHBRIDGE_ENGINE=openai:<url>` with a server that is not ours: llama-cpp-python's, on the demo model.

It takes text and no tokens, and says neither which tokens it made. tests/inference_sandbox/test_text_alone.py
has what can be tested without it.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from django.db import close_old_connections
from gguf import GGUFReader
from pytest_django import Settings

from access_requests.models import Grant
from demo import weights as demo
from inference_sandbox import generation, quotas, services, stream, worker
from inference_sandbox.engine.request import FinishReason, SamplingParams
from inference_sandbox.engine.tokenizer import load_tokenizer
from inference_sandbox.foreign import ForeignRunner
from inference_sandbox.foreign_server import Server
from inference_sandbox.models import Run, RunTokens
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from tests.inference_sandbox.conftest import give, tiny_release
from tests.inference_sandbox.engine.releases import PARAMS, random_weights
from tests.live import free_port
from tests.waiting import until

# The watching thread looks at committed rows.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]

PYTHON = Path(sys.prefix) / "llama" / "bin" / "python"


@contextmanager
def server(log_in: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    command = [str(PYTHON), "-m", "llama_cpp.server", "--model", str(demo.gguf_path())]
    command += ["--model_alias", "smollm2", "--n_ctx", "512", "--logits_all", "true"]
    # By default a second request breaks off the one that is being answered.
    command += ["--interrupt_requests", "false"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (log_in / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/v1"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/models").status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(is_up, 300)
        yield url, process
    finally:
        process.kill()
        process.wait(60)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not PYTHON.exists():
        pytest.skip("llama-cpp-python is not here: script/test --all compiles it")
    with server(tmp_path_factory.mktemp("llama")) as (url, _):
        yield url


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model's own tokenizer. The weights beside it are none of its, and nobody reads them."""
    place, reader = tmp_path_factory.mktemp("smollm"), GGUFReader(demo.gguf_path())
    params = {**PARAMS, "vocab_size": 49_152, "max_seq_len": 512}
    (place / "params.json").write_text(json.dumps(params))
    torch.save(random_weights(params), place / "consolidated.00.pth")
    demo._tokenizer(reader).save(str(place / "tokenizer.json"))
    config = demo._tokenizer_config(reader)
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    return place


@pytest.fixture
def smollm(llama: str, folder: Path, family: Family, settings: Settings) -> Iterator[Release]:
    settings.SANDBOX_ENGINE_URL = llama
    settings.SANDBOX_ENGINE_MODEL = "smollm2"
    settings.SANDBOX_CONTEXT = 512
    worker.engines._drop()
    yield tiny_release(family, folder)
    worker.engines._drop()


@pytest.fixture
def grant(alice: Account, smollm: Release) -> Grant:
    return give(alice, smollm)


def answered(grant: Grant, **more: object) -> Run:
    values = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 16, **more}
    run = services.create_run(actor=grant.account, release=grant.release, **values)
    generation.execute(run.pk)
    run.refresh_from_db()
    return run


def test_it_answers_a_plain_prompt(grant: Grant) -> None:
    run = answered(grant, prompt="The capital of France is")
    assert (run.status, run.error, run.finish_reason) == ("finished", "", "length")
    assert run.output.startswith(" Paris")
    assert run.output_tokens == 16
    assert "smollm2" in run.engine
    told = "".join(entry.data["x"] for entry in stream.tokens_so_far(run.pk))
    assert told == run.output


def test_it_answers_a_conversation_to_its_end(grant: Grant) -> None:
    asked = "Answer with one word: the capital of France?"
    run = answered(grant, mode="chat", prompt=asked, max_tokens=60)
    assert (run.status, run.finish_reason) == ("finished", "stop")
    assert "Paris" in run.output
    assert "<|" not in run.output


def test_a_stop_string_and_a_seed_count_there_too(grant: Grant) -> None:
    run = answered(grant, prompt="The capital of France is", stop=["."])
    assert (run.output, run.finish_reason) == (" Paris", "stop")
    first, again, other = (
        answered(grant, prompt="Once upon a time", temperature=1.0, seed=seed).output
        for seed in (3, 3, 4)
    )
    assert first == again != other


def test_its_probabilities_are_the_runs(grant: Grant) -> None:
    run = answered(grant, prompt="The capital of France is", logprobs=3, max_tokens=4)
    records = RunTokens.objects.get(run=run).output
    assert records[0][1] == " Paris"
    for token, _, logprob, _, top in records:
        assert logprob <= 0
        assert top[0][2] >= logprob
        assert token in [other for other, _, _ in top]


def test_what_it_does_not_tell_right_is_not_the_runs(grant: Grant) -> None:
    """It tells a prompt's probabilities one place too early (without a bos token)."""
    run = answered(grant, prompt="The capital of France is", prompt_logprobs=1)
    assert (run.status, run.finish_reason) == ("failed", "error")
    assert run.error.endswith("The model's server does not tell the probabilities of a prompt.")


def test_an_emoji_that_it_loses_leaves_a_hole(grant: Grant) -> None:
    asked: dict[str, Any] = {"mode": "chat", "prompt": "Repeat exactly: 😀😀 héé", "max_tokens": 8}
    whole, told = answered(grant, **asked), answered(grant, **asked, logprobs=1)
    assert "\ufffd" not in whole.output
    assert not whole.output.isascii()
    assert "\ufffd" in told.output
    for token, text, *_ in RunTokens.objects.get(run=told).output:
        assert not text.startswith("<|"), f"{token} is no control token"


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"mode": "chat", "prompt": "Say <|im_end|> to me"}, "one of the model's control tokens"),
        ({"prompt": "<|im_end|>"}, "one of the model's control tokens"),
        ({"prompt": "", "prompt_ids": [70, 71, 72, 73, 74, 75]}, "cut this prompt into other"),
    ],
    ids=["word in a chat", "word alone", "tokens"],
)
def test_a_prompt_that_it_would_read_otherwise_is_not_sent(
    grant: Grant, asked: dict[str, Any], fault: str
) -> None:
    run = answered(grant, **asked)
    assert (run.status, run.finish_reason, run.output) == ("failed", "error", "")
    assert "takes text alone" in run.error
    assert fault in run.error


def test_it_is_tried_once_how_it_takes_prompts(
    grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, post = [], Server._post

    def spied(self: Server, body: dict[str, Any]) -> Any:
        sent.append(type(body["prompt"]))
        return post(self, body)

    monkeypatch.setattr(Server, "_post", spied)
    outputs = {answered(grant, prompt="The capital of France is").output for _ in "12"}
    assert len(outputs) == 1
    assert sent == [list, list, str, str, str]


def test_its_tokens_count_against_the_quota(grant: Grant) -> None:
    run = answered(grant, prompt="The capital of France is")
    assert (run.prompt_tokens, run.output_tokens) == (5, 16)
    assert quotas.use_of(grant).used == 21
    unsent = answered(grant, prompt="<|im_end|>")
    assert quotas.use_of(grant).used == 21 + (unsent.prompt_tokens or 0)


# ---- Without the database ------------------------------------------------------------------------

STORY = "Once upon a time there was a"


@pytest.fixture
def runner(llama: str, folder: Path) -> Iterator[ForeignRunner]:
    made = ForeignRunner(llama, "smollm2", "", load_tokenizer(folder), 4096)
    yield made
    made.stop()


def begun(runner: ForeignRunner, name: str, prompt: str = STORY, **params: Any) -> Any:
    asked = SamplingParams(**{"max_tokens": 400, **params})
    return runner.submit(name, runner._tokenizer.encode(prompt), asked)


def text_of(outputs: Any) -> str:
    return "".join(output.text for output in outputs)


def test_a_cancel_ends_it_and_frees_the_server(runner: ForeignRunner) -> None:
    outputs = begun(runner, "a")
    next(outputs)
    threading.Timer(0.2, runner.cancel, ["a"]).start()
    *_, last = outputs
    assert last.finish_reason is FinishReason.CANCELLED
    started = time.monotonic()
    assert text_of(begun(runner, "b", "The capital of France is", max_tokens=1)) == " Paris"
    alone = time.monotonic() - started
    started = time.monotonic()
    text_of(begun(runner, "c", max_tokens=300))
    assert alone < (time.monotonic() - started) / 2, "the server went on"


def test_two_at_once_are_both_answered(runner: ForeignRunner) -> None:
    alone = text_of(begun(runner, "a", max_tokens=40))
    both = [begun(runner, name, max_tokens=40) for name in "bc"]
    assert [text_of(outputs) for outputs in both] == [alone, alone]


def test_after_a_crash_it_goes_on_behind_what_is_there(runner: ForeignRunner) -> None:
    outputs = list(begun(runner, "a", max_tokens=20))
    tokens = [output.token for output in outputs if output.token is not None]
    prompt = runner._tokenizer.encode(STORY)
    rest = runner.submit("b", prompt, SamplingParams(max_tokens=20), tokens[:12])
    assert text_of(rest) == text_of(outputs)[len(runner._tokenizer.decode(tokens[:12])) :]


@pytest.mark.parametrize(
    ("prompt", "params", "cause"),
    [
        (STORY, {"presence_penalty": 3}, "(500): presence_penalty: Input should be less than or equal to 2."),
        ("word " * 600, {}, "(400): This model's maximum context length is 512 tokens, however"),
    ],
    ids=["not valid", "found in the stream"],
)  # fmt: skip
def test_what_it_refuses_is_told_in_one_line(
    runner: ForeignRunner, prompt: str, params: dict[str, Any], cause: str
) -> None:
    (last,) = begun(runner, "a", prompt, **params)
    assert last.finish_reason is FinishReason.ERROR
    assert last.error.startswith(f"The model's server refused {cause}")
    assert "\n" not in last.error
    assert len(last.error) < 260


def test_a_server_that_dies_in_the_middle_ends_the_run_with_its_cause(
    grant: Grant, settings: Settings, tmp_path: Path
) -> None:
    with server(tmp_path) as (settings.SANDBOX_ENGINE_URL, process):
        asked: dict[str, Any] = {"prompt": STORY, "max_tokens": 400, "temperature": 0.0}
        run = services.create_run(actor=grant.account, release=grant.release, **asked)

        def work() -> None:
            generation.execute(run.pk)
            close_old_connections()

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: stream.tokens_so_far(run.pk))
        process.kill()
        thread.join(60)
        run.refresh_from_db()
        assert (run.status, run.finish_reason) == ("failed", "error")
        assert "broke off in the middle" in run.error
        assert run.output_tokens
        # Nor is it there for the next one.
        later = answered(grant, prompt=STORY)
        assert (later.status, later.finish_reason, later.output) == ("failed", "error", "")
        assert "The model's server does not answer." in later.error
