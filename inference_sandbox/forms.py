"""The forms of the sandbox: types alone. What values may be is for the services to say."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings

from inference_sandbox.asking import Asked
from inference_sandbox.models import Run
from portal.catalog.models import Release
from portal.refusals import Refusal

ALTERNATIVES = 8  # told with each token, unless a person says otherwise
MOST_IN_A_LIST = 1000  # a sweep has far fewer; beyond it nothing is counted out
NUMBER = {"step": "any"}


def defaults() -> dict[str, Any]:
    return {"temperature": 0.7, "top_p": 0.95, "max_tokens": min(256, settings.SANDBOX_MAX_TOKENS)}


@dataclass(frozen=True)
class Preset:
    name: str
    hint: str
    values: dict[str, Any]

    @property
    def json(self) -> str:
        return json.dumps(self.values)


_PLAIN = {"top_k": 0, "min_p": 0, "seed": "", "repeatable": False}
PRESETS = (
    Preset("Greedy", "The likeliest token each time", {**_PLAIN, "temperature": 0, "top_p": 1}),
    Preset("Balanced", "What most people use", {**_PLAIN, "temperature": 0.7, "top_p": 0.95}),
    Preset(
        "Creative",
        "Rarer tokens too, without the very rare",
        {**_PLAIN, "temperature": 1.2, "top_p": 1, "min_p": 0.03},
    ),
    Preset(
        "Reproducible, alone",
        "A fixed seed, and no other request in the batch: the same text each time",
        {**_PLAIN, "temperature": 0.7, "top_p": 0.95, "seed": 1, "repeatable": True},
    ),
)


def _number(least: float, most: float | None = None, **more: Any) -> forms.NumberInput:
    bounds = {"min": least} if most is None else {"min": least, "max": most}
    return forms.NumberInput(attrs={**NUMBER, **bounds, **more})


def _prompt(rows: int) -> forms.CharField:
    return forms.CharField(
        strip=False,
        error_messages={"required": "The prompt is empty: write what the model shall go on from."},
        widget=forms.Textarea(attrs={"rows": rows, "spellcheck": "true"}),
    )


class Refusable(forms.Form):
    """A form that a service may refuse."""

    def refuse(self, refusal: Refusal) -> None:
        """Show what the service said where it belongs; what was typed stays."""
        known = {name: lines for name, lines in refusal.fields.items() if name in self.fields}
        for name, lines in known.items():
            self.add_error(name, lines)
        if not known:
            self.add_error(None, f"{refusal.detail} {refusal.way_out}")


class RunForm(Refusable):
    release = forms.CharField(widget=forms.HiddenInput)
    mode = forms.ChoiceField(choices=Run.Mode.choices, widget=forms.RadioSelect)
    prompt = _prompt(4)
    temperature = forms.FloatField(help_text="0 to 2.", widget=_number(0, 2))
    top_p = forms.FloatField(label="Top-p", help_text="0 to 1.", widget=_number(0, 1))
    max_tokens = forms.IntegerField(
        label="Maximum tokens", help_text="Of the answer; 0 only reads."
    )
    seed = forms.IntegerField(required=False, help_text="Else one is drawn.")

    # More options
    system = forms.CharField(
        required=False,
        strip=False,
        label="System message",
        help_text="In a conversation: who the model shall be. Some templates bring their own.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    top_k = forms.IntegerField(
        required=False, label="Top-k", help_text="The k likeliest; 0: all.", widget=_number(0)
    )
    min_p = forms.FloatField(
        required=False,
        label="Min-p",
        help_text="Least share of the likeliest one's probability.",
        widget=_number(0, 1),
    )
    repetition_penalty = forms.FloatField(
        required=False, help_text="1: none, up to 2.", widget=_number(0, 2)
    )
    presence_penalty = forms.FloatField(
        required=False, help_text="-2 to 2, once.", widget=_number(-2, 2)
    )
    frequency_penalty = forms.FloatField(
        required=False, help_text="-2 to 2, each time.", widget=_number(-2, 2)
    )
    logprobs = forms.IntegerField(
        required=False,
        label="Alternatives",
        help_text=f"Told of each token, up to 20; {ALTERNATIVES} if empty.",
        widget=_number(0, 20),
    )
    stop = forms.CharField(
        required=False,
        strip=False,
        label="Stop strings",
        help_text="One a line. The answer ends before the first of them.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    repeatable = forms.BooleanField(
        required=False,
        label="Compute it alone",
        help_text="Slower; in bfloat16 the only way to the same text bit by bit.",
    )
    OPTIONS = ("top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty")

    def __init__(self, *args: Any, chat: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offers_chat = chat
        self.fields["max_tokens"].widget.attrs |= {"min": 0, "max": settings.SANDBOX_MAX_TOKENS}
        if not chat:
            self.fields["mode"].widget = forms.HiddenInput()

    @property
    def options(self) -> list[forms.BoundField]:
        return [self[name] for name in (*self.OPTIONS, "logprobs")]

    @property
    def options_open(self) -> bool:
        """Whether something in the disclosure is not as usual, or has to be mended."""
        names = (*self.OPTIONS, "logprobs", "system", "stop", "repeatable")
        return any(self[name].value() or self[name].errors for name in names)

    def asked(self) -> Asked:
        """What was asked, once the form is valid."""
        values: Any = {
            name: value for name, value in self.cleaned_data.items() if value is not None
        }
        for name in ("release", "system", "stop"):
            values.pop(name, None)
        values["logprobs"] = values.get("logprobs", ALTERNATIVES)
        values["prompt_logprobs"] = values["logprobs"]
        values["stop"] = lines(self.cleaned_data["stop"])
        if values["mode"] == Run.Mode.CHAT and self.cleaned_data["system"].strip():
            values["messages"] = [
                {"role": "system", "content": self.cleaned_data["system"]},
                {"role": "user", "content": values["prompt"]},
            ]
        asked: Asked = values
        return asked


def of_run(run: Run) -> dict[str, Any]:
    """The form's values that ask for a run again."""
    names = ("mode", "prompt", "temperature", "top_p", "max_tokens", "seed", "repeatable")
    values = {name: getattr(run, name) for name in names}
    usual = Run()
    for name in RunForm.OPTIONS:
        if getattr(run, name) != getattr(usual, name):
            values[name] = getattr(run, name)
    if run.logprobs not in (None, ALTERNATIVES):
        values["logprobs"] = run.logprobs
    system = [m["content"] for m in run.messages if m.get("role") == "system"]
    return {**values, "stop": "\n".join(run.stop), "system": "\n".join(system)}


