"""The manager's side of the catalogue. Weights are published by the `publish` command, not here.

Licences have their page in `access_requests`, which knows the grants that a new version touches;
releases have theirs in `distribution`, which knows the weights.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from portal.accounts.roles import is_manager
from portal.accounts.views import person
from portal.audit.models import Verb
from portal.catalog import services
from portal.catalog.models import Family, Licence
from portal.model_admin import ModelAdmin


class Kept:
    """What is saved here is saved by the service, so that each edit is an event."""

    verb: Verb

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        services.save_entry(obj, actor=person(request), verb=self.verb, changed=form.changed_data)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        services.delete_entry(obj, actor=person(request), verb=self.verb)


class ManagersOnly(Kept):
    """Managers see and change; nobody deletes what grants may point to."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_manager(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    has_change_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_manager(request.user)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FamilyForm(forms.ModelForm):
    def clean_licence(self) -> Licence:
        """The family's pages show the text in force, so there must be one."""
        licence: Licence = self.cleaned_data["licence"]
        if not licence.versions.filter(published_at__lte=timezone.now()).exists():
            raise forms.ValidationError(
                "No version of this licence is in force yet. Give it one, then choose it here."
            )
        return licence


@admin.register(Family)
class FamilyAdmin(ManagersOnly, ModelAdmin):
    verb = Verb.FAMILY_CHANGED
    form = FamilyForm
    list_display = ("name", "publisher", "licence")
    prepopulated_fields = {"slug": ("name",)}
