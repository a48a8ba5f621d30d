"""Webhooks in the admin, for managers. The buttons call the services."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST
from unfold.decorators import display

from portal.accounts.models import Account
from portal.accounts.roles import is_manager
from portal.audit.admin import ReadOnly
from portal.model_admin import ModelAdmin
from portal.names import NameInput
from portal.refusals import Code, Refusal
from portal.webhooks import selectors, services
from portal.webhooks.models import Subscription

LIST = "admin:webhooks_subscription_changelist"


class SubscriptionForm(forms.Form):
    name = NameInput(max_length=80, help_text="For the managers of this site.")
    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="Where events are posted to: https, and a public address.",
    )
    verbs = forms.MultipleChoiceField(
        label="Events",
        choices=selectors.verb_groups,
        required=False,
        widget=forms.SelectMultiple(attrs={"size": 10}),
        help_text="Choose several with Ctrl or ⌘. With none chosen, all are sent.",
    )


class ReplayForm(forms.Form):
    sequence = forms.IntegerField(label="From number", min_value=1)


def manager(request: HttpRequest) -> Account:
    assert isinstance(request.user, Account)
    return request.user


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnly, ModelAdmin):
    list_display = ("name", "url", "state", "progress", "wants")
    search_fields = ("name", "url")
    show_full_result_count = False
    actions = None
    list_before_template = "webhooks/about.html"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    @display(description="State")
    def state(self, obj: Subscription) -> str:
        return _state(obj)[1]

    @display(description="Received of numbered")
    def progress(self, obj: Subscription) -> str:
        return f"{obj.delivered} of {obj.queued}"

    @display(description="Events")
    def wants(self, obj: Subscription) -> str:
        number = len(obj.verbs)
        return f"{number} kind{'' if number == 1 else 's'}" if number else "all"

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="webhooks_subscription_act",
        )
        return [act, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise Http404("not a manager")
        form = SubscriptionForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                made, secret = services.subscribe(actor=manager(request), **form.cleaned_data)
            except Refusal as refusal:
                _back_to(form, refusal)
            else:
                return self.page(request, made, {}, secret=secret)
        status = 422 if form.errors else 200
        context = self.common(request, "A new webhook") | {"form": form}
        return TemplateResponse(request, "webhooks/add.html", context, status=status)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return self.page(request, self.found(request, object_id), {})

    def found(self, request: HttpRequest, object_id: str) -> Subscription:
        if not self.has_view_permission(request):
            raise Http404("not a manager")
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404("no such webhook")
        return found

    def common(self, request: HttpRequest, title: str) -> dict[str, Any]:
        shown = {"opts": self.opts, "title": title, "list_url": reverse(LIST)}
        return {**self.admin_site.each_context(request), **shown}

    def page(
        self,
        request: HttpRequest,
        obj: Subscription,
        bound: dict[str, forms.Form],
        *,
        secret: str = "",
        status: int = 200,
    ) -> HttpResponse:
        kind, words = _state(obj)
        context = self.common(request, obj.name) | {
            "one": obj,
            "kind": kind,
            "words": words,
            "secret": secret,
            "former_runs": obj.former_until and obj.former_until > timezone.now(),
            "attempts": selectors.last_attempts(obj),
            "change": bound.get("change") or self.form_for("change", obj, None),
            "replay": bound.get("replay") or self.form_for("replay", obj, None),
        }
        # No page of the admin is kept by a browser, so neither is a secret on it.
        return TemplateResponse(request, "webhooks/subscription.html", context, status=status)

    def form_for(self, action: str, obj: Subscription, data: Any) -> forms.Form:
        match action:
            case "change":
                now = {"name": obj.name, "url": obj.url, "verbs": obj.verbs}
                return SubscriptionForm(data, initial=now)
            case "replay":
                return ReplayForm(data, initial={"sequence": max(obj.delivered, 1)})
        return forms.Form(data or {})

    def act(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        obj = self.found(request, str(pk))
        form = self.form_for(action, obj, request.POST)
        if not form.is_valid():
            return self.page(request, obj, {action: form}, status=422)
        try:
            if action == "rotate":
                obj, secret = services.rotate(pk, actor=manager(request))
                return self.page(request, obj, {}, secret=secret)
            told = self.perform(action, obj, form, manager(request))
        except Refusal as refusal:
            messages.error(request, f"{refusal.detail} {refusal.way_out}")
            _back_to(form, refusal)
            return self.page(request, obj, {action: form}, status=refusal.status)
        level = messages.WARNING if told.startswith("The test failed") else messages.SUCCESS
        messages.add_message(request, level, told)
        if action == "end":
            return redirect(LIST)
        return redirect("admin:webhooks_subscription_change", pk)

    def perform(self, action: str, obj: Subscription, form: forms.Form, actor: Account) -> str:
        """Call the service; return what to tell the person."""
        match action:
            case "change":
                services.change(obj.pk, actor=actor, **form.cleaned_data)
                return "Saved. It holds for events that have no number yet."
            case "ping":
                attempt = services.ping(obj.pk, actor=actor)
                if attempt.error:
                    return f"The test failed. {attempt.error}"
                return f"The test was received in {attempt.took_ms} ms."
            case "pause":
                services.pause(obj.pk, actor=actor)
                return "Paused. What happens meanwhile is sent when you resume it."
            case "resume":
                services.resume(obj.pk, actor=actor)
                return "Resumed. What waits is sent within seconds."
            case "try-now":
                services.try_now(obj.pk, actor=actor)
                return "It is tried again within seconds."
            case "replay":
                sequence = form.cleaned_data["sequence"]
                services.replay(obj.pk, actor=actor, sequence=sequence)
                return f"Everything from number {sequence} on is sent again, under the same ids."
            case "end":
                services.end(obj.pk, actor=actor)
                return f"The webhook “{obj.name}” is ended."
        raise Refusal(
            Code.NOT_FOUND, f"There is no action “{action}”.", "The page shows what is possible."
        )


def _back_to(form: forms.Form, refusal: Refusal) -> None:
    """What the service found wrong stands beside its field."""
    for field, lines in refusal.fields.items():
        if field in form.fields:
            form.add_error(field, lines)


def _state(obj: Subscription) -> tuple[str, str]:
    """How it goes: the colour of the tag, and the words."""
    if obj.paused_at:
        return "warn", f"paused since {obj.paused_at:%-d %B, %H:%M} UTC"
    if obj.failing_since:
        return "bad", f"failing since {obj.failing_since:%-d %B, %H:%M} UTC"
    if obj.waiting:
        return "", f"sending, {obj.waiting} wait"
    return "ok", "up to date"
