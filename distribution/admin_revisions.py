"""A revision's page in the admin, and the buttons that put it in place, take it down, bring it back."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import words
from access_requests.admin.desk import Desk
from access_requests.admin.grants import ReasonForm
from distribution import selectors, services
from distribution.checkpoints.layouts import layouts_of
from distribution.models import Revision
from portal.accounts.models import Account
from portal.accounts.roles import is_manager
from portal.audit.selectors import history
from portal.catalog.models import Release
from portal.refusals import Code, Refusal


class NoteForm(forms.Form):
    note = forms.CharField(
        label="What to tell them",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Goes into the mail to those who downloaded the current revision.",
    )


class DownForm(ReasonForm):
    reason = forms.CharField(
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Told to whoever downloaded it, and to whoever asks for it.",
    )


# action → its form, the words on its button, what it does
ACTS: dict[str, tuple[type[forms.Form], str, str]] = {
    "make_current": (
        NoteForm,
        "Make it the current one",
        "People get this revision from now on. Whoever downloaded the one before gets a mail that "
        "lists the files that differ.",
    ),
    "take_down": (
        DownForm,
        "Take it down",
        "At once: nobody gets these files, by any link or name, and transfers that this site serves "
        "stop. Grants and files stay.",
    ),
    "restore_revision": (
        forms.Form,
        "Restore it",
        "These files can be had again, by the links that were given out before.",
    ),
    "withdraw": (
        forms.Form,
        "Withdraw the release",
        "Nobody gets any revision of the release from now on. Its grants stay, and what is on its "
        "way ends as usual.",
    ),
    "restore": (
        forms.Form,
        "Restore the release",
        "The release can be had again, as it was before it was withdrawn.",
    ),
}


@admin.register(Revision)
class RevisionAdmin(Desk):
    page_template = "distribution/revision.html"
    list_display = ("row", "release", "standing", "tagged", "published_by", "created_at")
    list_display_links = ("row",)
    list_filter = ("is_current", "layout", "release")
    search_fields = ("digest", "release__repo_id", "tags__name")
    search_help_text = "Digest, repo id or tag"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Revision]":
        found = Revision.objects.select_related("release", "published_by")
        return found.prefetch_related("tags")

    @display(description="Revision")
    def row(self, obj: Revision) -> str:
        return obj.digest[:12]

    @display(
        description="State", label={"current": "success", "taken down": "danger", "kept": "info"}
    )
    def standing(self, obj: Revision) -> str:
        if obj.taken_down_at:
            return "taken down"
        return "current" if obj.is_current else "kept"

    @display(description="Tags")
    def tagged(self, obj: Revision) -> str | None:
        return ", ".join(tag.name for tag in obj.tags.all()) or None

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "<int:pk>/act/<slug:action>/",
            self.admin_site.admin_view(require_POST(self.act)),
            name="distribution_revision_act",
        )
        return [act, *super().get_urls()]

    def form_for(self, action: str, obj: Revision, data: Any) -> forms.Form:
        return ACTS[action][0](data) if action in ACTS else forms.Form(data)

    def perform(self, action: str, obj: Revision, form: forms.Form, actor: Account) -> str:
        given = form.cleaned_data
        match action:
            case "make_current":
                services.make_current(obj.pk, actor=actor, note=given["note"])
                return "It is the current revision; whoever had the one before is told."
            case "take_down":
                services.take_down(obj.pk, actor=actor, reason=given["reason"])
                return "Taken down; whoever downloaded it is told."
            case "restore_revision":
                services.restore_revision(obj.pk, actor=actor)
                return "Restored."
            case "withdraw":
                services.withdraw(obj.release_id, actor=actor)
                return "Withdrawn; nobody gets the release."
            case "restore":
                services.restore(obj.release_id, actor=actor)
                return "Restored; the release can be had again."
        raise Refusal(Code.INVALID, f"{action!r} cannot be done here.", "Use the page's buttons.")

    def page_context(
        self, request: HttpRequest, obj: Revision, bound: dict[str, forms.Form]
    ) -> dict[str, Any]:
        acts = [
            {
                "action": action,
                "label": ACTS[action][1],
                "told": ACTS[action][2],
                "form": bound.get(action) or self.form_for(action, obj, None),
            }
            for action in self.possible(obj)
        ]
        artifacts = list(obj.artifacts.defer("chunk_digests"))
        paths = [artifact.path for artifact in artifacts]
        return {
            "title": str(obj),
            "revision": obj,
            "standing": self.standing(obj),
            "artifacts": artifacts,
            "layouts": [Revision.Layout(one).label for one in sorted(layouts_of(paths))],
            "holders": selectors.holders_of(obj).count(),
            "acts": acts,
            "events": words.latest(history(obj.release)),
        }

    def possible(self, obj: Revision) -> list[str]:
        """The acts that the services would not refuse now."""
        withdrawn = obj.release.status == Release.Status.WITHDRAWN
        if obj.taken_down_at:
            return ["restore_revision", "restore" if withdrawn else "withdraw"]
        acts = ["restore" if withdrawn else "withdraw", "take_down"]
        return acts if obj.is_current else ["make_current", *acts]
