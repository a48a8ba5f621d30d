"""Answers that move from one form to another: which fit, and what the person has to know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from access_requests.answers import fitting
from access_requests.models import Form
from access_requests.questions import asked, shown


@dataclass(frozen=True)
class Carried:
    """`answers` fit the new form. `new` and `changed` are keys of its questions; `dropped` holds
    label and text of each answer that found no place.
    """

    answers: dict[str, Any]
    new: list[str]
    changed: list[str]
    dropped: list[list[str]]

    def told(self, before: Mapping[str, Any], *, source: str) -> dict[str, Any]:
        """As it is kept with the draft, on top of what an earlier move left there."""
        return {
            "source": before.get("source") or source,
            "new": list(dict.fromkeys([*before.get("new", []), *self.new])),
            "changed": list(dict.fromkeys([*before.get("changed", []), *self.changed])),
            "dropped": [*before.get("dropped", []), *self.dropped],
        }


def carry(old: Form, answers: Mapping[str, Any], new: Form, *, files: bool = True) -> Carried:
    """The answers to `old` as answers to `new`. `files=False` leaves attachments behind."""
    was = {question["key"]: question for question in asked(old.questions)}
    now = {question["key"]: question for question in asked(new.questions)}
    kept = fitting(new, {key: answer for key, answer in answers.items() if key in was})
    if not files:
        kept = {key: value for key, value in kept.items() if now[key]["type"] != "attachment"}
    return Carried(
        answers=kept,
        new=[key for key in now if key not in was],
        changed=[key for key in now if key in was and now[key] != was[key]],
        dropped=[
            [question["label"], shown(question, answers.get(key))]
            for key, question in was.items()
            if key not in kept and shown(question, answers.get(key))
        ],
    )
