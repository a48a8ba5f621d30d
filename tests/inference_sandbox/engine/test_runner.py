from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference_sandbox.engine.engine import (
    Engine,
    FinishReason,
    PromptTooLong,
    SamplingParams,
    StepOutput,
)
from inference_sandbox.engine.runner import EngineRunner

PROMPT = [3, 1, 4, 1, 5]
SHORT = SamplingParams(max_tokens=8, ignore_eos=True)
LONG = SamplingParams(max_tokens=59, ignore_eos=True)


@pytest.fixture
def runner(engine: Engine) -> Iterator[EngineRunner]:
    runner = EngineRunner(engine)
    yield runner
    runner.stop(timeout=10)


def tokens(outputs: Iterator[StepOutput]) -> list[int | None]:
    return [output.token for output in outputs]


def wait_until_idle(engine: Engine, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while engine.has_work and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not engine.has_work


def test_many_threads_each_get_their_own_answer(engine: Engine, tiny_release: object) -> None:
    prompts = [[number + 1] * (number % 5 + 1) for number in range(12)]
    expected = [tokens(engine.generate(prompt, SHORT)) for prompt in prompts]
    runner = EngineRunner(engine)
    with ThreadPoolExecutor(12) as pool:
        answers = pool.map(
            lambda job: tokens(runner.submit(str(job[0]), job[1], SHORT)), enumerate(prompts)
        )
        assert list(answers) == expected
    runner.stop(timeout=10)


def test_a_prompt_that_is_too_long_is_refused_at_once(runner: EngineRunner) -> None:
    with pytest.raises(PromptTooLong):
        runner.submit("a", [1] * 64, SHORT)
    assert len(tokens(runner.submit("a", PROMPT, SHORT))) == 8


def test_the_same_id_twice_is_refused_until_the_first_has_ended(runner: EngineRunner) -> None:
    first = runner.submit("a", PROMPT, LONG)
    with pytest.raises(ValueError, match="already in the engine"):
        runner.submit("a", PROMPT, SHORT)
    assert len(tokens(first)) == 59
    assert len(tokens(runner.submit("a", PROMPT, SHORT))) == 8


def test_cancelling_from_another_thread_ends_the_answer(
    engine: Engine, runner: EngineRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = engine.step
    monkeypatch.setattr(engine, "step", lambda: (time.sleep(0.01), step())[1])
    answer = runner.submit("a", PROMPT, LONG)
    next(answer)
    threading.Thread(target=runner.cancel, args=["a"]).start()
    rest = list(answer)
    assert rest[-1].finish_reason == FinishReason.CANCELLED
    assert len(rest) < 58
    runner.cancel("a")
    assert len(tokens(runner.submit("b", PROMPT, SHORT))) == 8


def test_a_reader_that_goes_away_frees_the_engine(
    engine: Engine, runner: EngineRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled: list[str] = []
    cancel = engine.cancel
    monkeypatch.setattr(engine, "cancel", lambda name: (cancelled.append(name), cancel(name))[1])
    step = engine.step
    monkeypatch.setattr(engine, "step", lambda: (time.sleep(0.01), step())[1])
    answer = runner.submit("a", PROMPT, LONG)
    next(answer)
    answer.close()  # type: ignore[attr-defined]
    wait_until_idle(engine)
    assert cancelled == ["a"]


def test_a_resumed_request_goes_on_where_it_was(engine: Engine) -> None:
    whole = tokens(engine.generate(PROMPT, SHORT))
    runner = EngineRunner(engine)
    assert (
        tokens(runner.submit("a", PROMPT, SHORT, generated=[t for t in whole[:3] if t]))
        == (whole[3:])
    )
    runner.stop(timeout=10)


def test_when_the_engine_fails_every_reader_is_told_and_the_next_is_served(
    engine: Engine, runner: EngineRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Barrier(2, timeout=10)
    compute = engine._compute

    def explode(shares: object) -> None:
        started.wait()
        raise MemoryError("the device is full")

    monkeypatch.setattr(engine, "_compute", explode)
    answers = [runner.submit(str(number), PROMPT, LONG) for number in range(6)]
    started.wait()
    for answer in answers:  # four are running, two wait
        *_, last = answer
        assert (last.token, last.finish_reason) == (None, FinishReason.ERROR)
        assert last.error == "MemoryError: the device is full"
    monkeypatch.setattr(engine, "_compute", compute)
    assert len(tokens(runner.submit("0", PROMPT, SHORT))) == 8


def test_stopping_ends_the_thread_and_tells_who_still_waits(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = engine.step
    monkeypatch.setattr(engine, "step", lambda: (time.sleep(0.01), step())[1])
    runner = EngineRunner(engine)
    answer = runner.submit("a", PROMPT, LONG)
    next(answer)
    runner.stop(timeout=10)
    assert not runner._thread.is_alive()
    *_, last = answer
    assert (last.finish_reason, last.error) == (
        FinishReason.ERROR,
        "The engine has been stopped.",
    )
    with pytest.raises(RuntimeError, match="stopped"):
        runner.submit("b", PROMPT, SHORT)


def test_an_idle_engine_takes_no_processor_time(runner: EngineRunner) -> None:
    tokens(runner.submit("a", PROMPT, SHORT))
    clock = time.pthread_getcpuclockid(runner._thread.ident)  # type: ignore[arg-type]
    time.sleep(0.1)
    before = time.clock_gettime(clock)
    time.sleep(0.5)
    assert time.clock_gettime(clock) - before < 0.01
