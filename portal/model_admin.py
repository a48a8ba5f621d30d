"""The base class of every list of the admin.

Django lets each column of a model answer a look-up in the query string of its list, shown or not: whoever may open
the list of people could read a password hash letter by letter (`?password__startswith=`), and a regular expression
keeps the database busy for minutes. Here a list answers what its filters are about, and nothing else.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.contrib import admin
from django.db.models import DateField, Model, QuerySet
from django.http import HttpRequest
from django.utils.text import smart_split
from unfold.admin import ModelAdmin as UnfoldModelAdmin

from portal.accounts.addresses import with_addresses_normalised

LONGEST_SEARCH, MOST_WORDS = 200, 12  # of a search; the rest is passed over
_YEAR = re.compile(r"[12]\d{3}-", re.ASCII)  # at the ends of the calendar Django counts beyond them


class ModelAdmin(UnfoldModelAdmin):
    show_facets = admin.ShowFacets.NEVER  # each would count a whole table

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """Of a few words, for Django compares each with each column; addresses in the form that is stored."""
        term = with_addresses_normalised(search_term[:LONGEST_SEARCH])
        words = islice(smart_split(term), MOST_WORDS)
        return super().get_search_results(request, queryset, " ".join(words))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """Whether a filter of this list writes such a parameter. Django answers others with 400."""
        text = str(value)
        if "\0" in text:  # which PostgreSQL takes in no text
            return False
        if self.date_hierarchy and lookup in _days(self.date_hierarchy):
            return bool(re.fullmatch(r"[12]\d{3}|\d{1,2}", text, re.ASCII))
        if lookup.endswith(("__gte", "__lt")) and not _YEAR.match(text):
            return False
        return any(lookup in _parameters(self.model, one) for one in self.get_list_filter(request))


def _days(path: str) -> set[str]:
    return {f"{path}__{part}" for part in ("year", "month", "day")}


def _parameters(model: type[Model], list_filter: Any) -> set[str]:
    """The parameters that Django's filters, and ours, take from the query string."""
    if isinstance(list_filter, type):  # a filter of our own
        return {list_filter.parameter_name}  # type: ignore[attr-defined]
    path = list_filter if isinstance(list_filter, str) else list_filter[0]
    *_, field = _fields(model, path)
    if field.is_relation:
        return {f"{path}__{field.target_field.name}__exact", f"{path}__isnull"}
    names = {path, f"{path}__exact", f"{path}__isnull", f"{path}__isempty"}
    return names | {f"{path}__gte", f"{path}__lt"} if isinstance(field, DateField) else names


def _fields(model: Any, path: str) -> Iterator[Any]:
    for name in path.split("__"):
        field = model._meta.get_field(name)
        yield field
        model = field.related_model
