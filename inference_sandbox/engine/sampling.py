"""From logits to tokens, row by row: what one row gets does not depend on the others."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from inference_sandbox.engine.request import MOST_ALTERNATIVES, SamplingParams, TokenScore

__all__ = ["History", "SamplingParams", "sample", "score", "uniforms"]

NUCLEUS_GUESS = 1024


def uniforms(seed: int, index: int, count: int) -> list[float]:
    """Numbers in [0, 1) that depend on the seed and the token's index alone.

    No generator state is carried from token to token, so a request draws the same numbers alone,
    in a crowd, and when it goes on after a crash. They have 24 bits: float32 holds them as they are,
    and does not round the last of them to 1.
    """
    numbers = random.Random(f"{seed}:{index}")  # noqa: S311 (no secret)
    return [numbers.getrandbits(24) / (1 << 24) for _ in range(count)]


class History:
    """What one request's penalties count: [vocabulary] each, kept from step to step."""

    def __init__(self, vocab_size: int, device: torch.device, prompt: Sequence[int]) -> None:
        self._answer = torch.zeros(vocab_size, dtype=torch.float32, device=device)
        self._seen = torch.zeros(vocab_size, dtype=torch.bool, device=device)
        self._seen[torch.tensor(prompt, dtype=torch.long, device=device)] = True

    def push(self, token: int) -> None:
        self._answer[token] += 1
        self._seen[token] = True

    def penalise(self, logits: Tensor, params: SamplingParams) -> Tensor:
        """The row's logits [vocabulary] less its penalties."""
        if (divisor := params.repetition_penalty) != 1:
            pressed = torch.where(logits > 0, logits / divisor, logits * divisor)
            logits = torch.where(self._seen, pressed, logits)
        said = self._answer > 0
        return (
            logits
            - params.frequency_penalty * self._answer
            - params.presence_penalty * said.float()
        )


def sample(
    logits: Tensor,
    params: Sequence[SamplingParams],
    indices: Sequence[int],
    histories: Sequence[History | None] = (),
) -> list[int]:
    """Choose one token per row.

    logits: [rows, vocabulary], float32. indices: how many tokens each row has generated so far.
    histories: of the rows that penalise.
    """
    logits = _adjusted(logits, params, histories or [None] * len(params))
    tokens: list[int] = logits.argmax(-1).tolist()
    drawn = [row for row, p in enumerate(params) if p.temperature > 0]
    if drawn:
        rows = logits if len(drawn) == len(tokens) else logits[drawn]
        choices = _draw(rows, [params[r] for r in drawn], [indices[r] for r in drawn])
        for row, token in zip(drawn, choices, strict=True):
            tokens[row] = token
    return tokens


def score(
    logits: Tensor, tokens: Sequence[int], told: Sequence[int | None]
) -> list[TokenScore | None]:
    """What the model thought of each row's token; None for a row of which nothing is told.

    logits: [rows, vocabulary], float32, as the model gave them. told: alternatives for each row.
    """
    asked = [row for row, count in enumerate(told) if count is not None]
    scores: list[TokenScore | None] = [None] * len(tokens)
    if not asked:
        return scores
    logprobs = (logits if len(asked) == len(tokens) else logits[asked]).log_softmax(-1)
    entropies = -(logprobs.exp() * logprobs.clamp(min=-1e4)).sum(-1)  # 0 × -inf is NaN
    most = min(max(told[row] or 0 for row in asked), logprobs.shape[-1], MOST_ALTERNATIVES)
    values, ids = logprobs.topk(most) if most else (logprobs[:, :0], logprobs[:, :0])
    chosen = torch.tensor([tokens[row] for row in asked], device=logits.device).unsqueeze(-1)
    columns = (logprobs.gather(-1, chosen).squeeze(-1), entropies, values, ids)
    lists = [column.tolist() for column in columns]
    for row, logprob, entropy, best, names in zip(asked, *lists, strict=True):
        top = tuple(zip(map(int, names), best, strict=True))[: told[row] or 0]
        scores[row] = TokenScore(tokens[row], logprob, entropy, top)
    return scores


