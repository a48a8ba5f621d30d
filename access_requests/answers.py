"""From questions to a Django form, and from answers to clean ones: one rule for pages and
programs.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils.html import escape

from access_requests.fields import FIELD_TYPES
from access_requests.models import Form
from access_requests.questions import ROWS_LIMIT, Question, asked, condition, hidden, limit, shown
from portal.refusals import Code, Refusal


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_rows(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= ROWS_LIMIT
        and all(isinstance(row, dict) and _are_texts(list(row.values())) for row in value)
    )


def _is_attachment(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str)


_A_TEXT = (_is_text, "a text")
# What a program must send; a page sends text for everything.
JSON_TYPES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "text": _A_TEXT,
    "long_text": _A_TEXT,
    "choice": (_is_text, "a text, one of the choices"),
    "multiple_choice": (_are_texts, "a list of texts, each one of the choices"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "date": (_is_text, "a text, a date as 2026-05-31"),
    "url": (_is_text, "a text, a web address"),
    "email": (_is_text, "a text, an e-mail address"),
    "country": (_is_text, "a text, a country's code of two letters"),
    "number": (_is_number, "a number"),
    "table": (_are_rows, f"a list of at most {ROWS_LIMIT} rows, each an object of texts"),
    "attachment": (_is_attachment, "a file, sent to the application's attachments"),
}


@dataclass(frozen=True)
class Shown:
    """One question as a page shows it: a field, or just words where there is none to fill in."""

    question: Question
    field: BoundField | None
    condition: str = ""  # in words
    depends_on: str = ""  # the name of the deciding field
    equals: str = ""  # `true` or `false` for a checkbox
    is_new: bool = False
    is_changed: bool = False
    saved: str | None = None  # what was saved in another window, where it differs


class AnswersForm(forms.Form):
    """The questions of one form. Lenient for drafts (types and lengths), strict for submission."""

    def __init__(
        self, form: Form, data: Mapping[str, Any] | None = None, *, strict: bool, **kwargs: Any
    ) -> None:
        super().__init__(data, **kwargs)
        self.form = form
        self.questions: list[Question] = form.questions
        for question in asked(self.questions):
            field = FIELD_TYPES[question["type"]](
                question,
                strict,
                label=question["label"],
                help_text=_help(question),
                required=question.get("required", False),
            )
            field.error_messages["required"] = "This question needs an answer."
            self.fields[question["key"]] = field
        self.strict = strict
        # What a page marks, when the answers came from another form.
        self.new_keys: frozenset[str] = frozenset()
        self.changed_keys: frozenset[str] = frozenset()
        self.saved: dict[str, str] = {}

    use_required_attribute = False  # a draft may leave out what submission needs

    def full_clean(self) -> None:
        """What is not asked is not checked. In a draft, what is missing is not yet wrong; the page
        still says what will be needed.
        """
        super().full_clean()
        if not self.is_bound:
            return
        for name in hidden(self.questions, self.cleaned_data) & set(self.fields):
            self.errors.pop(name, None)
            if self.strict:
                self.cleaned_data.pop(name, None)
        if not self.strict:
            self._forgive_what_is_missing()

    def _forgive_what_is_missing(self) -> None:
        for name, errors in list(self.errors.items()):
            if all(error.code == "required" for error in errors.as_data()):
                del self.errors[name]
                ticked = isinstance(self.fields[name], forms.BooleanField)
                self.cleaned_data[name] = False if ticked else None

    def shown(self) -> Iterator[Shown]:
        """The questions in their order, headings and explanations among them."""
        for question in self.questions:
            key, rule = question["key"], question.get("show_if")
            equals = str(rule["equals"]) if rule else ""
            yield Shown(
                question,
                self[key] if key in self.fields else None,
                condition(question, self.questions),
                self.add_prefix(rule["key"]) if rule else "",
                equals.lower() if rule and isinstance(rule["equals"], bool) else equals,
                key in self.new_keys,
                key in self.changed_keys,
                self.saved.get(key),
            )

    def show_saved(self, answers: Mapping[str, Any]) -> None:
        """Beside each (valid) answer that differs from what was saved elsewhere, show that one."""
        for question in asked(self.questions):
            key = question["key"]
            typed, saved = self.cleaned_data.get(key), answers.get(key)
            if question["type"] != "attachment" and (typed or None) != (saved or None):
                self.saved[key] = shown(question, saved)


def _help(question: Question) -> str:
    """Plain text of the form's author, escaped where the page marks help as safe."""
    parts: list[str] = [escape(question.get("help", ""))]
    if question["type"] in ("text", "long_text"):
        parts.append(f"At most {limit(question):,} characters.")
    if question.get("pattern"):
        parts.append(escape(question.get("pattern_hint", "")))
    return " ".join(part for part in parts if part)


def clean_answers(form: Form, answers: Any, *, strict: bool) -> dict[str, Any]:
    """The known, valid answers as JSON; keys that the form does not know are dropped.

    A draft keeps just the keys that were given. Raises Refusal INVALID naming every field that
    does not fit.
    """
    if not isinstance(answers, dict):
        raise Refusal(
            Code.INVALID,
            "`answers` must be an object: one answer for each question's key.",
            'Send, for example, {"research_purpose": "…"}.',
        )
    known = {q["key"]: answers[q["key"]] for q in asked(form.questions) if q["key"] in answers}
    errors = wrong_types(form, known)
    bound = AnswersForm(form, {k: v for k, v in known.items() if k not in errors}, strict=strict)
    for key, lines in bound.errors.items():
        errors.setdefault(key, [str(line) for line in lines])
    for key in hidden(form.questions, bound.cleaned_data):
        errors.pop(key, None)
    if errors:
        labels = {q["key"]: q["label"] for q in form.questions}
        raise Refusal(
            Code.INVALID,
            "Some answers do not fit: "
            + " ".join(f"{labels[key]} {errors[key][0]}" for key in errors),
            "Mend them and send again; the rest is as you left it.",
            fields=errors,
        )
    return {key: value for key, value in bound.cleaned_data.items() if strict or key in known}


def wrong_types(form: Form, answers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Answers whose JSON type does not fit their question, each with what is expected."""
    errors: dict[str, list[str]] = {}
    for question in asked(form.questions):
        key = question["key"]
        value = answers.get(key)
        fits, name = JSON_TYPES[question["type"]]
        if value not in (None, "") and not fits(value):
            errors[key] = [f"This must be {name}, not {type(value).__name__}."]
        elif not _storable(value):
            errors[key] = ["This holds characters that cannot be stored; retype it."]
    return errors


def _storable(value: Any) -> bool:
    if isinstance(value, list | dict):
        parts = value.values() if isinstance(value, dict) else value
        return all(_storable(part) for part in parts)
    if not isinstance(value, str):
        return True
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return "\0" not in value


def fitting(form: Form, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the answers that the form can keep in a draft, each judged by itself."""
    kept: dict[str, Any] = {}
    for question in asked(form.questions):
        key = question["key"]
        if key not in answers:
            continue
        alone = Form(questions=[{k: v for k, v in question.items() if k != "show_if"}])
        try:
            kept |= clean_answers(alone, {key: answers[key]}, strict=False)
        except Refusal:
            continue
    return kept
