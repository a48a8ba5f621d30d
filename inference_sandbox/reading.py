"""The records of a run's tokens as people see them: text, probability, entropy, alternatives."""

import codecs
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from inference_sandbox import tokens
from inference_sandbox.answer import Record
from inference_sandbox.models import Run, RunTokens

if TYPE_CHECKING:
    from inference_sandbox.engine.tokenizer import Tokenizer

# A token's level is how many of these its probability reaches.
LEVELS = (0.01, 0.05, 0.2, 0.5, 0.9)
LEGEND = tuple(
    zip(range(5, -1, -1), ("90 % or more", "50 %", "20 %", "5 %", "1 %", "less"), strict=True)
)
CHART_HEIGHT = 40
SIGNS = str.maketrans({" ": "·", "\t": "⇥", "\n": "↵"})
# What a space, a tab and a line's end are marked up with, so that they can be made visible.
MARKS = {" ": "<i> </i>", "\t": '<i class="tab">\t</i>', "\n": '<i class="nl">\n</i>'}


@dataclass(frozen=True)
class Shown:
    """One token. `text` is what it adds to the text: nothing, while a character is incomplete."""

    place: int  # from 0 on
    id: int
    text: str
    is_control: bool
    logprob: float | None
    entropy: float | None  # nats, as in the record
    top: Sequence[Sequence[Any]]

    @property
    def number(self) -> int:
        return self.place + 1

    @property
    def probability(self) -> float | None:
        return None if self.logprob is None else math.exp(self.logprob)

    @property
    def level(self) -> int | None:
        p = self.probability
        return None if p is None else sum(p >= least for least in LEVELS)

    @property
    def percent(self) -> str:
        return "" if self.probability is None else percent(self.probability)

    @property
    def surprisal(self) -> float | None:
        return None if self.logprob is None else bits(-self.logprob)

    @property
    def entropy_bits(self) -> float | None:
        return None if self.entropy is None else bits(self.entropy)

    @property
    def html(self) -> SafeString:
        return visible(self.text)

    @property
    def alternatives(self) -> list[tuple[int, str, str]]:
        """Of each: number, text with its blanks as signs, and its probability in words."""
        return [(i, signs(text), percent(math.exp(lp))) for i, text, lp in self.top]

    @property
    def facts(self) -> str:
        """For the card that tells of the token, as JSON: see static/js/sandbox.js."""
        top = [[i, text, round(lp, 3)] for i, text, lp in self.top]
        logprob = None if self.logprob is None else round(self.logprob, 4)
        entropy = None if self.entropy_bits is None else round(self.entropy_bits, 2)
        return json.dumps(
            [self.id, logprob, entropy, top], ensure_ascii=False, separators=(",", ":")
        )


class Reading:
    """The tokens of a prompt or of an answer, with what they come to."""

    def __init__(self, shown: Sequence[Shown]) -> None:
        self.tokens = shown
        self.legend = LEGEND

    @cached_property
    def surprisals(self) -> list[float]:
        return [t.surprisal for t in self.tokens if t.surprisal is not None]

    @property
    def total(self) -> float:
        return sum(self.surprisals)

    @property
    def perplexity(self) -> float | None:
        """2 to the mean surprisal of a token, in bits."""
        if not self.surprisals:
            return None
        mean = self.total / len(self.surprisals)
        return float(2.0 ** min(mean, 1000.0))

    @cached_property
    def entropies(self) -> list[float]:
        return [t.entropy_bits for t in self.tokens if t.entropy_bits is not None]

    @property
    def mean_entropy(self) -> float:
        return sum(self.entropies) / len(self.entropies) if self.entropies else 0.0

    @property
    def highest(self) -> Shown:
        """The token before which the model was least decided."""
        return max(self.tokens, key=lambda token: token.entropy or 0.0)

    @cached_property
    def ceiling(self) -> float:
        """The chart's highest value, in whole bits."""
        return max(1.0, math.ceil(max([*self.entropies, *self.surprisals], default=1.0)))

    @property
    def entropy_area(self) -> str:
        return (
            f"M0 {CHART_HEIGHT}{self._steps(t.entropy_bits for t in self.tokens)}V{CHART_HEIGHT}Z"
        )

    @property
    def surprisal_line(self) -> str:
        return f"M0 {CHART_HEIGHT}{self._steps(t.surprisal for t in self.tokens)}"

    def _steps(self, values: Iterable[float | None]) -> str:
        """An SVG path that stands over each token at its value."""
        return "".join(
            f"V{CHART_HEIGHT * (1 - (value or 0.0) / self.ceiling):.1f}H{place}"
            for place, value in enumerate(values, start=1)
        )


def of_run(run: Run) -> tuple[Reading | None, Reading | None]:
    """The prompt and the answer of a run, where its tokens' records were kept."""
    kept = RunTokens.objects.filter(pk=run.pk).first()
    if kept is None:
        return None, None
    tokenizer = tokens.at_hand(run.revision)
    return _reading(kept.prompt, tokenizer), _reading(kept.output, tokenizer)


def _reading(records: Sequence[Record | None], tokenizer: "Tokenizer | None") -> Reading | None:
    whole = [record for record in records if record is not None]
    return Reading(list(_shown(whole, tokenizer))) if whole else None


def _shown(records: Iterable[Record], tokenizer: "Tokenizer | None") -> Iterator[Shown]:
    controls = set(tokenizer.control_tokens.values()) if tokenizer else set()
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for place, (token, text, logprob, entropy, top) in enumerate(records):
        if tokenizer and token not in controls:
            # Byte by byte: a character that several tokens share comes with the last of them.
            text = decoder.decode(tokenizer.token_bytes(token))
        yield Shown(place, token, text, token in controls, logprob, entropy, top)


def bits(nats: float) -> float:
    return nats / math.log(2)


def percent(probability: float) -> str:
    """0.9312 → 93.1 %, and never 0 for what is only rare."""
    if probability >= 0.9995:
        return "> 99.9 %" if probability < 1 else "100 %"
    if probability >= 0.001:
        return f"{100 * probability:.1f} %"
    return "< 0.1 %"


def visible(text: str) -> SafeString:
    """Escaped, its blanks marked up."""
    return mark_safe("".join(MARKS.get(char) or escape(char) for char in text))  # noqa: S308


def signs(text: str) -> str:
    """A single token where no text stands around it: its blanks are signs."""
    if text and not text.strip("\ufffd"):
        return "part of a character"
    return text.translate(SIGNS)
