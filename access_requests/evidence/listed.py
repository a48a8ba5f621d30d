"""Countries, persons and organisations of the list that a manager loaded."""

from collections.abc import Iterable
from itertools import combinations

from django_countries import countries
from rapidfuzz import fuzz

from access_requests.evidence.base import Check, check
from access_requests.models import Application, EvidenceList, ListedEntry, ListedName, ListedPair
from access_requests.names import name_key, name_words

CLOSE = 88  # of 100: from here on a name counts as close; a letter or two in a full name
CANDIDATES = 3000  # names that are compared at most
SHOWN = 3
Kind = ListedEntry.Kind


def current_list() -> EvidenceList | None:
    return EvidenceList.objects.filter(
        kind=EvidenceList.Kind.LISTED, status=EvidenceList.Status.CURRENT
    ).first()


def listed(application: Application) -> Check | None:
    """Whether country or a name is on the list; None where no list is loaded."""
    loaded = current_list()
    if loaded is None:
        return None
    hits = _hits(application, loaded)
    finding = " ".join(hits) or "Neither the country nor a name is on the list."
    return check(
        "listed",
        "Listed countries and persons",
        loaded.described,
        "attention" if hits else "neutral",
        finding,
        "Many people share a name. Names were compared without accents and in any order of words, "
        f"and as close from a likeness of {CLOSE} of 100; one in another script, or misspelt in "
        "the first two letters of a word, is not found. The list is as old as its date.",
    )


def _hits(application: Application, loaded: EvidenceList) -> list[str]:
    affiliation = application.affiliation
    people = application.coapplicants.filter(status__in=["joined", "admitted"])
    names = [(Kind.PERSON, application.applicant.name)]
    names += [
        (Kind.PERSON, one.account.name) for one in people.select_related("account") if one.account
    ]
    names.append((Kind.ORGANISATION, affiliation.get("institution", "")))
    hits = _countries(affiliation.get("country", ""), loaded)
    for kind, name in names:
        hits += [_told(name, entry, score) for entry, score in closest(name, kind, loaded)]
    return hits


def _countries(country: str, loaded: EvidenceList) -> list[str]:
    code = country_code(country)
    found = ListedEntry.objects.filter(evidence_list=loaded, kind=Kind.COUNTRY, country=code)
    if not code:
        return []
    return [f"The country of the affiliation, {country}, is listed{_whence(one)}." for one in found]


def _told(name: str, entry: ListedEntry, score: int) -> str:
    how = "is" if score == 100 else f"is {score} of 100 like"
    aliases = f" (also {', '.join(entry.aliases[:3])})" if entry.aliases else ""
    kind = entry.get_kind_display().lower()
    return f"“{name}” {how} the listed {kind} “{entry.name}”{aliases}{_whence(entry)}."


def _whence(entry: ListedEntry) -> str:
    parts = [part for part in (entry.source, entry.note) if part]
    return f", by {'; '.join(parts)}" if parts else ""


def closest(name: str, kind: str, loaded: EvidenceList) -> list[tuple[ListedEntry, int]]:
    """The entries whose name or alias is the same or close, the closest first."""
    key = name_key(name)
    if not key:
        return []
    names = ListedName.objects.filter(evidence_list=loaded, entry__kind=kind)
    same = names.filter(key=key).values_list("entry_id", "key")
    near = ListedPair.objects.filter(
        evidence_list=loaded, kind=kind, pair__in=pairs_of(name)
    ).values_list("entry_id", "key")[:CANDIDATES]
    scores: dict[int, int] = {}
    for entry, other in {*same[:SHOWN], *near}:
        score = likeness_of(key, other)
        if score >= CLOSE:
            scores[entry] = max(scores.get(entry, 0), score)
    best = sorted(scores, key=lambda entry: -scores[entry])[:SHOWN]
    entries = ListedEntry.objects.in_bulk(best)
    return [(entries[pk], scores[pk]) for pk in best]


def likeness_of(key: str, other: str) -> int:
    """Of 100. A name that the other holds whole, with two words or more, counts nearly as the same:
    people leave middle names out.
    """
    if key == other:
        return 100
    words, others = set(key.split()), set(other.split())
    shorter = min(words, others, key=len)
    if len(shorter) > 1 and shorter == words & others:
        return 95
    return min(99, int(fuzz.ratio(key, other)))


def pairs_of(name: str) -> list[str]:
    """How each two of its words begin: a name of one word has none."""
    begins = sorted({word[:2] for word in name_words(name) if len(word) > 1})[:8]
    return [f"{one} {other}" for one, other in combinations(begins, 2)]


def country_code(country: str) -> str:
    """The code of a country that is given by its name or code; empty where it is not known."""
    if len(country) == 2 and country.upper() in dict(countries):
        return country.upper()
    return str(countries.by_name(country) or countries.by_name(country, regex=False) or "")


def names_of(name: str, aliases: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(one.strip() for one in (name, *aliases) if one.strip()))
