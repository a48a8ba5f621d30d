"""Questions as rows of text inputs, so that a manager builds a form without writing JSON.

A row is a dict of texts, just as it was typed: it comes back as it is, however wrong it may be.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.text import slugify

from access_requests.questions import QUESTIONS_LIMIT, Question

Row = dict[str, str]
FIELDS = (
    "type",
    "label",
    "key",
    "required",
    "help",
    "max_length",
    "pattern",
    "pattern_hint",
    "choices",
    "columns",
    "show_key",
    "show_equals",
)
# Which of the inputs a type of question has; the rest do not apply.
_ALWAYS = frozenset({"type", "label", "key", "help", "show_key", "show_equals"})
_MORE: Mapping[str, frozenset[str]] = {
    "text": frozenset({"required", "max_length", "pattern", "pattern_hint"}),
    "long_text": frozenset({"required", "max_length"}),
    "url": frozenset({"required", "max_length"}),
    "email": frozenset({"required", "max_length"}),
    "choice": frozenset({"required", "choices"}),
    "multiple_choice": frozenset({"required", "choices"}),
    "table": frozenset({"required", "columns"}),
    "heading": frozenset(),
    "explanation": frozenset(),
}
YES_OR_NO: Mapping[str, bool] = {"yes": True, "true": True, "": True, "no": False, "false": False}
EMPTY: Row = {**dict.fromkeys(FIELDS, ""), "type": "text"}


def inputs_of(row: Row) -> frozenset[str]:
    """The inputs of this row: those of its type, and any that holds something typed."""
    of_type = _MORE.get(row["type"], frozenset({"required"}))
    return _ALWAYS | of_type | {name for name in FIELDS if row[name] and name != "required"}


def rows_of(data: Mapping[str, Any]) -> list[Row]:
    """The rows that a page sent, in their order."""
    count = str(data.get("rows", "0"))
    number = min(int(count), QUESTIONS_LIMIT + 1) if count.isdecimal() and len(count) < 5 else 0
    return [
        {
            name: str(data.get(f"q{at}-{name}") or "").replace("\r\n", "\n").strip()
            for name in FIELDS
        }
        for at in range(number)
    ]


def row_of(question: Question) -> Row:
    """A question as it stands in the inputs."""
    row = dict(EMPTY)
    for name in ("key", "label", "type", "help", "pattern", "pattern_hint"):
        row[name] = str(question.get(name) or "")
    row["required"] = "yes" if question.get("required") else ""
    row["max_length"] = str(question.get("max_length") or "")
    row["choices"] = _lines(question.get("choices", []))
    row["columns"] = _lines(question.get("columns", []))
    if rule := question.get("show_if"):
        row["show_key"] = rule["key"]
        equals = rule["equals"]
        row["show_equals"] = ("yes" if equals else "no") if isinstance(equals, bool) else equals
    return row


def questions_of(rows: list[Row]) -> list[dict[str, Any]]:
    """The questions that the rows mean; `question_rules` judges them. Keys left empty are made."""
    made: list[dict[str, Any]] = []
    taken = {row["key"] for row in rows if row["key"]}
    types: dict[str, str] = {}
    for row in rows:
        key = row["key"] or _new_key(row["label"], taken)
        taken.add(key)
        made.append(_question_of(row, key, types))
        types[key] = row["type"]
    return made


def _question_of(row: Row, key: str, types: Mapping[str, str]) -> dict[str, Any]:
    question: dict[str, Any] = {"key": key, "label": row["label"], "type": row["type"]}
    if row["required"] and row["type"] not in ("heading", "explanation"):
        question["required"] = True
    for name in ("help", "pattern", "pattern_hint"):
        if row[name]:
            question[name] = row[name]
    if row["max_length"]:
        length = row["max_length"]
        is_number = length.isascii() and length.isdecimal() and len(length) < 10
        question["max_length"] = int(length) if is_number else length
    for name in ("choices", "columns"):
        if row[name]:
            question[name] = [_pair(line) for line in row[name].split("\n") if line.strip()]
    if row["show_key"]:
        typed = row["show_equals"]
        is_yes_or_no = types.get(row["show_key"]) == "boolean" and typed.lower() in YES_OR_NO
        equals = YES_OR_NO[typed.lower()] if is_yes_or_no else typed
        question["show_if"] = {"key": row["show_key"], "equals": equals}
    return question


def _lines(pairs: list[list[str]]) -> str:
    return "\n".join(
        label if value == _word(label) else f"{value} = {label}" for value, label in pairs
    )


def _pair(line: str) -> list[str]:
    """`value = label`, or the label alone."""
    value, equals, label = line.partition("=")
    if equals and value.strip().isidentifier() and label.strip():
        return [value.strip(), label.strip()]
    return [_word(line.strip()), line.strip()]


def _word(label: str) -> str:
    """“A data set” → a_data_set; an identifier whatever the label is."""
    word = slugify(label, allow_unicode=True).replace("-", "_")[:50].strip("_")
    return word if word.isidentifier() else f"q_{word}" if f"q_{word}".isidentifier() else "q"


def _new_key(label: str, taken: set[str]) -> str:
    word = _word(label) if label else "question"
    names = _numbered(word)
    return next(name for name in names if name not in taken)


def _numbered(word: str) -> Iterator[str]:
    yield word
    number = 2
    while True:
        yield f"{word}_{number}"
        number += 1


def changed(rows: list[Row], do: str) -> list[Row]:
    """The rows after a button: `add`, `add:3` (below row 3), `up:3`, `down:3`, `remove:3`."""
    rows = list(rows)
    verb, _, place = do.partition(":")
    at = int(place) if place.isdecimal() and len(place) < 5 else len(rows) - 1
    if verb == "add" and len(rows) < QUESTIONS_LIMIT:
        rows.insert(min(at, len(rows)) + 1, dict(EMPTY))
    elif not 0 <= at < len(rows):
        return rows
    elif verb == "remove":
        del rows[at]
    elif verb == "up" and at > 0:
        rows[at - 1], rows[at] = rows[at], rows[at - 1]
    elif verb == "down" and at < len(rows) - 1:
        rows[at + 1], rows[at] = rows[at], rows[at + 1]
    return rows


def deciders(rows: list[Row], at: int) -> list[tuple[str, str]]:
    """The earlier questions that `show_if` of row `at` may look at: key and label."""
    before = zip(questions_of(rows), rows, strict=True)
    return [
        (str(question["key"]), row["label"] or str(question["key"]))
        for question, row in list(before)[:at]
        if row["type"] in ("choice", "multiple_choice", "boolean")
    ]
