"""The licence manager: each text beside the one before it, and the page to write the next."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from access_requests import selectors, services
from access_requests.admin.desk import Desk, reviewer
from access_requests.differences import Piece, by_words
from portal.accounts.models import Account
from portal.accounts.roles import is_manager
from portal.audit.models import Verb
from portal.catalog.models import Licence, LicenceVersion
from portal.catalog.services import save_entry
from portal.names import NameInput

EFFECT = {
    LicenceVersion.Standing.KEEP: "They stand under the version that their holders accepted.",
    LicenceVersion.Standing.REACCEPT: "They stand for these days, then wait for acceptance.",
    LicenceVersion.Standing.SUSPEND: "They wait for acceptance from the moment you publish.",
}


class VersionForm(forms.Form):
    text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 24}),
        strip=False,
        max_length=200_000,
        help_text="Markdown. Starts as the text in force; change what has to change.",
    )
    standing = forms.ChoiceField(
        label="What becomes of standing grants",
        choices=LicenceVersion.Standing.choices,
        initial=LicenceVersion.Standing.KEEP,
    )
    reaccept_days = forms.IntegerField(
        label="Days to accept, for re-accept", min_value=1, max_value=365, initial=30
    )


class AboutForm(forms.Form):
    name = NameInput(max_length=120)
    summary = forms.CharField(
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="In plain words, what it allows and forbids. It binds nobody.",
    )


class NewLicenceForm(forms.ModelForm):
    """A licence begins with its first text."""

    text = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 24}),
        help_text="Markdown; this is version 1.",
    )

    class Meta:
        model = Licence
        fields = ("name", "slug", "summary")


@admin.register(Licence)
class LicenceAdmin(Desk):
    page_template = "access_requests/review/licence.html"
    form = NewLicenceForm
    prepopulated_fields = {"slug": ("name",)}
    list_display = ("name", "in_force", "changed")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        return ("name", "slug", "summary", "text")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Licence]":
        return Licence.objects.annotate(
            newest=Max("versions__number"), changed_at=Max("versions__published_at")
        ).order_by("name")

    @display(description="Newest version", ordering="newest")
    def in_force(self, obj: Licence) -> str:
        return str(getattr(obj, "newest", None) or "none")

    @display(description="Published", ordering="changed_at")
    def changed(self, obj: Licence) -> Any:
        return getattr(obj, "changed_at", None)

    def save_model(self, request: HttpRequest, obj: Licence, form: Any, change: bool) -> None:
        actor = reviewer(request)
        save_entry(obj, actor=actor, verb=Verb.LICENCE_DESCRIBED, changed=("name", "slug"))
        services.publish_version(
            obj.pk,
            actor=actor,
            text=form.cleaned_data["text"],
            standing=LicenceVersion.Standing.KEEP,
        )

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="access_requests_licence_act",
        )
        return [act, *super().get_urls()]

    def act(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        if action != "preview":
            return super().act(request, pk, action)
        obj = self.found(request, str(pk))
        form = VersionForm(request.POST)
        valid = form.is_valid()
        return self.page(request, obj, {"preview": form}, status=200 if valid else 422)

    def form_for(self, action: str, obj: Licence, data: Any) -> forms.Form:
        if action == "about":
            return AboutForm(data, initial={"name": obj.name, "summary": obj.summary})
        newest = obj.versions.order_by("-number").first()
        return VersionForm(data, initial={"text": newest.text if newest else ""})

    def perform(self, action: str, obj: Licence, form: forms.Form, actor: Account) -> str:
        given = form.cleaned_data
        match action:
            case "publish":
                version = services.publish_version(
                    obj.pk,
                    actor=actor,
                    text=given["text"],
                    standing=LicenceVersion.Standing(given["standing"]),
                    reaccept_days=given["reaccept_days"],
                )
                return f"Version {version.number} is in force; holders are told by mail."
            case "about":
                services.describe_licence(obj.pk, actor=actor, **given)
                return "Name and summary are changed; the texts stay as they are."
        raise services.unknown_action(action)

    def page_context(
        self, request: HttpRequest, obj: Licence, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        versions = list(obj.versions.annotate(accepted=Count("acceptances")).order_by("-number"))
        form = bound.get("publish") or bound.get("preview") or self.form_for("publish", obj, None)
        return {
            "title": obj.name,
            "licence": obj,
            "versions": _with_changes(versions),
            "version_form": form,
            "about_form": bound.get("about") or self.form_for("about", obj, None),
            "preview": self.preview(obj, versions, bound.get("preview")),
            **_touched(obj),
        }

    def preview(
        self, obj: Licence, versions: Sequence[LicenceVersion], form: forms.Form | None
    ) -> dict[str, Any] | None:
        """What publishing would do; None while there is nothing to show."""
        if form is None or not form.is_valid():
            return None
        text = form.cleaned_data["text"].replace("\r\n", "\n").strip()
        before = versions[0].text if versions else ""
        standing = LicenceVersion.Standing(form.cleaned_data["standing"])
        return {
            "changes": by_words(before.strip(), text),
            "is_same": before.strip() == text,
            "standing": standing.label,
            "effect": EFFECT[standing],
            "form": form,
        }


def _with_changes(
    versions: Sequence[LicenceVersion],
) -> list[tuple[LicenceVersion, list[Piece] | None]]:
    """Each version, newest first, with what it changed in the one before it."""
    older: list[LicenceVersion | None] = [*versions[1:], None]
    return [
        (version, by_words(before.text, version.text) if before else None)
        for version, before in zip(versions, older, strict=True)
    ]


def _touched(licence: Licence) -> dict[str, int]:
    grants = selectors.grants_touched_by(licence)
    count = grants.order_by().aggregate(
        touched=Count("pk"), holders=Count("account", distinct=True)
    )
    return {"touched": count["touched"], "holders": count["holders"]}
