"""What goes wrong with one request ends that one, and changes nothing for the others."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from inference_sandbox.engine.engine import Engine, FinishReason, SamplingParams, StepOutput
from inference_sandbox.engine.request import InvalidRequest
from inference_sandbox.engine.runner import EngineRunner
from inference_sandbox.engine.sampling import History, NotFinite, sample, score
from inference_sandbox.engine.scheduler import Share

GREEDY = SamplingParams(max_tokens=20, ignore_eos=True)
DRAWN = SamplingParams(max_tokens=20, temperature=1.0, top_p=0.9, seed=3, ignore_eos=True)
SCORED = SamplingParams(max_tokens=20, logprobs=2, repetition_penalty=1.1, ignore_eos=True)
STEADY = {"alice": ([3, 1, 4], GREEDY), "rita": ([1, 5, 9, 2], DRAWN), "carol": ([6], SCORED)}
NAN_TOKEN = 200  # whose embedding is damaged in `damaged`


@pytest.fixture
def damaged(make_release: Any) -> Engine:
    """Weights of which one row of the embedding is NaN, and chunks that a prompt needs several of."""
    engine = Engine.load(make_release(max_seq_len=128), max_batch=5)
    engine.model.embeddings[NAN_TOKEN] = math.nan
    engine._scheduler.chunk = 7
    return engine


def drain(engine: Engine) -> list[StepOutput]:
    outputs: list[StepOutput] = []
    while engine.has_work:
        outputs += engine.step()
    return outputs


def of(outputs: list[StepOutput], name: str) -> list[tuple[int | None, str, Any]]:
    return [(o.token, o.text, o.finish_reason) for o in outputs if o.request_id == name]


def end_of(outputs: list[StepOutput], name: str) -> StepOutput:
    (end,) = [o for o in outputs if o.request_id == name and o.finish_reason]
    return end


def beside(
    engine: Engine, disturb: Callable[[], None], seen: list[StepOutput] | None = None
) -> list[StepOutput]:
    """Three steady answers, disturbed after some steps; each must be what it is without that.

    seen: what the disturbance itself sees of the outputs.
    """
    expected = {name: answer(engine, prompt, params) for name, (prompt, params) in STEADY.items()}
    for name, (prompt, params) in STEADY.items():
        engine.add(name, prompt, params)
    outputs = [output for _ in range(3) for output in engine.step()]
    disturb()
    outputs += [*(seen or []), *drain(engine)]
    for name, alone in expected.items():
        assert of(outputs, name) == alone
    return outputs


def answer(engine: Engine, prompt: list[int], params: SamplingParams) -> Any:
    return of(list(engine.generate(prompt, params)), "generate")


# ---- Odd numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        {"temperature": 1e-46},
        {"temperature": 5e-324},
        {"temperature": -0.0, "top_p": 0.5},
        {"temperature": 1.0, "top_p": 0},
        {"temperature": 1.0, "top_p": -0.0},
        {"temperature": 1.0, "top_p": 1e-46},
        {"temperature": 1.0, "top_p": 1e-40, "top_k": 3, "min_p": 1.0},
    ],
    ids=str,
)
def test_next_to_zero_is_greedy_for_one_and_nothing_for_the_others(
    engine: Engine, odd: dict[str, Any]
) -> None:
    greedy = answer(engine, [2, 7], SamplingParams(max_tokens=6, ignore_eos=True))
    params = SamplingParams(max_tokens=6, ignore_eos=True, **odd)
    outputs = beside(engine, lambda: engine.add("odd", [2, 7], params))
    assert of(outputs, "odd") == greedy


@pytest.mark.parametrize(
    "odd",
    [
        {"top_k": 2**70, "top_p": 0.5},
        {"top_p": 1 - 1e-12},
        {"min_p": 1e-46},
        {"min_p": 1.0},
        {"temperature": 100},
        {"repetition_penalty": 0.01},
        {"repetition_penalty": 100, "presence_penalty": -100, "frequency_penalty": -100},
        {"logit_bias": {0: -100, 263: 100}},
        {"seed": -(2**64)},
        {"stop": ("\ud800", "\x00")},
        {"max_tokens": 2**80},
    ],
    ids=str,
)
def test_a_number_at_its_bound_draws_a_token_and_disturbs_nobody(
    engine: Engine, odd: dict[str, Any]
) -> None:
    params = SamplingParams(**{"max_tokens": 6, "temperature": 1.0, "ignore_eos": True, **odd})
    outputs = beside(engine, lambda: engine.add("odd", [2, 7], params))
    assert end_of(outputs, "odd").finish_reason == FinishReason.LENGTH


@pytest.mark.parametrize(
    "odd",
    [
        *({name: math.nan} for name in ("temperature", "top_p", "min_p", "repetition_penalty")),
        *({name: 1e39} for name in ("temperature", "repetition_penalty", "presence_penalty")),
        *({"repetition_penalty": divisor} for divisor in (0.0, 1e-46, 1e-38, 0.001, -1)),
        *({"frequency_penalty": penalty} for penalty in (math.inf, -3e38, 10**400)),
        *({"logit_bias": {5: bias}} for bias in (math.nan, math.inf, -math.inf, 1e39, 101)),
        {"seed": 10**5000},
        {"top_p": 1 + 1e-12},
        {"max_tokens": -1},
    ],
    ids=lambda odd: next(iter(odd)),
)
def test_a_number_out_of_bounds_is_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        SamplingParams(**odd)


@pytest.mark.parametrize("token", [-1, 264, 2**70])
def test_a_bias_on_a_token_that_the_embedding_does_not_have_is_refused(
    engine: Engine, token: int
) -> None:
    params = SamplingParams(logit_bias={token: 1.0})

    def disturb() -> None:
        with pytest.raises(InvalidRequest, match=f"Token {token} is outside the model's 264"):
            engine.add("odd", [2, 7], params)

    beside(engine, disturb)


# ---- An error about one row ----------------------------------------------------------------------


def explode(*_: Any, **__: Any) -> Any:
    raise RuntimeError("about this row alone")


def odd_request(engine: Engine) -> Any:
    engine.add("odd", [2, 7], SamplingParams(presence_penalty=1.0, logprobs=1, ignore_eos=True))
    return engine._scheduler.get("odd")


@pytest.mark.parametrize("part", ["penalty", "detokenizer", "stop matcher", "end"])
def test_an_error_about_one_row_ends_that_row(engine: Engine, part: str) -> None:
    def disturb() -> None:
        request = odd_request(engine)
        if part == "penalty":
            engine._histories["odd"].penalise = explode  # type: ignore[method-assign]
        elif part == "detokenizer":
            request.detokenizer.push = explode
        elif part == "stop matcher":
            request.stopping.push = explode
        else:
            request.detokenizer.flush = explode

    end = end_of(beside(engine, disturb), "odd")
    assert (end.finish_reason, end.error) == ("error", "RuntimeError: about this row alone")
    assert engine.occupancy == (0, 0, 4)
    assert not engine._histories


def test_a_request_that_cannot_be_cancelled_cleanly_ends_all_the_same(engine: Engine) -> None:
    def disturb() -> None:
        odd_request(engine).detokenizer.flush = explode
        engine.cancel("odd")

    assert end_of(beside(engine, disturb), "odd").finish_reason == "error"


def test_memory_that_one_prompt_lacks_ends_that_prompt(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = engine._forward

    def narrow(shares: list[Share]) -> Any:
        if any(share.request.request_id == "odd" for share in shares):
            raise MemoryError("the device is full")
        return forward(shares)

    monkeypatch.setattr(engine, "_forward", narrow)
    end = end_of(beside(engine, lambda: engine.add("odd", [2] * 40, GREEDY)), "odd")
    assert (end.finish_reason, end.error) == ("error", "MemoryError: the device is full")


def test_a_request_that_fails_before_its_first_step_ends_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answer(engine, *STEADY["alice"])
    runner = EngineRunner(engine)
    steady = runner.submit("alice", *STEADY["alice"])
    monkeypatch.setattr(History, "__init__", explode)
    (end,) = runner.submit("odd", [2, 7], SamplingParams(presence_penalty=1.0))
    assert (end.finish_reason, end.error) == ("error", "RuntimeError: about this row alone")
    assert of(list(steady), "alice") == expected
    runner.stop(timeout=10)


# ---- Weights that are no numbers -----------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        GREEDY,
        DRAWN,
        SCORED,
        SamplingParams(max_tokens=0, prompt_logprobs=1),
        SamplingParams(max_tokens=9, prompt_logprobs=0),
        SamplingParams(max_tokens=9, repeatable=True),
    ],
    ids=["greedy", "drawn", "scored", "read alone", "prompt scored", "repeatable"],
)
def test_nan_ends_the_run_that_meets_it_with_a_sentence(
    damaged: Engine, params: SamplingParams
) -> None:
    prompt = [8, NAN_TOKEN, *range(20)]
    end = end_of(beside(damaged, lambda: damaged.add("odd", prompt, params)), "odd")
    assert end.finish_reason == "error"
    assert end.error.startswith("The model's logits are NaN or infinite: its weights are damaged")
    assert bool(damaged._cache.data.isfinite().all()), "and leaves nothing in the cache"


def test_a_prompt_with_nan_that_is_cancelled_leaves_none_behind(damaged: Engine) -> None:
    seen: list[StepOutput] = []

    def disturb() -> None:
        damaged.add("odd", [8, NAN_TOKEN, *range(80)], GREEDY)
        seen.extend(damaged.step())
        damaged.cancel("odd")
        damaged.add("later", [9], GREEDY)
        damaged.add("long", list(range(60)), GREEDY)

    outputs = beside(damaged, disturb, seen)
    assert end_of(outputs, "odd").finish_reason == "cancelled"
    assert [end_of(outputs, name).finish_reason for name in ("later", "long")] == ["length"] * 2
    expected = answer(damaged, [9], GREEDY)
    assert of(outputs, "later") == expected, "in the row that held it"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("params", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_one_logit_that_is_no_number_is_found(bad: float, params: SamplingParams) -> None:
    logits = torch.zeros(2, 300)
    logits[1, 7] = bad
    with pytest.raises(NotFinite):
        sample(logits, [params] * 2, [0, 0])
    with pytest.raises(NotFinite):
        score(logits, [1, 1], [None, 3])


def test_logits_that_are_all_forbidden_are_found() -> None:
    with pytest.raises(NotFinite):
        sample(torch.full((1, 300), -math.inf), [SamplingParams(temperature=1.0)], [0])


def test_a_token_that_cannot_come_has_a_logprob_that_json_can_hold() -> None:
    logits = torch.full((1, 300), -math.inf)
    logits[0, :2] = 0.0
    (one,) = score(logits, [5], [4])
    assert one
    assert one.logprob == -9999.0
    assert [value for _, value in one.top[2:]] == [-9999.0] * 2


# ---- Rows that move ------------------------------------------------------------------------------


def test_a_prompt_that_is_only_read_takes_nothing_from_who_is_moved_into_its_row(
    engine: Engine,
) -> None:
    expected = answer(engine, *STEADY["alice"])
    engine._prefixes.forget()
    engine.add("read", [9, 9, 9], SamplingParams(max_tokens=0))
    engine.add("alice", *STEADY["alice"])
    assert of(drain(engine), "alice") == expected


# ---- A share of the steps for what is computed by itself -----------------------------------------


def test_repeatable_requests_take_a_share_of_the_steps_one_at_a_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[list[str]] = []
    forward = engine._forward

    def noted(shares: list[Share]) -> Any:
        computed.append([share.request.request_id for share in shares])
        return forward(shares)

    monkeypatch.setattr(engine, "_forward", noted)
    params = SamplingParams(max_tokens=5, repeatable=True, ignore_eos=True)
    engine.add("alice", [3, 1, 4], SamplingParams(max_tokens=40, ignore_eos=True))
    for number in range(2):
        engine.add(f"repeatable-{number}", [2, number], params)
    for _ in range(40):
        engine.step()
    assert computed.count(["alice"]) == 40, "a token at each step"
    by_themselves = [names[0] for names in computed if names != ["alice"]]
    assert by_themselves == ["repeatable-0"] * 5 + ["repeatable-1"] * 5
    assert not engine.has_work


def test_a_repeatable_request_is_computed_at_each_step_where_nobody_else_is(
    engine: Engine,
) -> None:
    engine.add("a", [2, 3], SamplingParams(max_tokens=5, repeatable=True, ignore_eos=True))
    assert [len(engine.step()) for _ in range(5)] == [1] * 5


# ---- Prefixes of one person ----------------------------------------------------------------------


@pytest.mark.parametrize("is_over", [True, False], ids=["kept", "running"])
def test_the_beginning_of_a_prompt_is_shared_within_one_account_alone(
    engine: Engine, is_over: bool
) -> None:
    engine._prefixes.least = 16
    prompt = list(range(30))
    engine.add("first", prompt, SamplingParams(max_tokens=9, ignore_eos=True), user="alice")
    first = drain(engine) if is_over else engine.step()
    assert first
    for user in ("alice", "mallory"):
        engine.add(user, [*prompt, 40, 41], SamplingParams(max_tokens=1), user=user)
    while engine._scheduler.admit():
        pass
    engine._use_prefixes()
    read = {r.request_id: r.read for r in engine._scheduler.running}
    assert read["alice"] >= 30
    assert read["mallory"] == 0, "how soon it is answered says nothing of alice's prompts"
    engine.reset()


def test_bounds_are_those_of_the_embedding_and_not_of_the_tokenizer(make_release: Any) -> None:
    folder: Path = make_release(vocab_size=300)
    engine = Engine.load(folder)
    assert engine.tokenizer.vocab_size < 300
    params = SamplingParams(max_tokens=3, logit_bias={299: 100.0}, logprobs=1)
    assert [o.token for o in engine.generate([299], params)] == [299] * 3
