"""Whatever else is in the engine, a request gets what it would get alone, and its fair share."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference_sandbox.engine.engine import Engine, SamplingParams, StepOutput

texts = st.lists(st.integers(0, 255), min_size=1, max_size=40)
options = st.fixed_dictionaries(
    {
        "max_tokens": st.integers(1, 12),
        "temperature": st.sampled_from([0.0, 0.7, 1.3]),
        "top_k": st.sampled_from([0, 7]),
        "top_p": st.sampled_from([1.0, 0.8]),
        "min_p": st.sampled_from([0.0, 0.05]),
        "repetition_penalty": st.sampled_from([1.0, 1.2]),
        "frequency_penalty": st.sampled_from([0.0, 0.5]),
        "seed": st.integers(0, 99),
        "logprobs": st.sampled_from([None, 3]),
        "prompt_logprobs": st.sampled_from([None, 2]),
        "stop": st.sampled_from([(), ("a",), ("\x00", "zz")]),
        "repeatable": st.booleans(),
    }
)
beginnings = st.sampled_from([[], list(range(50, 80)), list(range(90, 110))])
requests = st.lists(
    st.tuples(beginnings, texts, options, st.integers(0, 6)), min_size=2, max_size=10
)
GREEDY = SamplingParams(max_tokens=8, ignore_eos=True)


@pytest.fixture(scope="module")
def crowd(make_release: Any) -> Engine:
    """Reads prompts in chunks so small that nearly every one needs several."""
    engine = Engine.load(make_release(max_seq_len=128), max_batch=4)
    engine._scheduler.chunk, engine._scheduler.idle_chunk = 7, 16
    engine._prefixes.least = 16
    return engine


def drain(engine: Engine) -> list[StepOutput]:
    outputs: list[StepOutput] = []
    while engine.has_work:
        outputs += engine.step()
    return outputs


def answer(outputs: list[StepOutput], name: str) -> tuple[list[int | None], str, str]:
    own = [output for output in outputs if output.request_id == name]
    assert own[-1].finish_reason, "every request ends"
    tokens = [output.token for output in own if output.token is not None]
    return tokens, "".join(output.text for output in own), str(own[-1].finish_reason)


def scores(outputs: list[StepOutput], name: str) -> list[float]:
    own = [output for output in outputs if output.request_id == name]
    told = [s for o in own for s in (*(o.prompt or ()), *((o.score,) if o.score else ()))]
    return [
        value for s in told for value in (s.logprob, s.entropy, *(v for _, v in s.top)) if value
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(asked=requests)
def test_alone_and_in_a_crowd_a_request_gets_the_same(crowd: Engine, asked: list[Any]) -> None:
    """Random arrivals, lengths, common beginnings and sampling options."""
    alone = {}
    for number, (start, text, params, _) in enumerate(asked):
        crowd._prefixes.forget()
        crowd.add(str(number), start + text, SamplingParams(**params))
        alone[str(number)] = drain(crowd)
    crowd._prefixes.forget()
    outputs: list[StepOutput] = []
    for number, (start, text, params, steps) in enumerate(asked):
        crowd.add(str(number), start + text, SamplingParams(**params), user=str(number % 3))
        for _ in range(steps):
            outputs += crowd.step()
    outputs += drain(crowd)
    for name, before in alone.items():
        assert answer(outputs, name) == answer(before, name)
        assert scores(outputs, name) == pytest.approx(scores(before, name), abs=1e-4)


def test_a_repeatable_request_gets_the_very_same_numbers(crowd: Engine) -> None:
    params = SamplingParams(max_tokens=10, logprobs=5, prompt_logprobs=2, repeatable=True)
    crowd.add("alone", list(range(40)), params)
    alone = drain(crowd)
    for number in range(4):
        crowd.add(f"other-{number}", list(range(38 + number)), GREEDY)
    crowd.add("crowded", list(range(40)), params)
    assert scores(drain(crowd), "crowded") == scores(alone, "alone")


def test_a_long_prompt_holds_up_the_others_by_no_more_than_a_chunk(crowd: Engine) -> None:
    crowd.add("short", [1, 2, 3], SamplingParams(max_tokens=40, ignore_eos=True))
    crowd.step()
    crowd._prefixes.forget()
    crowd.add("long", [random.Random(5).randrange(200) for _ in range(100)], GREEDY)
    read: list[int] = []
    while True:
        outputs = crowd.step()
        if any(output.request_id == "long" for output in outputs):
            break
        assert [output.request_id for output in outputs] == ["short"], "a token at each step"
        (long,) = [r for r in crowd._scheduler.running if r.request_id == "long"]
        read.append(long.read)
    assert read == [7 * step for step in range(1, len(read) + 1)]
    assert len(read) == 100 // 7
    drain(crowd)


def test_the_beginning_that_another_prompt_had_is_not_computed_again(crowd: Engine) -> None:
    crowd._prefixes.forget()
    rng = random.Random(3)
    shared = [rng.randrange(200) for _ in range(60)]
    crowd.add("first", [*shared, 1], GREEDY)
    first = drain(crowd)
    crowd.add("again", [*shared, 1], GREEDY)
    crowd.add("other", [*shared, 2], GREEDY)
    outputs = crowd.step()
    reads = {request.request_id: request.read for request in crowd._scheduler.running}
    assert reads["again"] == 61, "its one step read the last token alone"
    assert reads["other"] >= 60
    outputs += drain(crowd)
    crowd._prefixes.forget()
    crowd.add("other", [*shared, 2], GREEDY)
    assert answer(outputs, "other") == answer(drain(crowd), "other")
    assert first


def test_what_was_thought_of_a_prompt_is_told_whole_though_its_beginning_is_known(
    crowd: Engine,
) -> None:
    prompt = list(range(100, 140))
    crowd.add("first", prompt, GREEDY)
    drain(crowd)
    crowd.add("again", prompt, SamplingParams(max_tokens=0, prompt_logprobs=1))
    (output,) = drain(crowd)
    assert output.prompt
    assert [score.token for score in output.prompt] == prompt
    assert output.token is None
    assert output.finish_reason == "length"


def test_a_hundred_requests_of_one_person_do_not_starve_anothers_one(crowd: Engine) -> None:
    for number in range(100):
        crowd.add(f"alice-{number}", [number], GREEDY, user="alice")
    crowd.step()
    crowd.add("rita", [7], GREEDY, user="rita")
    assert [o.request_id for o in crowd.step() if o.request_id == "rita"] == ["rita"], "at once"
    crowd.add("rita-2", [8], GREEDY, user="rita")
    waited = 0
    while not any(output.request_id == "rita-2" for output in crowd.step()):
        waited += 1
    assert waited <= 2 * GREEDY.max_tokens, "when the next row is free, not after alice's hundred"
    crowd.reset()


def test_a_thousand_random_cancels_leak_no_row(crowd: Engine) -> None:
    rng = random.Random(11)
    cancelled = 0
    names: list[str] = []
    while cancelled < 1000:
        if rng.random() < 0.6:
            names.append(f"r{len(names)}")
            repeatable = rng.random() < 0.2
            params = SamplingParams(max_tokens=rng.randint(1, 9), repeatable=repeatable)
            crowd.add(names[-1], [rng.randrange(200) for _ in range(rng.randint(1, 30))], params)
        if names and rng.random() < 0.7:
            crowd.cancel(rng.choice(names[-12:]))
            cancelled += 1
        if rng.random() < 0.5:
            crowd.step()
    drain(crowd)
    assert crowd.occupancy == (0, 0, 4)
    assert not crowd._histories
    # And all rows still serve.
    for number in range(6):
        crowd.add(f"after-{number}", [number], GREEDY)
    assert len({o.request_id for o in drain(crowd) if o.finish_reason == "length"}) == 6


def test_what_was_thought_of_a_prompt_is_told_once_before_the_first_token(crowd: Engine) -> None:
    params = SamplingParams(max_tokens=5, logprobs=0, prompt_logprobs=0, ignore_eos=True)
    crowd.add("a", list(range(20)), params)
    outputs = drain(crowd)
    assert [len(output.prompt or ()) for output in outputs] == [20, 0, 0, 0, 0, 0]
    assert [output.token is None for output in outputs] == [True] + [False] * 5


def test_int8_weights_give_nearly_the_same_probabilities(tiny_release: Path) -> None:
    exact = Engine.load(tiny_release, dtype="bfloat16")
    small = Engine.load(tiny_release, dtype="int8")
    tokens = list(range(30))
    theirs, ours = (engine.model.read(tokens).softmax(-1) for engine in (exact, small))
    moved = (theirs - ours).abs().sum(-1) / 2  # of the probability, at each place
    assert 0 < float(moved.max()) < 0.15
    assert small.info.dtype == "int8"


def test_an_int8_row_does_not_depend_on_the_rows_beside_it(tiny_release: Path) -> None:
    engine = Engine.load(tiny_release, dtype="int8", max_batch=6)
    params = SamplingParams(max_tokens=3, logprobs=1, ignore_eos=True, repeatable=True)
    engine.add("alone", [3, 1, 4], params)
    alone = scores(drain(engine), "alone")
    for number in range(5):
        engine.add(str(number), [number, 200], GREEDY)
    engine.add("beside", [3, 1, 4], params)
    assert scores(drain(engine), "beside") == alone


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_on_a_gpu_too(tiny_release: Path, dtype: str) -> None:
    engine = Engine.load(tiny_release, dtype=dtype, device="cuda")
    for number in range(5):
        engine.add(str(number), list(range(1, 9 + number)), GREEDY)
    assert len([o for o in drain(engine) if o.finish_reason == "length"]) == 5
