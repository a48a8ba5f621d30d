"""Three people's streams go on while odd requests come and go beside them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from inference_sandbox.engine.engine import Engine, SamplingParams, StepOutput
from inference_sandbox.engine.runner import EngineRunner
from tests.inference_sandbox.engine.odd import SECONDS, options, tokens

VOCABULARY, CONTEXT = 264, 96
NAN_TOKEN, INFINITE_TOKEN = 262, 261  # whose embeddings are damaged; none of the three meets them
STEADY = {
    "alice": (list(range(30)), SamplingParams(max_tokens=40, ignore_eos=True)),
    "rita": (
        [3, 1, 4],
        SamplingParams(max_tokens=40, temperature=0.9, top_p=0.9, seed=5, ignore_eos=True),
    ),
    "carol": (
        [6, 2],
        SamplingParams(max_tokens=40, presence_penalty=0.4, logprobs=3, ignore_eos=True),
    ),
}
requests = st.fixed_dictionaries(
    {
        "prompt": st.lists(tokens(VOCABULARY), max_size=6)
        | st.lists(st.integers(0, VOCABULARY - 1), max_size=CONTEXT + 2)
        | st.lists(st.sampled_from([5, NAN_TOKEN, INFINITE_TOKEN]), min_size=1, max_size=9),
        "generated": st.just([]) | st.lists(tokens(VOCABULARY), max_size=3),
        "params": st.fixed_dictionaries({}, optional=options(VOCABULARY, CONTEXT)),
        "leaves_after": st.none() | st.integers(0, 5),
    }
)


@pytest.fixture
def runner(make_release: Any) -> Iterator[EngineRunner]:
    engine = Engine.load(make_release(max_seq_len=CONTEXT), max_batch=6)
    engine.model.embeddings[NAN_TOKEN] = math.nan
    engine.model.embeddings[INFINITE_TOKEN] = math.inf
    engine._scheduler.chunk = 16
    engine._prefixes.least = 16
    runner = EngineRunner(engine)
    yield runner
    runner.stop(timeout=10)


Answer = list[tuple[int | None, str, Any]]


def told(outputs: Iterator[StepOutput]) -> Answer:
    return [(output.token, output.text, output.finish_reason) for output in outputs]


class Person(threading.Thread):
    """Sends the same prompt again and again, and notes when its answer is not what it was alone."""

    def __init__(self, runner: EngineRunner, name: str) -> None:
        super().__init__(name=name)
        self._runner = runner
        self._alone = self._answer("alone")
        assert self._alone[-1][2] == "length"
        self.answers = 0
        self.wrong: Answer | None = None
        self.leaves = threading.Event()

    def _answer(self, number: int | str) -> Answer:
        prompt, params = STEADY[self.name]
        return told(self._runner.submit(f"{self.name}-{number}", prompt, params, user=self.name))

    def run(self) -> None:
        while not self.leaves.is_set() and not self.wrong:
            answer = self._answer(self.answers)
            self.answers += 1
            if answer != self._alone:
                self.wrong = answer


@pytest.fixture
def people(runner: EngineRunner) -> Iterator[list[Person]]:
    people = [Person(runner, name) for name in STEADY]
    for person in people:
        person.start()
    yield people
    for person in people:
        person.leaves.set()
        person.join(60)


def test_three_peoples_streams_go_on_beside_odd_requests(
    runner: EngineRunner, people: list[Person]
) -> None:
    sent = taken = 0

    @settings(
        max_examples=20,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # what has gone wrong stays so: nothing can be made smaller
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(st.lists(requests, min_size=1, max_size=4))
    def send(some: list[dict[str, Any]]) -> None:
        nonlocal sent, taken
        answers = []
        for one in some:
            sent += 1
            try:
                params = SamplingParams(**{n: hashable(v) for n, v in one["params"].items()})
                answers.append(
                    (one, runner.submit(f"odd-{sent}", one["prompt"], params, one["generated"]))
                )
            except ValueError:  # refused
                continue
        for one, answer in answers:
            taken += 1
            follow(answer, one["leaves_after"])
        assert [person.wrong for person in people] == [None] * 3

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        send()
    for person in people:
        person.leaves.set()
        person.join(60)
        assert person.wrong is None
    assert min(person.answers for person in people) > 1, "they were answered meanwhile"
    assert 0 < taken < sent, "some were refused, and others reached the engine"


def hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def follow(answer: Iterator[StepOutput], leaves_after: int | None) -> None:
    """Read to the end, or leave before it; an answer that has no end hangs here."""
    for number, output in enumerate(answer):
        if output.finish_reason or number == leaves_after:
            assert output.finish_reason != "error" or output.error
            break
    answer.close()  # type: ignore[attr-defined]
