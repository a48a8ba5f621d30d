from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from inference_sandbox.engine.sampling import SamplingParams, sample, uniforms

LOGITS = torch.tensor([[0.0, 2.0, 1.0, -1.0, 2.5]])


def draws(count: int = 4000, logits: torch.Tensor = LOGITS, **params: Any) -> Counter[int]:
    rows = logits.expand(count, -1)
    return Counter(sample(rows, [SamplingParams(**params)] * count, range(count)))


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draws(temperature=0) == {4: 4000}


def test_a_tiny_temperature_does_not_overflow() -> None:
    assert draws(temperature=1e-6) == {4: 4000}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    expected = (LOGITS[0] / temperature).softmax(-1)
    counts = draws(temperature=temperature, seed=7)
    for token, probability in enumerate(expected.tolist()):
        assert counts[token] / 4000 == pytest.approx(probability, abs=0.03)


def test_top_p_keeps_the_likeliest_that_reach_it_and_their_proportions() -> None:
    probs = LOGITS[0].softmax(-1)  # 0.50, 0.30, 0.11, 0.04, 0.02
    assert probs[4] < 0.7 < probs[4] + probs[1]
    counts = draws(temperature=1, top_p=0.7)
    assert set(counts) == {4, 1}
    assert counts[4] / 4000 == pytest.approx(float(probs[4] / (probs[4] + probs[1])), abs=0.03)


def test_a_tiny_top_p_keeps_one_token() -> None:
    assert draws(temperature=1, top_p=1e-9) == {4: 4000}


def test_a_nucleus_wider_than_the_first_guess_is_found_whole() -> None:
    flat = torch.zeros(1, 5000)
    counts = draws(count=300, logits=flat, temperature=1, top_p=0.9)
    assert max(counts) > 4000
    assert len(counts) > 250


def test_a_row_draws_the_same_whoever_is_beside_it() -> None:
    logits = torch.randn(6, 1000, generator=torch.Generator().manual_seed(0)) * 3
    params = [
        SamplingParams(temperature=0.9, top_p=0.8, seed=1),
        SamplingParams(temperature=0),
        SamplingParams(temperature=1.3, seed=2),
        SamplingParams(temperature=0.7, top_p=0.95, seed=3),
        SamplingParams(temperature=0),
        SamplingParams(temperature=1.0, top_p=0.5, seed=1),
    ]
    indices = [0, 5, 9, 2, 7, 0]
    together = sample(logits, params, indices)
    for row in range(6):
        assert sample(logits[row : row + 1], [params[row]], [indices[row]]) == [together[row]]


def test_seed_and_index_alone_make_the_draw() -> None:
    assert uniforms(3, 4, 5) == uniforms(3, 4, 5)
    assert uniforms(3, 4, 5)[:2] == uniforms(3, 4, 2)
    numbers = [n for seed in range(20) for index in range(20) for n in uniforms(seed, index, 3)]
    assert len(set(numbers)) > 1190
    assert all(0 <= number < 1 for number in numbers)


@pytest.mark.parametrize("vocab_size", [2, 3, 8, 100])
def test_each_token_is_drawn_as_often_as_it_is_likely(vocab_size: int) -> None:
    logits = torch.randn(vocab_size, generator=torch.Generator().manual_seed(vocab_size))
    expected, draws = logits.softmax(-1), 20_000
    params = [SamplingParams(temperature=1.0, seed=seed) for seed in range(draws)]
    found = torch.tensor(sample(logits.expand(draws, -1), params, [0] * draws))
    shares = torch.bincount(found, minlength=vocab_size) / draws
    # Five standard deviations of a share.
    assert bool(((shares - expected).abs() < 5 * (expected / draws).sqrt()).all())


def test_what_has_no_probability_is_never_drawn() -> None:
    logits = torch.full((1, 9), float("-inf"))
    logits[0, [0, 4, 8]] = 0.0
    params = [SamplingParams(temperature=1.0, seed=seed) for seed in range(300)]
    assert set(sample(logits.expand(300, -1), params, [0] * 300)) == {0, 4, 8}


def test_the_rounding_of_a_batch_hardly_ever_changes_a_draw() -> None:
    """Most of the vocabulary is rare, as a model's is: one number held against all of it changes six of these draws."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, generator=generator) * 2
    rounded = logits + torch.randn(20_000, generator=generator) * 1e-5
    rows = 2_000
    params = [SamplingParams(temperature=1.0, seed=seed) for seed in range(rows)]
    ours, others = (sample(one.expand(rows, -1), params, [0] * rows) for one in (logits, rounded))
    assert sum(a != b for a, b in zip(ours, others, strict=True)) <= 1


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": -0.1},
        {"top_p": 1.1},
        {"max_tokens": -1},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        SamplingParams(**params)
