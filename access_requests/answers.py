"""From questions to a Django form, and from answers to clean ones: one rule for pages and
programs.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.validators import URLValidator
from django.utils.html import escape

from access_requests.models import Form
from access_requests.questions import Question, limit
from portal.refusals import Code, Refusal

TOO_LONG = (
    "This is %(show_value)d characters long; it may have at most %(limit_value)d. Shorten it."
)


class Text(forms.CharField):
    """Text with a limit that the server alone enforces.

    No `maxlength` in the page: a browser would cut a pasted text without a word.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error_messages["max_length"] = TOO_LONG

    def to_python(self, value: Any) -> str:
        text = super().to_python(value) or ""
        return text.replace(
            "\r\n", "\n"
        )  # browsers send two characters for a line's end; count one

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {}


class Web(Text):
    """A web address; checked as one only when it counts."""

    default_validators = [
        URLValidator(schemes=["http", "https"], message="Write a whole web address: https://…")
    ]


class Number(forms.FloatField):
    default_error_messages = {"invalid": "Write a number, for example 12 or 0.5."}

    def clean(self, value: Any) -> int | float | None:
        try:
            number = super().clean(value)
        except OverflowError as error:  # an integer of hundreds of digits
            raise forms.ValidationError(self.error_messages["invalid"], "invalid") from error
        return int(number) if number is not None and number.is_integer() else number


def _text(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return Text(max_length=limit(question), **kwargs)


def _long_text(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    widget = forms.Textarea(attrs={"rows": 6})
    return Text(max_length=limit(question), widget=widget, **kwargs)


def _url(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    kind = Web if strict else Text
    return kind(max_length=limit(question), widget=forms.URLInput(), **kwargs)


def _choice(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    choices = [("", "Choose…"), *((value, label) for value, label in question.get("choices", []))]
    field = forms.ChoiceField(choices=choices, **kwargs)
    field.error_messages["invalid_choice"] = "%(value)s is not one of the choices: " + ", ".join(
        value for value, _ in choices[1:]
    )
    return field


def _boolean(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return forms.BooleanField(**kwargs)


def _number(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return Number(**kwargs)


FIELD_TYPES: Mapping[str, Callable[..., forms.Field]] = {
    "text": _text,
    "long_text": _long_text,
    "choice": _choice,
    "boolean": _boolean,
    "url": _url,
    "number": _number,
}
# What a program must send; a page sends text for everything.
JSON_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "a text"),
    "long_text": ((str,), "a text"),
    "choice": ((str,), "a text, one of the choices"),
    "boolean": ((bool,), "true or false"),
    "url": ((str,), "a text, a web address"),
    "number": ((int, float), "a number"),
}


class AnswersForm(forms.Form):
    """The questions of one form. Lenient for drafts (types and lengths), strict for submission."""

    def __init__(
        self, form: Form, data: Mapping[str, Any] | None = None, *, strict: bool, **kwargs: Any
    ) -> None:
        super().__init__(data, **kwargs)
        for question in form.questions:
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

    use_required_attribute = False  # a draft may leave out what submission needs

    def full_clean(self) -> None:
        """In a draft, what is missing is not yet wrong; the page still says what will be needed."""
        super().full_clean()
        if self.strict:
            return
        for name, errors in list(self.errors.items()):
            if all(error.code == "required" for error in errors.as_data()):
                del self.errors[name]
                ticked = isinstance(self.fields[name], forms.BooleanField)
                self.cleaned_data[name] = False if ticked else None


def _help(question: Question) -> str:
    """Plain text of the form's author, escaped where the page marks help as safe."""
    parts: list[str] = [escape(question.get("help", ""))]
    if question["type"] in ("text", "long_text"):
        parts.append(f"At most {limit(question):,} characters.")
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
    known = {q["key"]: answers[q["key"]] for q in form.questions if q["key"] in answers}
    errors = wrong_types(form, known)
    bound = AnswersForm(form, {k: v for k, v in known.items() if k not in errors}, strict=strict)
    for key, lines in bound.errors.items():
        errors.setdefault(key, [str(line) for line in lines])
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
    for question in form.questions:
        key = question["key"]
        value = answers.get(key)
        types, name = JSON_TYPES[question["type"]]
        fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
        if value not in (None, "") and not fits:
            errors[key] = [f"This must be {name}, not {type(value).__name__}."]
        elif isinstance(value, str) and not _storable(value):
            errors[key] = ["This holds characters that cannot be stored; retype it."]
    return errors


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return "\0" not in text
