"""Each sampling option does what its name says, beside the reference implementation where there is one."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from inference_sandbox.engine.request import SamplingParams
from inference_sandbox.engine.sampling import History, sample, score

VOCABULARY = 300


def logits(seed: int, rows: int = 1) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


def drawn(row: torch.Tensor, params: dict[str, float], count: int = 400) -> set[int]:
    """What comes out with many seeds."""
    every = [SamplingParams(temperature=1.0, seed=seed, **params) for seed in range(count)]  # type: ignore[arg-type]
    return set(sample(row.expand(count, -1), every, [0] * count))


@pytest.mark.parametrize(
    ("params", "warpers"),
    [
        ({"top_k": 5}, [TopKLogitsWarper(5)]),
        ({"top_k": 1}, [TopKLogitsWarper(1)]),
        ({"top_p": 0.6}, [TopPLogitsWarper(0.6)]),
        ({"min_p": 0.2}, [MinPLogitsWarper(0.2)]),
        ({"top_k": 20, "top_p": 0.8}, [TopKLogitsWarper(20), TopPLogitsWarper(0.8)]),
        ({"top_k": 1000, "min_p": 0.1}, [MinPLogitsWarper(0.1)]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("seed", range(5))
def test_only_tokens_that_transformers_would_leave_are_drawn(
    params: dict[str, float], warpers: list[object], seed: int
) -> None:
    row = logits(seed)
    left = row
    for warper in warpers:
        left = warper(torch.tensor([[0]]), left)  # type: ignore[operator]
    allowed = set(left[0].isfinite().nonzero().flatten().tolist())
    found = drawn(row, params)
    assert found <= allowed
    likely = {t for t in allowed if left.softmax(-1)[0, t] > 0.05}
    assert likely <= found, "and each likely one is, in 400 draws"


def test_the_repetition_penalty_is_that_of_transformers() -> None:
    row, prompt, answer = logits(7), [4, 9, 9], [17, 4]
    history = History(VOCABULARY, torch.device("cpu"), prompt)
    for token in answer:
        history.push(token)
    ours = history.penalise(row[0], SamplingParams(repetition_penalty=1.3))
    theirs = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([prompt + answer]), row)
    torch.testing.assert_close(ours, theirs[0])


def test_presence_counts_once_and_frequency_each_time_and_neither_the_prompt() -> None:
    history = History(VOCABULARY, torch.device("cpu"), [1, 2])
    for token in (5, 5, 6):
        history.push(token)
    flat = torch.zeros(VOCABULARY)
    once = history.penalise(flat, SamplingParams(presence_penalty=0.5))
    each = history.penalise(flat, SamplingParams(frequency_penalty=0.5))
    assert (once[5], once[6], once[1]) == (-0.5, -0.5, 0)
    assert (each[5], each[6], each[1]) == (-1.0, -0.5, 0)


def test_a_bias_lifts_and_bans() -> None:
    row = logits(3)
    last = int(row.argmin())
    assert sample(row, [SamplingParams(logit_bias={last: 100.0})], [0]) == [last]
    first = int(row.argmax())
    assert sample(row, [SamplingParams(logit_bias={first: -100.0})], [0]) != [first]


def test_scores_are_those_of_the_raw_distribution() -> None:
    rows = logits(1, rows=3)
    first, nothing, last = score(rows, [10, 20, 30], [3, None, 0])
    raw = rows.log_softmax(-1)
    assert nothing is None
    assert first
    assert last
    assert first.logprob == pytest.approx(float(raw[0, 10]))
    assert [token for token, _ in first.top] == raw[0].topk(3).indices.tolist()
    assert [value for _, value in first.top] == pytest.approx(raw[0].topk(3).values.tolist())
    assert first.entropy == pytest.approx(
        float(torch.distributions.Categorical(logits=rows[0]).entropy())
    )
    assert (last.token, last.top) == (30, ())


def test_the_chosen_tokens_score_is_the_very_float_among_the_alternatives() -> None:
    rows = logits(2, rows=4)
    best = rows.argmax(-1).tolist()
    for one in score(rows, best, [1] * 4):
        assert one
        assert one.top[0] == (one.token, one.logprob)


def test_a_token_that_cannot_come_has_no_part_in_the_entropy() -> None:
    row = torch.full((1, VOCABULARY), float("-inf"))
    row[0, :2] = 0.0
    (one,) = score(row, [0], [2])
    assert one
    assert one.entropy == pytest.approx(0.6931, abs=1e-4)


@pytest.mark.parametrize(
    "params",
    [
        {"top_k": -1},
        {"min_p": 1.5},
        {"repetition_penalty": 0.0},
        {"presence_penalty": float("nan")},
        {"logprobs": 21},
        {"prompt_logprobs": -1},
        {"stop": ("",)},
    ],
    ids=str,
)
def test_an_option_out_of_its_bounds_is_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SamplingParams(**params)  # type: ignore[arg-type]
