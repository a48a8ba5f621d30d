"""From logits to tokens, row by row: what one row gets does not depend on the others."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from inference_sandbox.engine.request import MOST_ALTERNATIVES, SamplingParams, TokenScore

__all__ = ["History", "SamplingParams", "sample", "score", "uniforms"]

BLOCK = 256  # tokens of the vocabulary that are drawn from together
# So many of the likeliest are ranked, while they do not hold all that top_p keeps: ranking a whole
# vocabulary takes longer than all the rest.
RANKED = (64, 1024)
LEAST_LOGPROB = -9999.0  # told of a token that cannot come, as vLLM does: JSON has no infinity


class NotFinite(ArithmeticError):
    """A row's logits are NaN or infinite: no token can be chosen from them."""

    def __init__(self) -> None:
        super().__init__(
            "The model's logits are NaN or infinite: its weights are damaged, or too large for the "
            "engine's dtype. Report this to the managers of this site."
        )


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
    barred: Sequence[Sequence[int]] = (),
) -> list[int]:
    """Choose one token per row.

    logits: [rows, vocabulary], float32. indices: how many tokens each row has generated so far.
    histories: of the rows that penalise. barred: tokens that a row may not get. Raises NotFinite.
    """
    nothing = [None] * len(params)
    logits = _adjusted(logits, params, histories or nothing, barred or [()] * len(params))
    tokens = [0] * len(params)
    greedy = [row for row, p in enumerate(params) if not p.temperature]
    drawn = [row for row, p in enumerate(params) if p.temperature]
    if greedy:
        _put(tokens, greedy, _likeliest(_rows(logits, greedy)))
    if drawn:
        asked, places = [params[row] for row in drawn], [indices[row] for row in drawn]
        _put(tokens, drawn, _draw(_rows(logits, drawn), asked, places))
    return tokens


def _rows(of: Tensor, rows: Sequence[int]) -> Tensor:
    return of if len(rows) == len(of) else of[rows]


def _put(tokens: list[int], rows: Sequence[int], chosen: Sequence[int]) -> None:
    for row, token in zip(rows, chosen, strict=True):
        tokens[row] = token


def _likeliest(logits: Tensor) -> list[int]:
    # NumPy is ten times as quick as torch here, on a CPU. For both a NaN is above every number.
    if logits.device.type == "cpu":
        found = logits.numpy()
        chosen = found.argmax(-1)
        is_finite = np.isfinite(found[np.arange(len(chosen)), chosen])
        tokens: list[int] = np.where(is_finite, chosen, -1).tolist()
    else:
        places = logits.argmax(-1, keepdim=True)
        tokens = torch.where(logits.gather(-1, places).isfinite(), places, -1).flatten().tolist()
    if min(tokens) < 0:
        raise NotFinite
    return tokens


def score(
    logits: Tensor, tokens: Sequence[int], told: Sequence[int | None]
) -> list[TokenScore | None]:
    """What the model thought of each row's token; None for a row of which nothing is told.

    logits: [rows, vocabulary], float32, as the model gave them. told: alternatives for each row.
    Raises NotFinite.
    """
    asked = [row for row, count in enumerate(told) if count is not None]
    scores: list[TokenScore | None] = [None] * len(tokens)
    if not asked:
        return scores
    logprobs = _rows(logits, asked).log_softmax(-1)
    entropies = -(logprobs.exp() * logprobs.clamp(min=-1e4)).sum(-1)  # 0 × -inf is NaN
    most = min(max(told[row] or 0 for row in asked), logprobs.shape[-1], MOST_ALTERNATIVES)
    values, ids = logprobs.topk(most) if most else (logprobs[:, :0], logprobs[:, :0])
    chosen = torch.tensor([tokens[row] for row in asked], device=logits.device).unsqueeze(-1)
    columns = (logprobs.gather(-1, chosen).squeeze(-1), entropies, values, ids)
    lists = [column.tolist() for column in columns]
    for row, logprob, entropy, best, names in zip(asked, *lists, strict=True):
        if not math.isfinite(entropy):  # which all of the row's logits have a part in
            raise NotFinite
        likely = (max(value, LEAST_LOGPROB) for value in best)
        top = tuple(zip(map(int, names), likely, strict=True))[: told[row] or 0]
        scores[row] = TokenScore(tokens[row], max(logprob, LEAST_LOGPROB), entropy, top)
    return scores


def _adjusted(
    logits: Tensor,
    params: Sequence[SamplingParams],
    histories: Sequence[History | None],
    barred: Sequence[Sequence[int]],
) -> Tensor:
    """The logits with each row's penalties, biases and bars; the given tensor where there are none."""
    rows = enumerate(params)
    touched = [row for row, p in rows if histories[row] or p.logit_bias or barred[row]]
    if not touched:
        return logits
    logits = logits.clone()
    for row in touched:
        if history := histories[row]:
            logits[row] = history.penalise(logits[row], params[row])
        for token, bias in params[row].logit_bias.items():
            logits[row, token] += bias
        if barred[row]:
            logits[row, list(barred[row])] = -math.inf
    return logits


