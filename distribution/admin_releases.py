"""A release's page in the admin, and the acts that close it and open it again."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import action, display

from distribution import services
from distribution.admin_confirm import confirm
from distribution.models import Revision
from portal.accounts.roles import is_manager
from portal.accounts.views import person
from portal.audit.models import Verb
from portal.catalog.admin import ManagersOnly
from portal.catalog.models import Release
from portal.model_admin import ModelAdmin

FACTS = (
    *("parameters", "dimension", "heads", "layers", "context_length"),
    *("model_parallel", "training_tokens"),
)
INSTEAD_OF_WITHDRAWING = "To stop downloads that are running, take the revision down instead."


def page_of(release: Release) -> str:
    return reverse("admin:catalog_release_change", args=[release.pk])


def current(release: Release) -> Revision | None:
    return Revision.objects.filter(release=release, is_current=True).first()


def take_down_page(revision: Revision) -> str:
    return reverse("admin:distribution_revision_take_down", args=[revision.pk])


@admin.register(Release)
class ReleaseAdmin(ManagersOnly, ModelAdmin):
    verb = Verb.RELEASE_CHANGED
    list_display = ("name", "repo_id", "family", "status", "parameters", "acts")
    list_filter = ("status", "family")
    search_fields = ("name", "repo_id")
    prepopulated_fields = {"slug": ("name",)}
    actions_detail = ("withdraw", "take_down", "restore", "downloads")

    @display(description="Stop access")
    def acts(self, release: Release) -> str:
        """The ways to close it, from the list."""
        if release.status == Release.Status.WITHDRAWN:
            url = reverse("admin:catalog_release_restore", args=[release.pk])
            return format_html('<a href="{}">Restore</a>', url)
        args = [release.pk]
        withdraw = reverse("admin:catalog_release_withdraw", args=args)
        if not release.is_published:
            return format_html('<a href="{}">Withdraw</a>', withdraw)
        take_down = reverse("admin:catalog_release_take_down", args=args)
        return format_html(
            '<a href="{}">Withdraw</a> · <a href="{}">Take down</a>', withdraw, take_down
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Release | None = None) -> list[str]:
        """The status, which publishing and withdrawing change, and what the published weights say."""
        revision = current(obj) if obj else None
        return ["status", *(revision.facts if revision else ())]

    def get_fieldsets(self, request: HttpRequest, obj: Release | None = None) -> Any:
        fields = [name for name in self.get_fields(request, obj) if name not in FACTS]
        about = "Leave empty what is not known yet: publishing the weights fills it in."
        if obj and current(obj):
            about = "What the published weights say can't be edited; publish again to correct it."
        return [(None, {"fields": fields}), ("The model", {"fields": FACTS, "description": about})]

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Those that the services would not refuse now."""
        release = self.get_object(request, str(object_id))
        if release is None:
            return []
        revision = current(release)
        withdrawn = release.status == Release.Status.WITHDRAWN
        hidden = {
            "withdraw": withdrawn,
            "restore": not withdrawn,
            "take_down": revision is None or revision.taken_down_at is not None,
        }
        found = super().get_actions_detail(request, object_id)
        return [one for one in found if not hidden.get(one.path)]

    @action(description="Withdraw", url_path="withdraw")
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        release = self._found(request, object_id)

        def perform(reason: str) -> str:
            services.withdraw(release.pk, actor=person(request), reason=reason)
            return f"{release.repo_id} is withdrawn."

        revision = current(release)
        return confirm(
            request,
            self.admin_site,
            title=f"Withdraw {release.name}",
            label="Withdraw release",
            consequences="Nobody can open new links or start runs from now on, and nobody can "
            "apply. Grants and files stay; downloads that are running finish. You can restore the "
            "release later.",
            reader="For the audit log.",
            release=release,
            back=page_of(release),
            perform=perform,
            instead=(INSTEAD_OF_WITHDRAWING, take_down_page(revision) if revision else ""),
        )

    @action(description="Take down", url_path="take_down")
    def take_down(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The current revision; others are taken down from their own pages."""
        release = self._found(request, object_id)
        if revision := current(release):
            return redirect(take_down_page(revision))
        messages.info(request, "This release has no published revision to take down.")
        return redirect(page_of(release))

    @action(description="Restore", url_path="restore")
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        release = self._found(request, object_id)

        def perform(reason: str) -> str:
            services.restore(release.pk, actor=person(request), reason=reason)
            return f"{release.repo_id} is available again."

        return confirm(
            request,
            self.admin_site,
            title=f"Restore {release.name}",
            label="Restore release",
            consequences="The release is available again, as it was before it was withdrawn: to "
            "everyone whose grant is still running, by the same links.",
            reader="For the audit log.",
            release=release,
            back=page_of(release),
            perform=perform,
        )

    @action(description="Downloads", url_path="downloads")
    def downloads(self, request: HttpRequest, object_id: str) -> HttpResponse:
        release = self._found(request, object_id)
        return redirect("admin:distribution_release_downloads", slug=release.slug)

    def _found(self, request: HttpRequest, object_id: str) -> Release:
        if not is_manager(request.user):
            raise PermissionDenied
        release = self.get_object(request, object_id)
        if release is None:
            raise Http404("no such release")
        return release
