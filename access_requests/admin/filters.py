"""The filters of the queue."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from access_requests import selectors
from access_requests.admin.desk import reviewer
from access_requests.models import WAITS, Application, State
from portal.accounts.models import Affiliation

Choices = Iterable[tuple[str, str]]


class TabFilter(SimpleListFilter):
    """The tabs above the list set it; a chosen state stands in for it."""

    title = "tab"
    parameter_name = "tab"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return list(selectors.TABS.items())

    def choices(self, changelist: ChangeList) -> Any:
        return list(super().choices(changelist))[1:]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Application]") -> Any:
        tab = self.value()
        if tab is None:
            tab = None if request.GET.get("state") else "queue"
        if tab is None:
            return queryset
        if tab not in selectors.TABS:
            return queryset.none()
        return selectors.in_tab(queryset, tab, reviewer(request))


class StateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        seen = [state for state in State if state != State.DRAFT]
        return [("all", "All, decided too"), *((state.value, state.label) for state in seen)]

    def choices(self, changelist: ChangeList) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "As the tab says"}, *others]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Application]") -> Any:
        match self.value():
            case None | "all":
                return queryset
            case state if state in State.values:
                return queryset.filter(state=state)
        return queryset.none()


class CategoryFilter(SimpleListFilter):
    title = "category"
    parameter_name = "category"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [(one.value, one.label) for one in Affiliation.Category]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Application]") -> Any:
        category = self.value()
        if not category or category not in Affiliation.Category.values:
            return queryset
        return queryset.filter(category=Affiliation.Category(category).label)


class ClaimFilter(SimpleListFilter):
    title = "claim"
    parameter_name = "claim"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [("me", "Claimed by me"), ("nobody", "Unclaimed"), ("others", "Claimed by others")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Application]") -> Any:
        match self.value():
            case "me":
                return queryset.filter(claimed_by_id=request.user.pk)
            case "nobody":
                return queryset.filter(claimed_by=None)
            case "others":
                return queryset.exclude(claimed_by=None).exclude(claimed_by_id=request.user.pk)
        return queryset


class AgeFilter(SimpleListFilter):
    title = "age"
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [(days, f"Older than {days} days") for days in ("3", "7", "14", "30")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Application]") -> Any:
        days = self.value()
        if not days or days not in ("3", "7", "14", "30"):
            return queryset
        waiting = queryset.annotate(waits=WAITS)
        return waiting.filter(waits__lt=timezone.now() - timedelta(days=int(days)))


class RunningFilter(SimpleListFilter):
    """Grants by the clock."""

    title = "time"
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [("running", "Running"), ("soon", "Ends within 30 days"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        now = timezone.now()
        match self.value():
            case "running":
                return queryset.filter(ends_at__gt=now)
            case "soon":
                return queryset.filter(ends_at__gt=now, ends_at__lte=now + timedelta(days=30))
            case "ended":
                return queryset.filter(ends_at__lte=now)
        return queryset
