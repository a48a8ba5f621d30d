"""The dump of the Research Organization Registry: schema 2, and the older schema 1.

Schema 2: `id`, `status`, `names` (value, types), `domains`, `links` (type, value), `types`,
`locations` (geonames_details.country_code).
Schema 1: `name`, `aliases`, `acronyms`, `labels`, `links` (addresses), `email_address`,
`country.country_code`, `types` in capitals.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any
from urllib.parse import urlsplit

import ijson

from access_requests.lists.files import Unreadable


@dataclass
class Organisation:
    """An active organisation as this site keeps it."""

    ror: str
    name: str
    types: list[str]
    country: str
    names: list[str]
    domains: set[str] = field(default_factory=set)  # named as mail domains
    sites: set[str] = field(default_factory=set)  # hosts of its web sites


def read_institutions(stream: IO[bytes]) -> Iterator[Organisation]:
    """Each active organisation. Raises Unreadable where the file is not a dump."""
    try:
        for record in ijson.items(stream, "item"):
            if not isinstance(record, dict) or not str(record.get("id", "")).strip():
                raise Unreadable("An entry has no ROR id: this is not a dump of ROR.")
            if str(record.get("status", "active")) == "active":
                yield _second(record) if "names" in record else _first(record)
    except ijson.JSONError as error:
        raise Unreadable(f"This is not the JSON of a ROR dump: {error}") from None
    except (TypeError, AttributeError, UnicodeDecodeError):
        raise Unreadable("An entry has another form than ROR's schemas 1 and 2.") from None


def _second(record: dict[str, Any]) -> Organisation:
    names = record["names"] or []
    shown = [one["value"] for one in names if "ror_display" in (one.get("types") or [])]
    values = [one["value"] for one in names if one.get("value")]
    places = [place.get("geonames_details") or {} for place in record.get("locations") or []]
    links = [one.get("value") or "" for one in record.get("links") or [] if _is_site(one)]
    return Organisation(
        ror=_ror(record),
        name=(shown or values or [""])[0],
        types=[str(kind).lower() for kind in record.get("types") or []],
        country=str((places or [{}])[0].get("country_code") or "")[:2],
        names=values,
        domains={_domain(one) for one in record.get("domains") or []} - {""},
        sites={site_of(link) for link in links} - {""},
    )


def _is_site(link: dict[str, Any]) -> bool:
    return link.get("type") == "website"


def _first(record: dict[str, Any]) -> Organisation:
    names = [record.get("name"), *(record.get("aliases") or []), *(record.get("acronyms") or [])]
    names += [one.get("label") for one in record.get("labels") or []]
    address = str(record.get("email_address") or "")
    return Organisation(
        ror=_ror(record),
        name=str(record.get("name") or ""),
        types=[str(kind).lower() for kind in record.get("types") or []],
        country=str((record.get("country") or {}).get("country_code") or "")[:2],
        names=[str(name) for name in names if name],
        domains={_domain(address.rpartition("@")[2])} - {""},
        sites={site_of(str(link)) for link in record.get("links") or []} - {""},
    )


def _ror(record: dict[str, Any]) -> str:
    return str(record["id"]).rstrip("/").rpartition("/")[2][:20]


def _domain(text: str) -> str:
    domain = str(text).strip().lower().rstrip(".")
    return domain if "." in domain and len(domain) <= 253 else ""


def site_of(link: str) -> str:
    """The host of a web site, where the site is the whole host: a page of a host is no domain."""
    try:
        parts = urlsplit(link.strip())
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError:
        return ""
    return _domain(host) if parts.path in ("", "/") else ""
