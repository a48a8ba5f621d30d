"""Strategies for requests that no person means: for the engine, and for what stands before it."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import strategies as st

# How long hypothesis sends odd requests beside three people.
SECONDS = 60.0 if os.environ.get("WEIGHBRIDGE_TEST_ALL") else 3.0

EDGES = [0, 1, -1, 2**31, 2**63, 2**64, 2**70, 10**400]
TINY = [0.0, -0.0, 5e-324, 1e-46, 1e-40, 1e-38, 1e-7, 1e-5, 1 - 1e-12, 1.0, 1e38, 1e39]

odd_floats = st.floats() | st.sampled_from(TINY) | st.sampled_from(EDGES)
odd_integers = st.integers() | st.sampled_from(EDGES)


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nine in ten are as usual, so that what is odd gets as far as the step."""
    return st.integers(0, 9).flatmap(lambda number: odd if number == 9 else usual)


def tokens(vocab_size: int) -> st.SearchStrategy[int]:
    return mostly(st.integers(0, vocab_size - 1), st.sampled_from([-1, vocab_size, *EDGES]))


def options(vocab_size: int, context: int) -> dict[str, st.SearchStrategy[Any]]:
    """Of SamplingParams, which all may be left out."""
    return {
        "max_tokens": mostly(st.integers(1, context), odd_integers),
        "temperature": mostly(st.floats(0, 2), odd_floats),
        "top_k": mostly(st.integers(0, vocab_size), odd_integers),
        "top_p": mostly(st.floats(0, 1), odd_floats),
        "min_p": mostly(st.floats(0, 1), odd_floats),
        "repetition_penalty": mostly(st.floats(0.01, 2), odd_floats),
        "presence_penalty": mostly(st.floats(-2, 2), odd_floats),
        "frequency_penalty": mostly(st.floats(-2, 2), odd_floats),
        "logit_bias": st.dictionaries(
            tokens(vocab_size), mostly(st.floats(-100, 100), odd_floats), max_size=3
        ),
        "stop": st.lists(st.text(st.characters(), min_size=1, max_size=3), max_size=3),
        "stop_token_ids": st.lists(tokens(vocab_size), max_size=2),
        "min_tokens": mostly(st.integers(0, 5), odd_integers),
        "seed": mostly(st.integers(0, 99), odd_integers),
        "ignore_eos": st.booleans(),
        "logprobs": mostly(st.none() | st.integers(0, 20), odd_integers),
        "prompt_logprobs": mostly(st.none() | st.integers(0, 20), odd_integers),
        "repeatable": st.booleans(),
    }
