"""A revision's page in the admin, and the buttons that put it in place, take it down, bring it back."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST
from unfold.decorators import display

from access_requests import words
from access_requests.admin.desk import Desk, reviewer
from distribution import selectors, services
from distribution.admin_confirm import confirm
from distribution.checkpoints.layouts import layouts_of
from distribution.models import Revision
from portal.accounts.models import Account
from portal.accounts.roles import is_manager
from portal.audit.selectors import history
from portal.refusals import Code, Refusal


class NoteForm(forms.Form):
    note = forms.CharField(
        label="What to tell them",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Goes into the mail to those who downloaded the current revision.",
    )


# action → its form, the words on its button, what it does
ACTS: dict[str, tuple[type[forms.Form], str, str]] = {
    "make_current": (
        NoteForm,
        "Make it the current one",
        "People get this revision from now on. Whoever downloaded the one before gets a mail that "
        "lists the files that differ.",
    ),
    "restore_revision": (
        forms.Form,
        "Restore it",
        "These files can be had again, by the links that were given out before.",
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
        take_down = path(
            "<int:pk>/take_down/",
            self.admin_site.admin_view(self.take_down),
            name="distribution_revision_take_down",
        )
        return [act, take_down, *super().get_urls()]

    def take_down(self, request: HttpRequest, pk: int) -> HttpResponse:
        revision: Revision = self.found(request, str(pk))

        def perform(reason: str) -> str:
            services.take_down(revision.pk, actor=reviewer(request), reason=reason)
            return (
                f"{revision} is taken down. People who downloaded it get an email with the reason."
            )

        return confirm(
            request,
            self.admin_site,
            title=f"Take down {revision}",
            label="Take down revision",
            consequences="Nobody gets these files from now on, by any link or name. Downloads that "
            "this site serves stop. Grants and files stay, and other revisions are not touched. You "
            "can restore the revision later.",
            reader="Sent to the people who downloaded it, and shown to anyone who opens a link to it.",
            release=revision.release,
            revision=revision,
            back=self.url_of(revision),
            perform=perform,
        )

    def form_for(self, action: str, obj: Revision, data: Any) -> forms.Form:
        return ACTS[action][0](data) if action in ACTS else forms.Form(data)

    def perform(self, action: str, obj: Revision, form: forms.Form, actor: Account) -> str:
        given = form.cleaned_data
        match action:
            case "make_current":
                services.make_current(obj.pk, actor=actor, note=given["note"])
                return "It is the current revision; whoever had the one before is told."
            case "restore_revision":
                services.restore_revision(obj.pk, actor=actor)
                return "Restored."
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
        if obj.taken_down_at:
            return ["restore_revision"]
        return [] if obj.is_current else ["make_current"]
