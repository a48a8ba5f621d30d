"""The context that the web checks a prompt against is the one that the engine has."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pytest_django import Settings

from distribution import selectors as distribution
from inference_sandbox import generation, stream, tokens, worker
from inference_sandbox.engine import memory
from inference_sandbox.foreign_server import context_of_server
from inference_sandbox.models import Run
from portal.accounts.models import Account, Scope
from portal.catalog.models import Family, Release
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt, give, tiny_release
from tests.inference_sandbox.engine.releases import PARAMS, make_small
from tests.people import with_token

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[worker.Engines]:
    """A worker of this test's own."""
    own = worker.Engines()
    monkeypatch.setattr(worker, "engines", own)
    yield own
    own._drop()


@pytest.fixture
def small(family: Family, tmp_path: Path, alice: Account) -> Release:
    """A model that was made for 64 tokens, which alice may prompt."""
    release = tiny_release(family, make_small(tmp_path / "small"))
    give(alice, release)
    return release


@pytest.fixture
def silent(family: Family, tmp_path: Path, alice: Account) -> Release:
    """A model whose params.json does not say its context; the catalogue says 3,000 tokens."""
    params = {name: value for name, value in PARAMS.items() if name != "max_seq_len"}
    release = tiny_release(family, make_small(tmp_path / "silent", params))
    Release.objects.filter(pk=release.pk).update(context_length=3000)
    release.refresh_from_db()
    give(alice, release)
    return release


def announce(engines: worker.Engines, release: Release, node: str = "engine@here") -> None:
    """What a worker does when it starts: it loads the weights and says so."""
    with engines.use(distribution.current_revision(release)):
        worker.Heartbeat(node, [release.slug]).beat()


def test_a_context_that_the_weights_do_not_say_is_the_catalogues_in_web_and_engine(
    prompt: Prompt, silent: Release, engines: worker.Engines, settings: Settings
) -> None:
    settings.SANDBOX_CONTEXT = 2500  # more than LLaMA 1 had
    revision = distribution.current_revision(silent)
    assert tokens.context_limit(revision) == 2500
    run = prompt(release=silent, prompt="x" * 2300, max_tokens=2)
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == (Run.Status.FINISHED, "")
    assert engines.context == 2500


def test_the_limit_of_a_worker_with_little_memory_is_known_before_a_run_is_accepted(
    prompt: Prompt,
    tiny: Release,
    engines: worker.Engines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revision = distribution.current_revision(tiny)
    assert tokens.context_limit(revision) == 1024
    token = 30 * 2 * 3 * 24 * 4  # bytes: layers, keys and values, heads, head, float32
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(token * 7 * 330 / 0.8))
    announce(engines, tiny)
    assert engines.context == tokens.context_limit(revision) < 1024
    with pytest.raises(Refusal, match=f"context length is {engines.context}") as refused:
        prompt(prompt="x" * (engines.context - 1))  # and the token that begins a text
    assert refused.value.code == Code.TOO_LONG
    run = prompt(prompt="x" * (engines.context - 2), max_tokens=1)
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == (Run.Status.FINISHED, "")


def test_the_limit_of_a_worker_that_went_down_still_counts_until_another_says_its_own(
    small: Release,
) -> None:
    revision = distribution.current_revision(small)

    def sign(node: str, context: int, digest: str = revision.digest) -> None:
        worker_ = stream.Worker(node, digest, "cpu", "float32", 4, context=context)
        stream.announce(small.slug, worker_)

    sign("one", 40)
    stream.withdraw(small.slug, "one")
    assert tokens.context_limit(revision) == 40
    sign("two", 50)
    assert tokens.context_limit(revision) == 50
    sign("three", 30)
    assert tokens.context_limit(revision) == 30, "either may take the run"
    sign("three", 20, "0" * 40)
    assert tokens.context_limit(revision) == 50, "what it says of another revision does not count"
    sign("two", 900)
    assert tokens.context_limit(revision) == 64, "no more than the model was made for"


def test_the_longest_prompt_that_is_accepted_is_answered(
    prompt: Prompt, small: Release, engines: worker.Engines
) -> None:
    announce(engines, small)
    longest = 64 - 2  # of 64: the token that begins a text, and one of an answer
    with pytest.raises(Refusal) as refused:
        prompt(release=small, prompt="x" * (longest + 1), max_tokens=1)
    assert refused.value.code == Code.TOO_LONG
    run = prompt(release=small, prompt="x" * longest, max_tokens=1)
    generation.execute(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == (Run.Status.FINISHED, "")


def test_the_models_of_the_api_say_their_context(alice: Account, small: Release) -> None:
    bearer = with_token(alice, Scope.SANDBOX)
    (card,) = bearer.get("/v1/models").json()["data"]
    assert (card["id"], card["max_model_len"]) == (small.repo_id, 64)
    stream.announce(
        small.slug,
        stream.Worker("one", distribution.current_revision(small).digest, "", "", 4, context=48),
    )
    assert bearer.get(f"/v1/models/{small.repo_id}").json()["max_model_len"] == 48


# ---- Another server's ----------------------------------------------------------------------------


@pytest.fixture
def cards() -> Iterator[tuple[str, list[Any]]]:
    """A server that answers /v1/models with the first of the list."""
    answers: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = json.dumps(answers[0]).encode()
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", answers
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("answer", "context"),
    [
        ({"data": [{"id": "other", "max_model_len": 9}, {"id": "m", "max_model_len": 32}]}, 32),
        ({"data": [{"id": "m"}]}, None),
        ({"data": [{"id": "m", "max_model_len": "many"}]}, None),
        ({"data": None}, None),
        ([], None),
    ],
)
def test_what_another_server_says_of_its_context_is_believed(
    cards: tuple[str, list[Any]], answer: Any, context: int | None
) -> None:
    url, answers = cards
    answers.append(answer)
    assert context_of_server(url, "m", "") == context


def test_a_server_that_does_not_answer_says_nothing() -> None:
    assert context_of_server("http://127.0.0.1:1/v1", "m", "key") is None


def test_another_servers_limit_is_the_sandboxs(
    small: Release, cards: tuple[str, list[Any]], engines: worker.Engines, settings: Settings
) -> None:
    url, answers = cards
    answers.append({"data": [{"id": small.repo_id, "max_model_len": 32}]})
    settings.SANDBOX_ENGINE_URL = url
    announce(engines, small)
    assert engines.context == 32
    assert tokens.context_limit(distribution.current_revision(small)) == 32
