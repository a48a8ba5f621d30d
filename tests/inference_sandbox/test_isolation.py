"""One run's odd numbers end that run: with an end that is written, whatever the numbers are."""

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from django.db import DatabaseError, OperationalError
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from inference_sandbox import asking, closing, generation, services, stream, worker
from inference_sandbox.answer import Answer, printable, rounded
from inference_sandbox.engine.request import SamplingParams
from inference_sandbox.models import Run, RunTokens
from portal.accounts.models import Account, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Release
from portal.refusals import Refusal
from tests.inference_sandbox.conftest import Prompt, give, tiny_release
from tests.inference_sandbox.engine.releases import PARAMS, make_small
from tests.inference_sandbox.test_api import start
from tests.people import with_token
from tests.waiting import until

DAMAGED = "~"  # whose row of the embedding is NaN in `damaged`


@pytest.fixture(scope="session")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_small(tmp_path_factory.mktemp("damaged"))
    weights = torch.load(folder / "consolidated.00.pth")
    row = sorted(pre_tokenizers.ByteLevel.alphabet()).index(DAMAGED)
    weights["tok_embeddings.weight"][row] = math.nan
    torch.save(weights, folder / "consolidated.00.pth")
    return folder


def answered(run: Run) -> Run:
    generation.execute(run.pk)
    return Run.objects.get(pk=run.pk)


# ---- Weights that are no numbers -----------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "asked",
    [{}, {"logprobs": 5}, {"prompt_logprobs": 1}, {"prompt_logprobs": 0, "max_tokens": 0}],
    ids=str,
)
def test_a_run_that_meets_nan_ends_with_a_sentence_and_is_not_run_again(
    alice: Account, family: Family, damaged: Path, asked: dict[str, Any]
) -> None:
    release = tiny_release(family, damaged)
    give(alice, release)
    values = {"actor": alice, "release": release, "temperature": 0.0, "max_tokens": 4, **asked}
    run = answered(services.create_run(prompt=f"On{DAMAGED}ce", **values))
    assert (run.status, run.finish_reason) == ("failed", "error")
    assert "The model's logits are NaN or infinite" in run.error
    assert "Report this to the managers" in run.error
    assert services.requeue_lost_runs() == 0
    healthy = answered(services.create_run(prompt="Once", **values))
    assert healthy.status == "finished", "for that run alone"


# ---- An end that the database does not take ------------------------------------------------------


def unstorable(kind: str) -> Answer:
    answer = Answer(texts=["On", "ce"], tokens=[5, 6], begun=True)
    if kind == "records":
        answer.records = [[5, "On", math.nan, math.inf, []], None]
    elif kind == "prompt":
        answer.prompt = [[5, "On", -math.inf, None, []]]
    else:
        answer.texts = ["\ud800", "ce"]
    return answer.end(Run.Status.FINISHED, "stop")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["records", "prompt", "text"])
