"""The prompt's form: types alone. What values may be is for `services.create_run` to say."""

from typing import Any

from django import forms
from django.conf import settings

from inference_sandbox.models import Run
from portal.refusals import Refusal


def defaults() -> dict[str, Any]:
    return {"temperature": 0.7, "top_p": 0.95, "max_tokens": min(256, settings.SANDBOX_MAX_TOKENS)}


class RunForm(forms.Form):
    release = forms.CharField(widget=forms.HiddenInput)
    mode = forms.ChoiceField(choices=Run.Mode.choices, widget=forms.RadioSelect)
    prompt = forms.CharField(
        strip=False,
        error_messages={"required": "The prompt is empty: write what the model shall go on from."},
        widget=forms.Textarea(attrs={"rows": 7, "spellcheck": "true"}),
    )
    temperature = forms.FloatField(
        help_text="0 to 2.",
        widget=forms.NumberInput(attrs={"min": 0, "max": 2, "step": "any"}),
    )
    top_p = forms.FloatField(
        label="Top-p",
        help_text="Above 0, up to 1.",
        widget=forms.NumberInput(attrs={"min": 0, "max": 1, "step": "any"}),
    )
    max_tokens = forms.IntegerField(label="Maximum tokens", help_text="Of the answer.")
    seed = forms.IntegerField(required=False, help_text="Else one is drawn.")

    def __init__(self, *args: Any, chat: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["max_tokens"].widget.attrs |= {"min": 1, "max": settings.SANDBOX_MAX_TOKENS}
        if not chat:
            self.fields["mode"].widget = forms.HiddenInput()

    def refuse(self, refusal: Refusal) -> None:
        """Show what the service said where it belongs; what was typed stays."""
        known = {name: lines for name, lines in refusal.fields.items() if name in self.fields}
        for name, lines in known.items():
            self.add_error(name, lines)
        if not known:
            self.add_error(None, f"{refusal.detail} {refusal.way_out}")