class CompareForm(Refusable):
    """What all columns of a comparison have in common."""

    mode = forms.ChoiceField(choices=Run.Mode.choices, widget=forms.RadioSelect)
    prompt = _prompt(5)
    max_tokens = forms.IntegerField(label="Maximum tokens", help_text="Of each answer.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["max_tokens"].widget.attrs |= {"min": 1, "max": settings.SANDBOX_MAX_TOKENS}


class ColumnForm(Refusable):
    """One column: a release in one setting. Without a release it is left out."""

    release = forms.ChoiceField(required=False)
    temperature = forms.FloatField(required=False, widget=_number(0, 2))
    top_p = forms.FloatField(required=False, label="Top-p", widget=_number(0, 1))
    top_k = forms.IntegerField(required=False, label="Top-k", widget=_number(0))
    repetition_penalty = forms.FloatField(required=False, widget=_number(0, 2))
    seed = forms.IntegerField(required=False, widget=_number(0))

    def __init__(self, *args: Any, releases: Sequence[Release] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(release.slug, release.name) for release in releases]
        self.fields["release"] = forms.ChoiceField(
            required=False, choices=[("", "none: leave it out"), *choices]
        )

    def asked(self) -> Asked:
        values: Any = {
            name: value
            for name, value in self.cleaned_data.items()
            if name != "release" and value is not None
        }
        asked: Asked = values
        return asked


Columns = forms.formset_factory(ColumnForm, extra=0, max_num=4, absolute_max=4, validate_max=True)


class NumbersField(forms.CharField):
    """Numbers with commas between them."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            return list(dict.fromkeys(self.numbers(text or "")))
        except ValueError as error:
            raise forms.ValidationError(f"Write {self.meant}.") from error

    meant = "numbers with commas between, such as 0, 0.5, 1"

    def numbers(self, text: str) -> list[float]:
        return [float(part) for part in _parts(text)]


class SeedsField(NumbersField):
    """Whole numbers with commas between; `1-8` means all from 1 to 8."""

    meant = "whole numbers with commas between, or a range such as 1-8"

    def numbers(self, text: str) -> list[Any]:
        found: list[int] = []
        for part in _parts(text):
            first, dash, last = part.partition("-")
            least, most = int(first), int(last) if dash else int(first)
            if most < least or most - least >= MOST_IN_A_LIST:
                raise ValueError(part)
            found += range(least, most + 1)
        return found


class SweepForm(Refusable):
    release = forms.ChoiceField()
    mode = forms.ChoiceField(choices=Run.Mode.choices, widget=forms.RadioSelect)
    prompt = _prompt(5)
    temperatures = NumbersField(help_text="Each from 0 to 2, with commas: 0, 0.5, 1.")
    seeds = SeedsField(help_text="With commas, or a range: 1-8.")
    max_tokens = forms.IntegerField(label="Maximum tokens", help_text="Of each answer.")
    top_p = forms.FloatField(label="Top-p", help_text="0 to 1.", widget=_number(0, 1))

    def __init__(self, *args: Any, releases: Sequence[Release] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(release.slug, release.name) for release in releases]
        self.fields["release"] = forms.ChoiceField(choices=choices)
        self.fields["max_tokens"].widget.attrs |= {"min": 1, "max": settings.SANDBOX_MAX_TOKENS}

    def asked(self) -> Asked:
        names = ("mode", "prompt", "max_tokens", "top_p")
        values: Any = {name: self.cleaned_data[name] for name in names}
        values["logprobs"] = ALTERNATIVES
        asked: Asked = values
        return asked

    def refuse(self, refusal: Refusal) -> None:
        """A single run's temperature and seed are among the lists here."""
        moved = {"temperature": "temperatures", "seed": "seeds"}
        refusal.fields = {moved.get(name, name): said for name, said in refusal.fields.items()}
        super().refuse(refusal)


def lines(text: str) -> list[str]:
    """What stands on each line that is not empty."""
    return [line for line in re.split(r"\r\n|\r|\n", text) if line]


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"[\s,;]+", text) if part]