def _adjusted(
    logits: Tensor, params: Sequence[SamplingParams], histories: Sequence[History | None]
) -> Tensor:
    """The logits with each row's penalties and biases; the given tensor where there are none."""
    touched = [row for row, p in enumerate(params) if histories[row] or p.logit_bias]
    if not touched:
        return logits
    logits = logits.clone()
    for row in touched:
        if history := histories[row]:
            logits[row] = history.penalise(logits[row], params[row])
        for token, bias in params[row].logit_bias.items():
            logits[row, token] += bias
    return logits


def _draw(logits: Tensor, params: Sequence[SamplingParams], indices: Sequence[int]) -> list[int]:
    # The largest logit is taken off first: a tiny temperature would otherwise overflow.
    shifted = (logits - logits.amax(-1, keepdim=True)).double()
    probs = (shifted / _column([p.temperature for p in params], logits)).softmax(-1)
    if any(p.top_k or p.top_p < 1 or p.min_p for p in params):
        probs = _truncated(probs, params)
    return _by_halves(probs, params, indices)


def _by_halves(
    probs: Tensor, params: Sequence[SamplingParams], indices: Sequence[int]
) -> list[int]:
    """Draw by halving the vocabulary until one token is left, with a number of its own each time.

    A batch changes probabilities by their rounding. Were one number held against the cumulative
    sum of all, what changes anywhere would move every border behind it, past many of the rarest
    tokens: some 4 of 10,000 draws came out otherwise. Here a number is held against the share of
    one half of what is left, which hardly moves: 1 of 100,000. The halves are in the vocabulary's
    order, for by their probabilities tokens that are almost equally likely may swap ranks.
    """
    rows, vocab_size = probs.shape
    levels = (vocab_size - 1).bit_length()
    below = probs.new_zeros(rows, (1 << levels) + 1)  # the sum of what stands before each token
    below[:, 1 : vocab_size + 1] = probs.cumsum(-1)
    below[:, vocab_size + 1 :] = below[:, vocab_size : vocab_size + 1]
    numbers = [uniforms(p.seed, at, levels) for p, at in zip(params, indices, strict=True)]
    drawn = torch.tensor(numbers, dtype=probs.dtype, device=probs.device)
    first = torch.zeros(rows, 1, dtype=torch.long, device=probs.device)
    for level in range(levels):
        half = 1 << (levels - 1 - level)
        low, middle, high = (below.gather(1, first + place) for place in (0, half, 2 * half))
        first += half * (drawn[:, level : level + 1] * (high - low) >= middle - low)
    tokens: list[int] = first.squeeze(-1).clamp(max=vocab_size - 1).tolist()
    return tokens


def _truncated(probs: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """Zero what top_k, then top_p of the rest, then min_p leave out; equals stay together."""
    vocab_size = probs.shape[-1]
    top_k = _column([p.top_k or vocab_size for p in params], probs)
    top_p = _column([p.top_p for p in params], probs)
    min_p = _column([p.min_p for p in params], probs)
    # Sorting a whole vocabulary costs more than the rest of sampling, and the top nearly always
    # holds all that is kept. Either way the same least probability comes out.
    ordered = probs.topk(min(NUCLEUS_GUESS, vocab_size)).values
    ranks = torch.arange(ordered.shape[-1], device=probs.device)
    enough = (ordered.sum(-1, keepdim=True) >= top_p) | (top_k <= ordered.shape[-1])
    if not bool(enough.all()):
        ordered = probs.sort(dim=-1, descending=True).values
        ranks = torch.arange(vocab_size, device=probs.device)
    within = ordered.masked_fill(ranks >= top_k, 0.0)
    total = torch.where(top_k < vocab_size, within.sum(-1, keepdim=True), 1.0)
    above = within.cumsum(-1) - within  # probability of the tokens ranked before this one
    out = (ranks >= top_k) | (above >= top_p * total)
    least = ordered.masked_fill(out, 1.0).amin(-1, keepdim=True)
    least = torch.maximum(least, min_p * ordered[:, :1])
    return probs.masked_fill(probs < least, 0.0)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device).unsqueeze(-1)
