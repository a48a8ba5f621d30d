"""Lists of countries, persons and organisations, as CSV.

Ours: `kind,name,aliases,source,note`. OpenSanctions' simple CSV is read too: `schema` says what an
entry is, `dataset` where it comes from. Aliases stand in one cell, with semicolons between.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from access_requests.evidence.listed import country_code, names_of
from access_requests.lists.files import Unreadable
from access_requests.models import ListedEntry

Kind = ListedEntry.Kind
OF_SCHEMA = {
    "person": Kind.PERSON,
    "organization": Kind.ORGANISATION,
    "organisation": Kind.ORGANISATION,
    "company": Kind.ORGANISATION,
    "legalentity": Kind.ORGANISATION,
    "publicbody": Kind.ORGANISATION,
    "country": Kind.COUNTRY,
}


@dataclass(frozen=True)
class Listed:
    kind: str
    name: str
    names: list[str]
    country: str
    source: str
    note: str


def read_listed(stream: IO[bytes]) -> Iterator[Listed]:
    """Each entry of a kind that is looked up. Raises Unreadable naming the line."""
    csv.field_size_limit(1024 * 1024)
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        rows = csv.DictReader(text)
        columns = {str(name).strip().lower() for name in rows.fieldnames or []}
        if "name" not in columns or not columns & {"kind", "schema"}:
            raise Unreadable(
                "The first line has to name the columns: kind,name,aliases,source,note."
            )
        for row in rows:
            given = {
                str(key).strip().lower(): str(value or "").strip() for key, value in row.items()
            }
            if entry := _entry(given, rows.line_num):
                yield entry
    except csv.Error as error:
        raise Unreadable(f"This is not a CSV file: {error}.") from None
    except UnicodeDecodeError:
        raise Unreadable("The file is not written in UTF-8.") from None
    finally:
        text.detach()


def _entry(row: dict[str, Any], line: int) -> Listed | None:
    name = row["name"]
    if not any(row.values()):
        return None
    kind = OF_SCHEMA.get((row.get("kind") or row.get("schema") or "").lower())
    if kind is None:
        if row.get("schema"):  # OpenSanctions lists ships, too
            return None
        raise Unreadable(f"Line {line}: the kind is person, organisation or country.")
    if not name:
        raise Unreadable(f"Line {line}: the name is missing.")
    code = ""
    if kind == Kind.COUNTRY:
        code = country_code(name) or country_code(row.get("country", ""))
        if not code:
            raise Unreadable(f"Line {line}: “{name}” is no country that is known; write its code.")
    return Listed(
        kind=kind,
        name=name[:300],
        names=names_of(name, row.get("aliases", "").split(";")),
        country=code,
        source=(row.get("source") or row.get("dataset") or "")[:300],
        note=(row.get("note") or row.get("sanctions") or "")[:300],
    )
