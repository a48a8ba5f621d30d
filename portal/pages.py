"""Pages of long lists: not all rows are counted, and none but those shown are read whole."""

from functools import cached_property
from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination, PageNumberPagination

from portal.absolute_urls import absolute_url

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
    """Of a search: who finds more than that adds a word.

    The search is made once, for the number and for the page: with a common word it is what takes the time.
    """

    most = 1_000

    @cached_property
    def _ids(self) -> list[int]:
        rows = self.object_list.values_list("pk", flat=True)  # type: ignore[attr-defined]
        return list(rows[: self.most + 1])

    @cached_property
    def count(self) -> int:
        found = len(self._ids)
        return MoreThan(self.most) if found > self.most else found

    def page(self, number: Any) -> Any:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        ids = self._ids[: self.most][first : first + self.per_page]
        rows = self.object_list.all()  # type: ignore[attr-defined]
        rows.query.clear_where()  # the ids came through it: it would be searched again
        return self._get_page(rows.filter(pk__in=ids), number, self)  # type: ignore[attr-defined]


class OwnUrls:
    """Links to other pages are absolute, and under the site's own address."""

    def get_next_link(self) -> str | None:
        link = super().get_next_link()  # type: ignore[misc]
        return absolute_url(link) if link else None

    def get_previous_link(self) -> str | None:
        link = super().get_previous_link()  # type: ignore[misc]
        return absolute_url(link) if link else None


class Pages(OwnUrls, PageNumberPagination):
    """How lists of the API come, if they do not say otherwise."""

    django_paginator_class = PagePaginator


class NewestFirst(OwnUrls, CursorPagination):
    """For lists without an end: `next` leads on from the last row, which costs the same at any
    depth. There is no `count`.
    """

    ordering = ("-at", "-id")
    page_size = 50
