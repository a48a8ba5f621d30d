"""The filters of the audit log, each answered from an index."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from re import fullmatch
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from portal.audit import sealing, selectors
from portal.audit.models import Event, Seal

Choices = Iterable[tuple[str, str]]


class SealedFilter(admin.SimpleListFilter):
    title = "seal"
    parameter_name = "sealed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [("yes", "Sealed"), ("no", "Not sealed yet")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Event]") -> "QuerySet[Event]":
        match self.value():
            case "yes":
                return queryset.filter(sealed__isnull=False)
            case "no":
                return queryset.filter(pk__in=sealing.waiting().values("pk"))
        return queryset


class SealFilter(admin.SimpleListFilter):
    """Chosen by the link on a seal's page, so it offers nothing itself."""

    title = "number of the seal"
    parameter_name = "in_seal"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        number = request.GET.get(self.parameter_name, "")
        return [(number, f"Seal {number}")] if number.isdecimal() and len(number) < 19 else []

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Event]") -> "QuerySet[Event]":
        number = self.value() or ""
        if not (number.isdecimal() and len(number) < 19):
            return queryset
        seal = Seal.objects.filter(pk=int(number)).first()
        if seal is None:
            return queryset.none()
        # The range says nothing more; it tells the database where to look among millions.
        return queryset.filter(pk__range=(seal.first_event, seal.last_event), sealed__seal=seal)


class SubjectFilter(admin.SimpleListFilter):
    title = "subject type"
    parameter_name = "subject_type__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(kind, kind) for kind in selectors.subject_types()]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Event]") -> "QuerySet[Event]":
        return queryset.filter(subject_type=self.value()) if self.value() else queryset


class TimeFilter(admin.SimpleListFilter):
    """Years, and the months of the chosen one: they lead to what lies behind the pages shown."""

    title = "time"
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        first, now = selectors.first_moment() or timezone.now(), timezone.now()
        chosen = (request.GET.get(self.parameter_name) or "")[:4]
        for year in range(now.year, first.year - 1, -1):
            yield str(year), str(year)
            if chosen == str(year):
                for month in range(1, 13):
                    yield f"{year}-{month:02}", f"{date(year, month, 1):%B %Y}"

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Event]") -> "QuerySet[Event]":
        given = fullmatch(r"([0-9]{4})(?:-([0-9]{2}))?", self.value() or "")
        if not given:
            return queryset
        year, month = int(given[1]), int(given[2] or 0)
        if not 1 <= year < 9999 or month > 12:
            return queryset.none()
        start = datetime(year, month or 1, 1, tzinfo=UTC)
        last = month in (0, 12)
        end = datetime(year + last, 1 if last else month + 1, 1, tzinfo=UTC)
        return queryset.filter(at__gte=start, at__lt=end)
