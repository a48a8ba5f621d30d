"""Search over what reviewers may see: names, institutions and answers."""

import re

from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL

from access_requests.models import Application
from access_requests.search_index import INDEX, LEXEMES, TABLE
from access_requests.search_words import words_of
from portal.accounts.addresses import with_addresses_normalised

MOST_WORDS = 12  # of a search; the rest is passed over
FEW = 200  # documents

# The ids of the documents that hold each word, or a word that begins with it.
FOUND = {
    "sqlite": f"SELECT rowid FROM {INDEX} WHERE {INDEX} MATCH %s",  # noqa: S608 - our own names
    "postgresql": f"SELECT id FROM {TABLE} WHERE {LEXEMES} @@ %s::tsquery",  # noqa: S608
}
BEGINS_WITH = {"sqlite": ('"{}"*', " AND "), "postgresql": ("'{}':*", " & ")}


_REFERENCE = re.compile(r"\s*WB[\s\u2010-\u2015-]*0*([1-9][0-9]{0,17})\s*", re.IGNORECASE)


def reference_in(text: str) -> int | None:
    """The id in a reference, as people type it: WB-000123, wb-123, WB 123; None in all other texts."""
    found = _REFERENCE.fullmatch(text)
    return int(found[1]) if found else None


def search(applications: "QuerySet[Application]", text: str) -> "QuerySet[Application]":
    """Those of `applications` that hold every word of `text`, or the beginning of one; the one that
    it is the reference of.

    What is searched is the document that was handed in: a draft has none, and a correction is found
    once it is handed in again. Never widens `applications`: what a person may not see they do not
    find.
    """
    if pk := reference_in(text):
        return applications.filter(pk=pk)
    words = list(dict.fromkeys(words_of(with_addresses_normalised(text))))[:MOST_WORDS]
    if not words:
        return applications.none() if text.strip() else applications
    one, between = BEGINS_WITH[connection.vendor]
    # Words are letters and digits alone, so nothing in them can end the quotes.
    match = between.join(one.format(word) for word in words)
    with connection.cursor() as cursor:
        cursor.execute(f"{FOUND[connection.vendor]} LIMIT {FEW + 1}", [match])
        ids = [pk for (pk,) in cursor.fetchall()]
    # Few are named one by one: no planner knows beforehand how rare the beginning of a word is.
    if len(ids) <= FEW:
        return applications.filter(pk__in=ids)
    many = RawSQL(FOUND[connection.vendor], [match])  # noqa: S611
    if connection.vendor == "sqlite":
        # SQLite would fetch each of them by its id, and sort them. An id in a sum is one that it
        # cannot fetch by: it goes through the list in order, and looks each up among the found.
        return applications.alias(id_in_a_sum=F("pk") + 0).filter(id_in_a_sum__in=many)
    return applications.filter(pk__in=many)
