"""From logits to tokens, row by row: what one row gets does not depend on the others."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from inference_sandbox.engine.request import SamplingParams

__all__ = ["SamplingParams", "sample", "uniform"]

NUCLEUS_GUESS = 1024


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1) that depends on the seed and the token's index alone.

    No generator state is carried from token to token, so a request draws the same numbers alone,
    in a crowd, and when it goes on after a crash.
    """
    return random.Random(f"{seed}:{index}").random()  # noqa: S311 (no secret)


def sample(logits: Tensor, params: Sequence[SamplingParams], indices: Sequence[int]) -> list[int]:
    """Choose one token per row.

    logits: [rows, vocabulary], float32. indices: how many tokens each row has generated so far.
    """
    tokens: list[int] = logits.argmax(-1).tolist()
    drawn = [row for row, p in enumerate(params) if p.temperature > 0]
    if drawn:
        choices = _draw(logits[drawn], [params[r] for r in drawn], [indices[r] for r in drawn])
        for row, token in zip(drawn, choices, strict=True):
            tokens[row] = token
    return tokens


def _draw(logits: Tensor, params: Sequence[SamplingParams], indices: Sequence[int]) -> list[int]:
    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=logits.device).unsqueeze(-1)

    # The largest logit is taken off first: a tiny temperature would otherwise overflow.
    shifted = (logits - logits.amax(-1, keepdim=True)).double()
    probs = (shifted / column([p.temperature for p in params])).softmax(-1)
    if any(p.top_p < 1 for p in params):
        probs = _keep_nucleus(probs, column([p.top_p for p in params]))
    # The cumulative sum runs in the order of the vocabulary, not of the probabilities: two tokens
    # that are almost equally likely may swap ranks with the rounding of a batch, and the draw must
    # not follow them.
    cumulative = probs.cumsum(-1)
    draws = column([uniform(p.seed, i) for p, i in zip(params, indices, strict=True)])
    chosen = torch.searchsorted(cumulative, draws * cumulative[:, -1:], right=True)
    tokens: list[int] = chosen.squeeze(-1).clamp(max=logits.shape[-1] - 1).tolist()
    return tokens


def _keep_nucleus(probs: Tensor, top_p: Tensor) -> Tensor:
    """Zero all but the likeliest tokens that together reach `top_p`; equals stay together."""
    # Sorting a whole vocabulary costs more than the rest of sampling, and the top nearly always
    # holds the nucleus. Either way the same least probability comes out.
    ordered = probs.topk(min(NUCLEUS_GUESS, probs.shape[-1])).values
    if bool((ordered.sum(-1, keepdim=True) < top_p).any()):
        ordered = probs.sort(dim=-1, descending=True).values
    above = ordered.cumsum(-1) - ordered  # probability of the tokens ranked before this one
    least = ordered.masked_fill(above >= top_p, 1.0).amin(-1, keepdim=True)
    return probs.masked_fill(probs < least, 0.0)
