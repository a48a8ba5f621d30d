"""The fields of the questions' types. What each of them cleans is ready to be kept as JSON."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.validators import EmailValidator, ProhibitNullCharactersValidator
from django_countries import countries

from access_requests import numbers, patterns
from access_requests.questions import ROWS_LIMIT, TEXT_LIMIT, Question, limit
from portal.accounts.typed import web_page

TOO_LONG = (
    "This is %(show_value)d characters long; it may have at most %(limit_value)d. Shorten it."
)
SPARE_ROWS = 3


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

    default_validators = [web_page]


class Mail(Text):
    """An e-mail address; checked as one only when it counts."""

    default_validators = [EmailValidator(message="Write a whole e-mail address: name@place.org")]


class Shaped(Text):
    """Text of the shape that the form's author asks for; checked only when it counts."""

    def __init__(self, *, pattern: str, hint: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pattern = pattern
        self.hint = hint

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value and not patterns.matches(self.pattern, value):
            asked = self.hint or f"It has to match {self.pattern}"
            raise forms.ValidationError(f"This does not have the shape asked for. {asked}")


class Number(forms.Field):
    """A number, kept exactly as an integer or a decimal fraction of JSON, or refused."""

    widget = forms.NumberInput(attrs={"step": "any"})
    default_error_messages = {
        "invalid": "Write a number, for example 12 or 0.5.",
        "zeros": "Write the number without zeros in front; if they matter, write it as text "
        "elsewhere in the form.",
        "inexact": "This has more digits than can be kept exactly: at most "
        f"{numbers.MOST_DIGITS}, and 15 where there is a point.",
    }

    def prepare_value(self, value: Any) -> Any:
        return numbers.written(value) if isinstance(value, int | float) else value

    def to_python(self, value: Any) -> int | float | None:
        if value in self.empty_values:
            return None
        try:
            return numbers.exact(value)
        except numbers.NotExact as error:
            raise forms.ValidationError(self.error_messages[error.code], error.code) from error


class Day(forms.DateField):
    """A date, kept as 2026-05-31."""

    default_error_messages = {"invalid": "Write a date that exists, as year-month-day: 2026-05-31."}

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(widget=widget, input_formats=["%Y-%m-%d"], **kwargs)

    def clean(self, value: Any) -> str | None:
        day = super().clean(value)
        return day.isoformat() if day else None


class Rows(forms.Widget):
    """A table of text inputs: the rows that are filled and a few to spare. No script is needed:
    saving a full table gives more rows.
    """

    template_name = "access_requests/_table.html"
    use_fieldset = True

    def __init__(self, columns: list[list[str]]) -> None:
        super().__init__()
        self.columns = columns

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        if name in data:  # a program sends rows
            return data[name]
        return [
            {key: str(data.get(f"{name}-{row}-{key}") or "") for key, _ in self.columns}
            for row in range(ROWS_LIMIT)
            if any(f"{name}-{row}-{key}" in data for key, _ in self.columns)
        ]

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return name not in data and not any(one.startswith(f"{name}-") for one in data)

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        given = [row for row in value or [] if isinstance(row, dict) and any(row.values())]
        spare: list[dict[str, str]] = [{}] * min(SPARE_ROWS, max(ROWS_LIMIT - len(given), 0))
        context["columns"] = self.columns
        context["rows"] = [
            [(f"{name}-{at}-{key}", label, row.get(key, "")) for key, label in self.columns]
            for at, row in enumerate([*given, *spare])
        ]
        return context

    def id_for_label(self, id_: str, index: str = "0") -> str:
        return ""


class Table(forms.Field):
    """Rows of texts, a dict of column key to text each; rows left empty are dropped."""

    def __init__(self, columns: list[list[str]], **kwargs: Any) -> None:
        super().__init__(widget=Rows(columns), **kwargs)
        self.columns = columns

    def to_python(self, value: Any) -> list[dict[str, str]]:
        kept = []
        for row in value or []:
            cells = {key: str(row.get(key) or "").strip() for key, _ in self.columns}
            if any(cells.values()):
                kept.append(cells)
        return kept

    def validate(self, value: Any) -> None:
        super().validate(value)
        if len(value) > ROWS_LIMIT:
            raise forms.ValidationError(f"A table has at most {ROWS_LIMIT} rows.")
        for number, row in enumerate(value, 1):
            for key, label in self.columns:
                ProhibitNullCharactersValidator()(row[key])
                if len(row[key]) > TEXT_LIMIT:
                    raise forms.ValidationError(
                        f"Row {number}, {label}: this is {len(row[key])} characters long; "
                        f"it may have at most {TEXT_LIMIT}."
                    )


class Choices(forms.MultipleChoiceField):
    """Each choice once: a program could send one of them a hundred thousand times."""

    def to_python(self, value: Any) -> list[str]:
        return list(dict.fromkeys(super().to_python(value)))


class FileChoice(forms.FileInput):
    """A file is taken by its own service; what counts here is what that service wrote down."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        given = data.get(name)
        return given if isinstance(given, dict) else None


class Kept(forms.Field):
    """What `services.attach` wrote down about a file; the file itself goes its own way."""

    widget = FileChoice(attrs={"accept": ".pdf,.png,.jpg,.jpeg"})

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial


def _text(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    if strict and (pattern := question.get("pattern")):
        hint = question.get("pattern_hint", "")
        return Shaped(pattern=pattern, hint=hint, max_length=limit(question), **kwargs)
    return Text(max_length=limit(question), **kwargs)


def _long_text(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    widget = forms.Textarea(attrs={"rows": 6})
    return Text(max_length=limit(question), widget=widget, **kwargs)


def _url(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    kind = Web if strict else Text
    return kind(max_length=limit(question), widget=forms.URLInput(), **kwargs)


def _email(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    kind = Mail if strict else Text
    return kind(max_length=limit(question), widget=forms.EmailInput(), **kwargs)


def _one_of(choices: list[tuple[str, str]], **kwargs: Any) -> forms.ChoiceField:
    field = forms.ChoiceField(choices=[("", "Choose…"), *choices], **kwargs)
    field.error_messages["invalid_choice"] = "%(value)s is not one of the choices: " + ", ".join(
        value for value, _ in choices
    )
    return field


def _choice(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return _one_of([(value, label) for value, label in question.get("choices", [])], **kwargs)


def _country(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return _one_of([(code, str(name)) for code, name in countries], **kwargs)


def _multiple_choice(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    choices = [(value, label) for value, label in question.get("choices", [])]
    return Choices(choices=choices, widget=forms.CheckboxSelectMultiple, **kwargs)


def _boolean(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return forms.BooleanField(**kwargs)


def _number(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return Number(**kwargs)


def _date(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return Day(**kwargs)


def _table(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return Table(question.get("columns", []), **kwargs)


def _attachment(question: Question, strict: bool, **kwargs: Any) -> forms.Field:
    return Kept(**kwargs)


FIELD_TYPES: Mapping[str, Callable[..., forms.Field]] = {
    "text": _text,
    "long_text": _long_text,
    "choice": _choice,
    "multiple_choice": _multiple_choice,
    "boolean": _boolean,
    "date": _date,
    "number": _number,
    "url": _url,
    "email": _email,
    "country": _country,
    "table": _table,
    "attachment": _attachment,
}
