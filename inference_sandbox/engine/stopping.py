"""Stop strings: an answer ends before the first of them, wherever the borders of its tokens are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class StopMatcher:
    """Lets text through until a stop string comes; keeps back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self._exempt = 0  # characters of what is held back in which no stop string may end
        self.stopped = False

    def push(self, text: str, *, may_stop: bool = True) -> str:
        """The text that can be shown now. After the stop: nothing more.

        may_stop: whether a stop string may end in this text.
        """
        if not self._stops or self.stopped:
            return "" if self.stopped else text
        text = self._held + text
        if may_stop and (found := [*self._found(text)]):
            self.stopped, self._held = True, ""
            return text[: min(found)]
        safe = len(text) - max(_overlap(text, stop) for stop in self._stops)
        self._held = text[safe:]
        self._exempt = max(0, self._exempt - safe) if may_stop else len(self._held)
        return text[:safe]

    def _found(self, text: str) -> Iterator[int]:
        for stop in self._stops:
            place = text.find(stop, max(0, self._exempt - len(stop) + 1))
            if place >= 0:
                yield place

    def flush(self) -> str:
        """What was kept back, when no more text will come."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that is a beginning of `stop`, short of all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
