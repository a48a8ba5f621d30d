from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inference_sandbox.engine.engine import (
    Engine,
    FinishReason,
    PromptTooLong,
    SamplingParams,
    StepOutput,
)
from tests.inference_sandbox.engine.releases import PARAMS, random_weights

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
GREEDY = SamplingParams(max_tokens=12, temperature=0, ignore_eos=True)
SEEDED = SamplingParams(max_tokens=12, temperature=1.0, top_p=0.9, seed=11, ignore_eos=True)


def tokens(outputs: list[StepOutput], request_id: str = "generate") -> list[int]:
    return [o.token for o in outputs if o.request_id == request_id and o.token is not None]


def text(outputs: list[StepOutput], request_id: str = "generate") -> str:
    return "".join(o.text for o in outputs if o.request_id == request_id)


def drain(engine: Engine) -> list[StepOutput]:
    outputs = []
    while engine.has_work:
        outputs += engine.step()
    return outputs


@pytest.mark.parametrize("params", [GREEDY, SEEDED], ids=["greedy", "seeded"])
def test_a_request_gets_the_same_tokens_alone_and_in_a_crowd(
    engine: Engine, params: SamplingParams
) -> None:
    alone = list(engine.generate(PROMPT, params))
    for number in range(6):  # two more than there are rows
        others = SamplingParams(max_tokens=3 + number, temperature=0.8, seed=number)
        engine.add(f"other-{number}", list(range(1, 3 + 5 * number)), others)
        if number == 1:
            engine.step()
            engine.add("ours", PROMPT, params)
    crowd = drain(engine)
    assert tokens(crowd, "ours") == tokens(alone)
    assert text(crowd, "ours") == text(alone)


def test_another_seed_gives_other_tokens(engine: Engine) -> None:
    first = tokens(list(engine.generate(PROMPT, SEEDED)))
    again = tokens(list(engine.generate(PROMPT, SEEDED)))
    other = SamplingParams(max_tokens=12, temperature=1.0, top_p=0.9, seed=12, ignore_eos=True)
    assert first == again != tokens(list(engine.generate(PROMPT, other)))


@pytest.mark.parametrize("params", [GREEDY, SEEDED], ids=["greedy", "seeded"])
@pytest.mark.parametrize("done", [0, 1, 5, 11])
def test_a_request_resumed_after_a_crash_goes_on_as_if_nothing_had_happened(
    engine: Engine, params: SamplingParams, done: int
) -> None:
    whole = list(engine.generate(PROMPT, params))
    engine.add("again", PROMPT, params, generated=tokens(whole)[:done])
    resumed = drain(engine)
    assert tokens(resumed, "again") == tokens(whole)[done:]
    assert text(resumed, "again") == text(whole[done:])
    assert resumed[-1].finish_reason == FinishReason.LENGTH


def test_text_held_back_at_a_crash_comes_out_when_the_request_is_resumed(engine: Engine) -> None:
    first_half = engine.tokenizer.encode("é", bos=False)[:1]
    engine.add("again", PROMPT, SamplingParams(max_tokens=1), generated=first_half)
    assert text(drain(engine), "again") == "\ufffd"


@pytest.mark.parametrize(
    ("generated", "params", "reason"),
    [
        ([7] * 12, GREEDY, FinishReason.LENGTH),
        ([7, 258], SamplingParams(max_tokens=12), FinishReason.STOP),
    ],
)
def test_a_request_that_was_complete_before_the_crash_ends_without_a_token(
    engine: Engine, generated: list[int], params: SamplingParams, reason: FinishReason
) -> None:
    assert engine.tokenizer.eos_ids == {258}
    engine.add("again", PROMPT, params, generated=generated)
    assert drain(engine) == [StepOutput("again", None, "", reason)]


def test_the_pieces_of_text_join_to_the_decoded_answer(engine: Engine) -> None:
    params = SamplingParams(max_tokens=40, temperature=1.5, seed=5, ignore_eos=True)
    outputs = list(engine.generate(PROMPT, params))
    whole = engine.tokenizer.decode(PROMPT + tokens(outputs))
    assert engine.tokenizer.decode(PROMPT) + text(outputs) == whole


def test_the_end_token_stops_an_answer(engine: Engine) -> None:
    favoured = SamplingParams(max_tokens=5, logit_bias={258: 100.0})
    assert engine.tokenizer.eos_ids == {258}
    (only,) = engine.generate([1], favoured)
    assert (only.token, only.finish_reason) == (258, FinishReason.STOP)
    ignored = list(engine.generate([1], replace(favoured, ignore_eos=True)))
    assert (tokens(ignored), ignored[-1].finish_reason) == ([258] * 5, FinishReason.LENGTH)
    banned = SamplingParams(max_tokens=5, logit_bias={258: -100.0})
    assert all(258 not in tokens(list(engine.generate([n], banned))) for n in range(10))


