"""The public ORCID API (version 3.0): the name and the employments of one iD.

Only the iD leaves this site, and only where an operator set WEIGHBRIDGE_ORCID_API.
"""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

TIMEOUT = 10.0  # seconds for one of the two requests
MOST_BYTES = 2 * 1024 * 1024


class LookUpFailed(Exception):
    """The service gave no answer that can be read; the text says why, for a reviewer."""


@dataclass(frozen=True)
class Person:
    """A public record. `employers`: {name, ror, ended}, as the record has them."""

    name: str = ""
    other_names: list[str] = field(default_factory=list)
    employers: list[dict[str, Any]] = field(default_factory=list)


def look_up(base: str, orcid: str) -> Person | None:
    """The public record; None where there is none. Raises LookUpFailed."""
    try:
        person = _get(f"{base}/{orcid}/person")
        if person is None:
            return None
        work = _get(f"{base}/{orcid}/employments") or {}
        names = (_names(person), _other_names(person))
        return Person(names[0], names[1], _employers(work))
    except (AttributeError, TypeError, KeyError):
        raise LookUpFailed("its answer has another form than expected.") from None


def _get(url: str) -> dict[str, Any] | None:
    # The address is the operator's own setting, whose scheme the settings check.
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310
    try:
        with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            body = answer.read(MOST_BYTES + 1)
    except HTTPError as error:
        # 409 and 410: locked or deactivated records, which are not public either.
        if error.code in (404, 409, 410):
            return None
        raise LookUpFailed(f"it answered with status {error.code}.") from None
    except (URLError, OSError, ValueError):
        raise LookUpFailed("it could not be reached in time.") from None
    if len(body) > MOST_BYTES:
        raise LookUpFailed("its answer is too long.")
    try:
        found = json.loads(body)
    except ValueError:
        raise LookUpFailed("its answer is no JSON.") from None
    return found if isinstance(found, dict) else {}


def _value(part: Any) -> str:
    return str((part or {}).get("value") or "")[:300]


def _names(person: dict[str, Any]) -> str:
    name = person.get("name") or {}
    return f"{_value(name.get('given-names'))} {_value(name.get('family-name'))}".strip()[:300]


def _other_names(person: dict[str, Any]) -> list[str]:
    credit = _value((person.get("name") or {}).get("credit-name"))
    others = (person.get("other-names") or {}).get("other-name") or []
    return [name for name in (credit, *(str(one.get("content") or "") for one in others)) if name]


def _employers(work: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for group in work.get("affiliation-group") or []:
        for summary in group.get("summaries") or []:
            one = summary.get("employment-summary") or {}
            organisation = one.get("organization") or {}
            known = organisation.get("disambiguated-organization") or {}
            is_ror = known.get("disambiguation-source") == "ROR"
            identifier = str(known.get("disambiguated-organization-identifier") or "")
            found.append(
                {
                    "name": str(organisation.get("name") or "")[:300],
                    "ror": identifier.rstrip("/").rpartition("/")[2][:20] if is_ror else "",
                    "ended": bool(one.get("end-date")),
                }
            )
    return found[:50]
