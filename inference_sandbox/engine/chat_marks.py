"""Tells the control tokens that a chat template writes from those in the messages it is given."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

# A plane of code points with no meaning in Unicode.
PRIVATE_USE = range(0x100000, 0x10FFFE)

Messages = Sequence[Mapping[str, Any]]


class ChatMarks:
    """Two characters that occur nowhere in the conversation stand around each control token in it.

    After rendering, what reads as a control token without them was written by the template.
    """

    def __init__(
        self, messages: Messages, control_tokens: Iterable[str], written: re.Pattern[str]
    ) -> None:
        self._messages = messages
        used = set(json.dumps([dict(message) for message in messages], ensure_ascii=False))
        free = (chr(point) for point in PRIVATE_USE if chr(point) not in used)
        self._begin, self._end = next(free), next(free)
        self._whole = any_of(control_tokens)
        first = "".join(re.escape(text[0]) for text in control_tokens if text)
        self._whole_or_first = re.compile(f"({self._whole.pattern})|[{first}]" if first else "(?!)")
        marked = f"{self._begin}({self._whole.pattern}){self._end}"
        self._rendered = re.compile(f"{marked}|[{self._begin}{self._end}]|({written.pattern})")

    def around_control_tokens(self) -> list[dict[str, Any]]:
        around = f"{self._begin}\\g<0>{self._end}"
        return self._marked(lambda text: self._whole.sub(around, text))

    def around_beginnings(self) -> list[dict[str, Any]]:
        """Marks behind every character with which a control token begins, too."""
        return self._marked(
            lambda text: self._whole_or_first.sub(
                lambda found: (self._begin if found[1] else "") + found[0] + self._end, text
            )
        )

    def named(self, rendered: str, names: Mapping[str, str]) -> str:
        """The text without the marks, the template's own control tokens by their names."""
        return self._rendered.sub(lambda found: found[1] or names.get(found[2], ""), rendered)

    def _marked(self, mark: Callable[[str], str]) -> list[dict[str, Any]]:
        return [
            {
                key: self._only_words(value) if key == "role" else _in_all(value, mark)
                for key, value in message.items()
            }
            for message in self._messages
        ]

    def _only_words(self, role: str) -> str:
        """Some templates build a control token from a role: only one that is a word stays whole."""
        return re.sub(r"\W", rf"\g<0>{self._end}", role)


def any_of(texts: Iterable[str], words: Iterable[str] = ()) -> re.Pattern[str]:
    """Matches any of the texts, the longest first; those of `words` only where no word goes on."""
    longest_first = sorted(filter(None, texts), key=len, reverse=True)
    whole = set(words)
    each = [rf"(?<!\w){re.escape(t)}(?!\w)" if t in whole else re.escape(t) for t in longest_first]
    return re.compile("|".join(each) or "(?!)")


def _in_all(value: Any, mark: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mark(value)
    if isinstance(value, Mapping):
        return {key: _in_all(each, mark) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_in_all(each, mark) for each in value]
    return value