def test_an_answer_ends_where_the_context_ends(engine: Engine) -> None:
    params = SamplingParams(max_tokens=1000, ignore_eos=True)
    outputs = list(engine.generate([1] * 60, params))
    assert engine.info.context_limit == 64
    assert (len(outputs), outputs[-1].finish_reason) == (4, FinishReason.LENGTH)


def test_the_longest_prompt_gets_one_token_and_a_longer_one_the_limit(engine: Engine) -> None:
    assert len(list(engine.generate([1] * 63, GREEDY))) == 1
    with pytest.raises(PromptTooLong, match="64 tokens; this model takes at most 63") as caught:
        engine.add("long", [1] * 64, GREEDY)
    assert (caught.value.count, caught.value.limit) == (64, 63)
    assert not engine.has_work


@pytest.mark.parametrize(
    ("prompt", "message"),
    [([], "empty"), ([264], "Token 264 is outside"), ([-1], "Token -1 is outside")],
)
def test_a_prompt_that_is_no_prompt_is_refused(
    engine: Engine, prompt: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        engine.add("bad", prompt, GREEDY)
    assert not engine.has_work


def test_the_same_id_twice_is_refused_and_the_first_goes_on(engine: Engine) -> None:
    engine.add("a", PROMPT, GREEDY)
    with pytest.raises(ValueError, match="already in the engine"):
        engine.add("a", PROMPT, GREEDY)
    assert len(tokens(drain(engine), "a")) == 12


@pytest.mark.parametrize("steps", range(13))
def test_cancelling_at_any_step_frees_the_row_and_disturbs_nobody(
    engine: Engine, steps: int
) -> None:
    expected = tokens(list(engine.generate(PROMPT, GREEDY)))
    for name in ("first", "gone", "last"):
        engine.add(name, PROMPT if name != "gone" else [9, 9], GREEDY)
    outputs = [output for _ in range(steps) for output in engine.step()]
    engine.cancel("gone")
    engine.cancel("gone")
    engine.cancel("never heard of")
    for number in range(2):  # with four rows, both fit only if the row is free
        engine.add(f"new-{number}", PROMPT, GREEDY)
    following = engine.step()
    assert {"new-0", "new-1"} <= {output.request_id for output in following}
    outputs += following + drain(engine)
    ends = [o.finish_reason for o in outputs if o.request_id == "gone" and o.finish_reason]
    assert ends == [FinishReason.CANCELLED if steps < 12 else FinishReason.LENGTH]
    assert len(tokens(outputs, "gone")) == min(steps, 12)
    for name in ("first", "last", "new-0", "new-1"):
        assert tokens(outputs, name) == expected


def test_cancelling_a_request_that_still_waits_ends_it_without_a_token(engine: Engine) -> None:
    for number in range(5):
        engine.add(str(number), PROMPT, GREEDY)
    engine.step()
    engine.cancel("4")
    outputs = drain(engine)
    assert tokens(outputs, "4") == []
    assert [o.finish_reason for o in outputs if o.request_id == "4"] == [FinishReason.CANCELLED]


def test_leaving_generate_early_frees_the_engine(engine: Engine) -> None:
    generation = engine.generate(PROMPT, GREEDY)
    next(generation)
    generation.close()
    assert not engine.has_work
    assert len(list(engine.generate(PROMPT, GREEDY))) == 12


def test_generate_does_not_swallow_the_answers_of_others(engine: Engine) -> None:
    engine.add("a", PROMPT, GREEDY)
    with pytest.raises(RuntimeError, match="for itself"):
        next(engine.generate(PROMPT, GREEDY))
    assert len(tokens(drain(engine), "a")) == 12


def test_a_prompt_read_in_pieces_gives_the_same_tokens(engine: Engine) -> None:
    prompt = list(range(40))
    whole = tokens(list(engine.generate(prompt, GREEDY)))
    engine._scheduler.idle_chunk = 7
    engine._prefixes.forget()
    assert tokens(list(engine.generate(prompt, GREEDY))) == whole


def test_a_step_never_gives_a_request_more_than_one_token(engine: Engine) -> None:
    for number in range(6):
        engine.add(str(number), PROMPT, SamplingParams(max_tokens=2 + number, ignore_eos=True))
    while engine.has_work:
        seen = [output.request_id for output in engine.step()]
        assert len(seen) == len(set(seen))


def test_it_runs_in_bfloat16(tiny_release: Path) -> None:
    engine = Engine.load(tiny_release, dtype="bfloat16", max_batch=2)
    for name in ("a", "b", "c"):
        engine.add(name, PROMPT, SEEDED)
    outputs = drain(engine)
    assert engine.info.dtype == "bfloat16"
    assert [len(tokens(outputs, name)) for name in ("a", "b", "c")] == [12, 12, 12]


def test_an_unknown_dtype_is_refused(tiny_release: Path) -> None:
    with pytest.raises(ValueError, match="float32, bfloat16, int8, not 'int3'"):
        Engine.load(tiny_release, dtype="int3")


def test_info_tells_what_runs(engine: Engine) -> None:
    info = engine.info
    assert (info.dtype, info.device, info.max_batch) == ("float32", "cpu", 4)
    weights = random_weights(PARAMS).values()
    assert info.n_params == sum(weight.numel() for weight in weights)


def test_the_context_can_be_set_shorter_than_the_model_allows(tiny_release: Path) -> None:
    assert Engine.load(tiny_release, max_len=16).info.context_limit == 16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("params", [GREEDY, SEEDED], ids=["greedy", "seeded"])
def test_a_gpu_gives_the_tokens_of_a_cpu(
    tiny_release: Path, engine: Engine, params: SamplingParams
) -> None:
    gpu: Any = Engine.load(tiny_release, device="cuda", max_batch=4)
    expected = tokens(list(engine.generate(PROMPT, params)))
    for name in ("a", "b"):
        gpu.add(name, PROMPT, params)
    outputs = drain(gpu)
    assert tokens(outputs, "a") == tokens(outputs, "b") == expected


# ---- Tokens that end an answer, and how long it is at least ----------------------------------------


@pytest.mark.parametrize("ignore_eos", [True, False])
def test_a_stop_token_ends_the_answer_and_its_text_is_not_shown(
    engine: Engine, ignore_eos: bool
) -> None:
    whole = tokens(list(engine.generate(PROMPT, GREEDY)))
    at = next(at for at in range(3, 12) if whole[at] not in whole[:at])
    params = replace(GREEDY, stop_token_ids=(whole[at], 0), ignore_eos=ignore_eos)
    outputs = list(engine.generate(PROMPT, params))
    assert tokens(outputs) == whole[: at + 1]
    assert (
        text(outputs)
        == engine.tokenizer.decode(PROMPT + whole[:at])[len(engine.tokenizer.decode(PROMPT)) :]
    )
    assert outputs[-1].finish_reason == FinishReason.STOP


def eager(engine: Engine, **more: Any) -> SamplingParams:
    """Whose answer ends at once, if it may."""
    (eos,) = engine.tokenizer.eos_ids
    return SamplingParams(max_tokens=12, temperature=1.0, logit_bias={eos: 100}, **more)


@pytest.mark.parametrize("least", [0, 1, 5, 12])
def test_nothing_ends_an_answer_before_its_least_length(engine: Engine, least: int) -> None:
    (eos,) = engine.tokenizer.eos_ids
    made = tokens(list(engine.generate(PROMPT, eager(engine, min_tokens=least))))
    assert made[least:] == ([eos] if least < 12 else [])
    assert eos not in made[:least]


def test_a_stop_token_is_barred_too_and_others_are_not_disturbed(engine: Engine) -> None:
    alone = tokens(list(engine.generate(PROMPT, GREEDY)))
    params = replace(GREEDY, stop_token_ids=(alone[0],), min_tokens=4)
    engine.add("other", PROMPT, GREEDY)
    engine.add("ours", PROMPT, params)
    outputs = drain(engine)
    assert tokens(outputs, "other") == alone
    assert alone[0] not in tokens(outputs, "ours")[:4]


def test_a_stop_string_counts_from_the_least_length_on(engine: Engine) -> None:
    whole = list(engine.generate(PROMPT, GREEDY))
    shown = text(whole)
    first = replace(GREEDY, stop=(shown[0],))
    assert text(list(engine.generate(PROMPT, first))) == ""
    later = text(list(engine.generate(PROMPT, replace(first, min_tokens=11))))
    assert shown.startswith(later)
    assert len(later) > 1


@pytest.mark.parametrize("done", [1, 4, 5])
def test_a_least_length_counts_what_there_was_before_a_crash(engine: Engine, done: int) -> None:
    params = eager(engine, min_tokens=5, seed=3, stop=("a", "e"))
    whole = list(engine.generate(PROMPT, params))
    engine.add("again", PROMPT, params, generated=tokens(whole)[:done])
    assert tokens(drain(engine), "again") == tokens(whole)[done:]


@pytest.mark.parametrize("token", [-1, 100_000])
def test_a_stop_token_that_the_model_has_not_is_refused(engine: Engine, token: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        engine.add("ours", PROMPT, replace(GREEDY, stop_token_ids=(token,)))
