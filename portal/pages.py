"""Pages of long lists: not all rows are counted, and none but those shown are read whole."""

from functools import cached_property
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination, PageNumberPagination

MOST = 10_000  # rows that are counted, and that pages lead to; filters lead to the others


class MoreThan(int):
    """How many were counted, where there are more. It says so wherever a template writes it."""

    def __str__(self) -> str:
        return f"more than {int(self):,}"


class PagePaginator(Paginator):
    """Finds the ids of a page first and then reads those rows.

    A database that sorts, or passes over rows, would carry all their columns along otherwise.
    """

    def page(self, number: Any) -> Any:
        page = super().page(number)
        rows = page.object_list
        if isinstance(rows, QuerySet):
            ids = list(rows.values_list("pk", flat=True))
            page.object_list = self.object_list.filter(pk__in=ids)  # type: ignore[attr-defined]
        return page


class CappedPaginator(PagePaginator):
    """Counts no further than `most`: to count two million rows takes longer than to read a page."""

    most = MOST

    @cached_property
    def count(self) -> int:
        # A list of the admin is a query; its order matters to the page, and not to the number.
        found = self.object_list.order_by()[: self.most + 1].count()  # type: ignore[attr-defined]
        return MoreThan(self.most) if found > self.most else found


class FoundPaginator(CappedPaginator):
    """Of a search: who finds more than that adds a word."""

    most = 1_000


class Pages(PageNumberPagination):
    """How lists of the API come, if they do not say otherwise."""

    django_paginator_class = PagePaginator


class NewestFirst(CursorPagination):
    """For lists without an end: `next` leads on from the last row, which costs the same at any
    depth. There is no `count`.
    """

    ordering = ("-at", "-id")
    page_size = 50