def test_an_answer_that_cannot_be_stored_ends_its_run_all_the_same(
    prompt: Prompt, kind: str
) -> None:
    run, answer = prompt(), unstorable(kind)
    assert closing.close(run, answer)
    run.refresh_from_db()
    assert (run.status, run.finish_reason, run.output) == ("failed", "error", "")
    assert run.error == closing.NOT_STORED == answer.error, "and its readers read the same"
    assert (run.output_ids, run.output_tokens) == ([5, 6], 2), "which it is charged for"
    assert not RunTokens.objects.filter(run=run).exists()
    assert Event.objects.filter(verb=Verb.RUN_FINISHED).count() == 1
    assert not closing.close(run, unstorable(kind)), "once"


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_away_leaves_the_run_to_the_sweep(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prompt()

    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(closing.quotas, "charge", away)
    with pytest.raises(DatabaseError):
        closing.close(run, Answer(begun=True))
    run.refresh_from_db()
    assert not run.is_over


@pytest.mark.django_db(transaction=True)
def test_an_error_text_of_any_characters_is_stored_and_told(prompt: Prompt) -> None:
    run = prompt()
    writer = stream.Writer.take(run.pk)
    assert writer
    answer = Answer().end(Run.Status.FAILED, "error", "The server said \x00\ud83d.")
    generation._close(run, writer, answer)
    run.refresh_from_db()
    assert run.error == "The server said \ufffd\ufffd."
    (end,) = map(stream._entry, stream._client().xrange(f"wb:run:{run.pk}") or [])
    assert end.data["error"] == run.error


@given(st.floats() | st.none())
def test_a_logarithm_is_told_as_a_number_that_json_has(number: float | None) -> None:
    told = rounded(number)
    assert told is None or math.isfinite(told)
    if number is not None and abs(number) < 9999:
        assert told == pytest.approx(number, abs=1e-6)


def test_what_json_has_not_is_never_written_into_a_stream() -> None:
    with pytest.raises(ValueError):
        stream._dump({"r": math.nan})
    assert printable("a\x00b\udfffc😀") == "a\ufffdb\ufffdc😀"


# ---- Odd numbers ---------------------------------------------------------------------------------

odd = st.one_of(
    st.floats(),
    st.integers(),
    st.sampled_from([0.0, -0.0, 5e-324, 1e-46, 1e-40, 1e-7, 1 - 1e-12, 1e39, 10**400, -(10**400)]),
)
FLOATS = ("temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty")


@given(st.dictionaries(st.sampled_from(FLOATS), odd), odd)
def test_what_a_request_may_ask_the_engine_takes(asked: dict[str, Any], bias: float) -> None:
    try:
        asking._check_numbers(dict(asked))
        asking._check_lists({"logit_bias": {"5": bias}})
    except Refusal:
        return
    SamplingParams(**asked, logit_bias={5: bias})


@pytest.mark.django_db
@pytest.mark.parametrize(
    "asked",
    [
        {"top_p": 0.0},
        {"top_p": 1e-46},
        {"temperature": 1e-46, "top_p": 0.5},
        {"temperature": 5e-324},
        {"logit_bias": {"263": -100}},  # a row of the embedding that the tokenizer has no token for
        {"prompt": "", "prompt_ids": [263]},
    ],
    ids=str,
)
def test_what_is_close_to_zero_or_in_the_embedding_alone_is_taken(
    prompt: Prompt, asked: dict[str, Any]
) -> None:
    run = prompt(**{"temperature": 1.0, **asked})
    run.refresh_from_db()
    assert all(getattr(run, name) == value for name, value in asked.items())


@pytest.mark.django_db
@pytest.mark.parametrize(
    "asked",
    [
        {"repetition_penalty": 1e-46},
        {"repetition_penalty": 0.0},
        {"temperature": math.nan},
        {"top_p": -1e-46},
        {"seed": 10**400},
        {"top_k": 10**400},
        {"logit_bias": {"264": 1}},
        {"logit_bias": {"5": math.nan}},
        {"forced": [264]},
        {"prompt_ids": [264]},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_what_the_step_could_not_compute_with_is_refused_by_name(
    prompt: Prompt, asked: dict[str, Any]
) -> None:
    with pytest.raises(Refusal) as refused:
        prompt(**asked)
    assert set(refused.value.fields or {}) == set(asked)
    assert not Run.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["seed", "top_k", "temperature", "max_tokens", "logprobs"])
def test_a_number_beyond_every_type_is_a_mistake_of_the_request(
    alice: Account, tiny: Release, name: str
) -> None:
    give(alice, tiny)
    program = with_token(alice, Scope.SANDBOX)
    response = start(program, release=tiny.slug, prompt="Once", **{name: 10**400})
    assert response.status_code == 400


@pytest.mark.django_db
def test_a_text_whose_tokens_the_model_does_not_have_is_refused(
    alice: Account, family: Family, tmp_path: Path
) -> None:
    release = tiny_release(family, make_small(tmp_path, PARAMS | {"vocab_size": 258}))
    give(alice, release)
    values: dict[str, Any] = {"actor": alice, "release": release, "max_tokens": 4}
    values["prompt"] = "Once"
    assert services.create_run(**values)
    with pytest.raises(Refusal, match="Token 258 is outside the 258 of Tiny"):
        services.create_run(**values, mode="chat")


# ---- Two revisions -------------------------------------------------------------------------------


class Loads:
    """An `Engines` whose engines are names; and runs that hold one until they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engines, self.began = worker.Engines(), list[str]()
        self._gates: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        monkeypatch.setattr(worker, "load", self._load)

    def _load(self, revision: Any) -> Any:
        if revision.digest == "broken":
            raise RuntimeError("broken")
        return SimpleNamespace(stop=lambda: None)

    def run(self, name: str, digest: str) -> None:
        gate = self._gates[name] = threading.Event()

        def work() -> None:
            try:
                with self.engines.use(SimpleNamespace(digest=digest)):  # type: ignore[arg-type]
                    self.began.append(name)
                    gate.wait(20)
            except RuntimeError:
                self.began.append(f"{name} failed")

        self._threads.append(threading.Thread(target=work))
        self._threads[-1].start()

    def begun(self, *names: str) -> None:
        until(lambda: len(self.began) == len(names))
        assert self.began == list(names)

    def waiting(self, count: int) -> None:
        until(lambda: len(self.engines._waiting) == count)

    def end(self, *names: str) -> None:
        for name in names:
            self._gates[name].set()

    def close(self) -> None:
        self.end(*self._gates)
        for thread in self._threads:
            thread.join(20)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loads]:
    made = Loads(monkeypatch)
    yield made
    made.close()


def test_a_run_of_another_revision_is_not_passed_for_ever(
    loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads.run("alice", "old")
    loads.begun("alice")
    loads.run("rita", "new")
    loads.waiting(1)
    loads.run("alice-2", "old")
    loads.begun("alice", "alice-2")  # for a while those of the loaded one come first
    monkeypatch.setattr(worker, "PATIENCE", 0.0)
    loads.run("alice-3", "old")
    loads.waiting(2)
    loads.run("rita-2", "new")
    loads.waiting(3)
    loads.end("alice", "alice-2")
    until(lambda: len(loads.began) == 3)
    assert loads.began[2] == "rita", "who waited too long; alice's next waits behind"
    assert loads.engines.digest == "new"
    loads.waiting(2)
    loads.end("rita")
    loads.begun("alice", "alice-2", "rita", "alice-3")
    loads.end("alice-3")
    loads.begun("alice", "alice-2", "rita", "alice-3", "rita-2")


def test_a_revision_that_cannot_be_loaded_holds_up_nobody(loads: Loads) -> None:
    loads.run("alice", "old")
    loads.begun("alice")
    loads.run("rita", "broken")
    loads.waiting(1)
    loads.run("carol", "new")
    loads.waiting(2)
    loads.end("alice")
    loads.begun("alice", "rita failed", "carol")
