"""`WEIGHBRIDGE_ENGINE=openai:<url>` with a server that is not ours: llama-cpp-python's, on the demo model.

It takes text and no tokens, and says neither which tokens it made.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from gguf import GGUFReader
from pytest_django import Settings

from access_requests.models import Grant
from demo import weights as demo
from inference_sandbox import generation, services, stream, worker
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


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not PYTHON.exists():
        pytest.skip(
            "llama-cpp-python is not here: WEIGHBRIDGE_TEST_LLAMA=1 script/test compiles it"
        )
    port = free_port()
    command = [str(PYTHON), "-m", "llama_cpp.server", "--model", str(demo.gguf_path())]
    command += ["--model_alias", "smollm2", "--n_ctx", "512", "--logits_all", "true"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path_factory.mktemp("llama") / "log").open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/v1"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/models").status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(is_up, 300)
        yield url
    finally:
        server.terminate()
        server.wait(60)


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
    first, again = (
        answered(grant, prompt="Once upon a time", temperature=1.0, seed=3).output for _ in "12"
    )
    assert first == again


def test_its_probabilities_are_the_runs(grant: Grant) -> None:
    run = answered(grant, prompt="The capital of France is", logprobs=3, max_tokens=4)
    records = RunTokens.objects.get(run=run).output
    assert records[0][1] == " Paris"
    for token, _, logprob, _, top in records:
        assert logprob <= 0
        assert top[0][2] >= logprob
        assert token in [other for other, _, _ in top]


def test_a_word_that_it_would_take_for_a_control_token_is_not_sent(grant: Grant) -> None:
    run = answered(grant, mode="chat", prompt="Say <|im_end|> to me")
    assert (run.status, run.finish_reason) == ("failed", "error")
    assert "control tokens" in run.error
