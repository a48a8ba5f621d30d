"""What a check is, and what checks share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.utils import timezone

from portal.accounts.addresses import normalise_address, normalise_domain

# Second-level labels under which anybody registers a name: `ac.uk` is nobody's domain.
SHARED_LABELS = frozenset({"ac", "co", "com", "edu", "gov", "gob", "net", "org", "or", "go", "ne"})

RESULTS = ("supports", "attention", "neutral")


@dataclass(frozen=True)
class Check:
    """One check. `result`: `supports`, `attention` (look closer), or `neutral` (says nothing)."""

    key: str
    label: str
    source: str
    result: str
    finding: str
    limits: str
    at: str
    applications: list[int] = field(default_factory=list)  # others that the finding speaks of


def check(
    key: str,
    label: str,
    source: str,
    result: str,
    finding: str,
    limits: str,
    applications: Iterable[int] = (),
) -> Check:
    """A check made now."""
    at = timezone.now().isoformat(timespec="seconds")
    return Check(key, label, source, result, finding, limits, at, list(applications))


def mail_domain(address: str) -> str:
    return normalise_address(address).rpartition("@")[2]


def host(url: str) -> str:
    return normalise_domain(urlsplit(url).hostname or "").removeprefix("www.")


def same_organisation(first: str, second: str) -> bool:
    """Whether two host names end in the same registrable name, as well as one can tell without a
    list.
    """
    shared = 0
    labels = list(
        zip(reversed(first.lower().split(".")), reversed(second.lower().split(".")), strict=False)
    )
    for one, other in labels:
        if one != other:
            break
        shared += 1
    needed = (
        3 if len(labels) > 1 and labels[1][0] in SHARED_LABELS and len(labels[0][0]) == 2 else 2
    )
    return shared >= needed
