"""What a list of questions must be like to make a form."""

from collections.abc import Callable, Mapping
from typing import Any

from access_requests import patterns
from access_requests.questions import (
    DECIDING,
    LONG_TEXT_LIMIT,
    QUESTIONS_LIMIT,
    SILENT,
    TEXTS,
    TYPES,
    Question,
)

KEY_LIMIT = 60
LABEL_LIMIT = 500
HELP_LIMIT = 2000
LENGTH_LIMIT = 100_000  # characters: a book's chapter


def problems(questions: Any) -> list[str]:
    """What is wrong with a list of questions, in words for the person who wrote it; empty when
    nothing is.
    """
    if not isinstance(questions, list) or not questions:
        return ["A form is a list of at least one question."]
    if len(questions) > QUESTIONS_LIMIT:
        return [f"A form has at most {QUESTIONS_LIMIT} questions."]
    found = problems_by_question(questions)
    lines = [f"Question {i + 1}: {line}" for i in sorted(found) for line in found[i]]
    if not lines and all(one["type"] in SILENT for one in questions):
        return ["A form of headings and explanations asks nothing; add a question."]
    return lines


def problems_by_question(questions: list[Any]) -> dict[int, list[str]]:
    """The same, by the question's place in the list, from 0."""
    found: dict[int, list[str]] = {}
    earlier: dict[str, dict[str, Any]] = {}
    for place, question in enumerate(questions):
        if not isinstance(question, dict):
            found[place] = ["It must be an object with key, label and type."]
            continue
        lines = _problems_of(question, earlier)
        key = question.get("key")
        if isinstance(key, str):
            if key in earlier:
                lines.append(f"The key {key!r} is used twice.")
            earlier[key] = question
        if lines:
            found[place] = lines
    return found


Checked = Mapping[str, Any]


def _problems_of(question: dict[str, Any], earlier: Mapping[str, dict[str, Any]]) -> list[str]:
    unknown = sorted(str(name) for name in set(question) - set(Question.__annotations__))
    found = [f"unknown: {', '.join(unknown)}."] if unknown else []
    found += [line for check in CHECKS if (line := check(question))]
    if line := _show_if(question, earlier):
        found.append(line)
    return found


def _key(question: Checked) -> str:
    key = question.get("key")
    fits = isinstance(key, str) and key.isidentifier() and len(key) <= KEY_LIMIT
    return "" if fits else f"`key` must be a word of letters, digits and _, at most {KEY_LIMIT}."


def _texts(question: Checked) -> str:
    label = question.get("label")
    if not isinstance(label, str) or not label.strip():
        return "`label` is missing."
    most = LONG_TEXT_LIMIT if question.get("type") == "explanation" else LABEL_LIMIT
    if len(label) > most:
        return f"`label` may have at most {most} characters."
    for name, limit in (("help", HELP_LIMIT), ("pattern_hint", HELP_LIMIT)):
        text = question.get(name, "")
        if not isinstance(text, str) or len(text) > limit:
            return f"`{name}` must be a text of at most {limit} characters."
    given = (question.get(name, "") for name in ("label", "help", "pattern_hint"))
    return "It holds a character that cannot be stored." if "\0" in "".join(given) else ""


def _type(question: Checked) -> str:
    kind = question.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        return f"`type` must be one of {', '.join(TYPES)}."
    return ""


def _required(question: Checked) -> str:
    fits = isinstance(question.get("required", False), bool)
    return "" if fits else "`required` must be true or false."


def _length(question: Checked) -> str:
    length = question.get("max_length", 1)
    fits = isinstance(length, int) and not isinstance(length, bool) and 1 <= length <= LENGTH_LIMIT
    if not fits:
        return f"`max_length` must be a positive number, at most {LENGTH_LIMIT}."
    if "max_length" in question and question.get("type") not in TEXTS:
        return "`max_length` is for texts, URLs and e-mail addresses."
    return ""


def _pairs(question: Checked) -> str:
    kind = question.get("type")
    if kind in ("choice", "multiple_choice") and not _are_pairs(question.get("choices")):
        return "`choices` must be a list of [value, label] pairs, each value once."
    columns = question.get("columns")
    if kind == "table" and not (_are_pairs(columns, most=8) and _are_words(columns)):
        return "`columns` must be a list of one to eight [key, label] pairs, each key a word."
    return ""


def _pattern(question: Checked) -> str:
    pattern = question.get("pattern")
    if pattern is None:
        return ""
    if not isinstance(pattern, str) or not pattern:
        return "`pattern` must be a text."
    if question.get("type") != "text":
        return "`pattern` is for short texts alone."
    length = question.get("max_length")
    if isinstance(length, int) and length > patterns.ANSWER_LIMIT:
        return f"With a pattern, `max_length` is at most {patterns.ANSWER_LIMIT}."
    wrong = patterns.problem(pattern)
    return f"`pattern`: {wrong}" if wrong else ""


CHECKS: tuple[Callable[[Checked], str], ...] = (
    _key,
    _texts,
    _type,
    _required,
    _length,
    _pairs,
    _pattern,
)


def _show_if(question: Checked, earlier: Mapping[str, dict[str, Any]]) -> str:
    rule = question.get("show_if")
    if rule is None:
        return ""
    if not isinstance(rule, dict) or set(rule) != {"key", "equals"}:
        return "`show_if` must be an object with key and equals."
    other = earlier.get(rule["key"]) if isinstance(rule["key"], str) else None
    if other is None or other.get("type") not in DECIDING:
        return "`show_if` must name an earlier choice, multiple choice or checkbox."
    if other["type"] == "boolean":
        fits = isinstance(rule["equals"], bool)
        return "" if fits else "`show_if` of a checkbox equals true or false."
    choices: Any = other.get("choices")
    known = [pair[0] for pair in choices] if _are_pairs(choices) else []
    return "" if rule["equals"] in known else f"`show_if` must equal one of: {', '.join(known)}."


def _are_pairs(pairs: Any, most: int = 300) -> bool:
    if not isinstance(pairs, list) or not 0 < len(pairs) <= most:
        return False
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        return False
    texts = [text for pair in pairs for text in pair]
    fit = all(isinstance(text, str) and text and len(text) <= LABEL_LIMIT for text in texts)
    return fit and "\0" not in "".join(texts) and len({pair[0] for pair in pairs}) == len(pairs)


def _are_words(pairs: Any) -> bool:
    return all(key.isidentifier() and len(key) <= KEY_LIMIT for key, _ in pairs)