def _draw(logits: Tensor, params: Sequence[SamplingParams], indices: Sequence[int]) -> list[int]:
    # In one tensor: new memory for each step would take longer than the arithmetic. The largest
    # logit is taken off first, for a tiny temperature would otherwise overflow.
    probs = logits - logits.amax(-1, keepdim=True)
    probs.div_(_column([p.temperature for p in params], logits)).exp_()
    probs.div_(probs.sum(-1, keepdim=True))
    if (least := _least_kept(probs, params)) is not None:
        probs.masked_fill_(probs < least, 0.0)
    return _by_halves(probs, params, indices)


def _by_halves(
    probs: Tensor, params: Sequence[SamplingParams], indices: Sequence[int]
) -> list[int]:
    """Draw by halving the vocabulary until one token is left, with a number of its own each time.

    A batch changes probabilities by their rounding. Were one number held against the cumulative
    sum of all, what changes anywhere would move every border behind it, past many of the rarest
    tokens: some 4 of 10,000 draws came out otherwise. Here a number is held against the share of
    one half of what is left, which hardly moves: 1 of 100,000. Which tokens stand in which half is
    theirs for good, for by their probabilities almost equal ones may swap ranks.
    """
    rows, vocab_size = probs.shape
    missing = -vocab_size % BLOCK
    blocks = (F.pad(probs, (0, missing)) if missing else probs).view(rows, -1, BLOCK)
    sums = blocks.sum(-1).cpu().numpy()
    among, within = (sums.shape[1] - 1).bit_length(), (BLOCK - 1).bit_length()
    numbers = [uniforms(p.seed, at, among + within) for p, at in zip(params, indices, strict=True)]
    drawn = np.array(numbers, np.float32)
    block = _halved(sums, drawn[:, :among])
    chosen = blocks[torch.arange(rows), torch.from_numpy(block)].cpu().numpy()
    tokens: list[int] = (block * BLOCK + _halved(chosen, drawn[:, among:])).tolist()
    return tokens


def _halved(weights: Any, drawn: Any) -> Any:
    """One place for each row. weights: [rows, n]; drawn: [rows, levels], with n up to 2 ** levels.

    A number is held against the sum of a half, each of which adds up its own weights alone: so even
    among the rarest the shares are right.
    """
    rows, levels = drawn.shape
    sums = [np.pad(weights, ((0, 0), (0, (1 << levels) - weights.shape[1])))]
    for level in reversed(range(levels)):
        sums.append(sums[-1][:, : 1 << level] + sums[-1][:, 1 << level :])
    if not (np.isfinite(sums[-1]) & (sums[-1] > 0)).all():
        raise NotFinite
    row, places = np.arange(rows), np.zeros(rows, np.int64)
    for level in range(levels):
        whole, halves = sums[levels - level], sums[levels - level - 1]
        is_upper = drawn[:, level] * whole[row, places] >= halves[row, places]
        places += is_upper.astype(np.int64) << level
    return places


def _least_kept(probs: Tensor, params: Sequence[SamplingParams]) -> Tensor | None:
    """The least probability that top_k, then top_p of the rest, then min_p keep in each row, [rows, 1].

    Equals stay together. None where everything is kept.
    """
    if not any(p.top_k or p.top_p < 1 or p.min_p for p in params):
        return None
    least = _column([p.min_p for p in params], probs) * probs.amax(-1, keepdim=True)
    rows = [row for row, p in enumerate(params) if p.top_k or p.top_p < 1]
    for size in (*RANKED, probs.shape[-1]):
        if rows:
            found, left = _least_ranked(_rows(probs, rows), [params[row] for row in rows], size)
            least[rows] = torch.maximum(least[rows], found)
            rows = [row for row, is_left in zip(rows, left, strict=True) if is_left]
    return least


def _least_ranked(
    probs: Tensor, params: Sequence[SamplingParams], size: int
) -> tuple[Tensor, list[bool]]:
    """The least that top_k and top_p keep, and whether so many of the likeliest do not show it; then it is 0."""
    vocab_size = probs.shape[-1]
    top_k = _column([min(p.top_k or vocab_size, vocab_size) for p in params], probs)
    top_p = _column([p.top_p for p in params], probs)
    every = size >= vocab_size
    ordered = (probs.sort(descending=True) if every else probs.topk(size)).values
    ranks = torch.arange(ordered.shape[-1], device=probs.device)
    within = ordered.masked_fill(ranks >= top_k, 0.0)
    cumulative = within.cumsum(-1)
    total = torch.where(top_k < vocab_size, cumulative[:, -1:], 1.0)
    # Above a token stands what the tokens ranked before it come to.
    out = (ranks >= top_k) | ((cumulative - within >= top_p * total) & (top_p < 1))
    least = ordered.masked_fill(out, 1.0).amin(-1, keepdim=True)
    shown = (top_k <= size) | ((top_p < 1) & (top_k == vocab_size) & (cumulative[:, -1:] >= top_p))
    left = torch.zeros_like(shown) if every else ~shown
    return least.masked_fill(left, 0.0), left.squeeze(-1).tolist()


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(-1)
