"""Small lists in the forms in which their publishers hand them out, and people to look up in them."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

from access_requests import evidence, services, tasks
from access_requests.models import Application, AutomaticRule, EvidenceList
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.people import ANSWERS, applicant


def organisation(ror: str, name: str, **fields: Any) -> dict[str, Any]:
    """A record of ROR's schema 2.1."""
    return {
        "admin": {"last_modified": {"date": "2026-10-01", "schema_version": "2.1"}},
        "domains": [],
        "established": 1829,
        "external_ids": [],
        "id": f"https://ror.org/{ror}",
        "links": [],
        "locations": [
            {
                "geonames_id": 1,
                "geonames_details": {"country_code": "NL", "country_name": "The Netherlands"},
            }
        ],
        "names": [{"lang": "en", "types": ["ror_display", "label"], "value": name}],
        "relationships": [],
        "status": "active",
        "types": ["education", "funder"],
        **fields,
    }


UNIVERSITY = organisation(
    "01testing0",
    "University of Testing",
    domains=["testing.example"],
    names=[
        {"lang": "nl", "types": ["label"], "value": "Universiteit van Tésten"},
        {"lang": "en", "types": ["ror_display", "label"], "value": "University of Testing"},
    ],
)
COMPANY = organisation(
    "02company0",
    "Example Works",
    types=["company"],
    links=[
        {"type": "wikipedia", "value": "https://wiki.example/works"},
        {"type": "website", "value": "https://www.works.example/"},
    ],
)
CLOSED = organisation("03closed00", "Gone College", domains=["gone.example"], status="inactive")
GUEST = organisation(
    "04guest000",
    "A guest on a page",
    links=[{"type": "website", "value": "https://hosting.example/guest/"}],
)
FIRST_SCHEMA: dict[str, Any] = {
    "id": "https://ror.org/05older000",
    "name": "Older Institute",
    "types": ["Facility"],
    "links": ["http://www.older.example"],
    "aliases": ["The Old One"],
    "acronyms": ["OI"],
    "labels": [{"label": "Institut ancien", "iso639": "fr"}],
    "email_address": "office@mail.older.example",
    "country": {"country_code": "FR", "country_name": "France"},
    "status": "active",
}
DUMP = [UNIVERSITY, COMPANY, CLOSED, GUEST, FIRST_SCHEMA]
DUMP_NAME = "v2.9-2026-10-28-ror-data_schema_v2.json"
LISTED = """kind,name,aliases,source,note
person,Jürgen Müller-Lüdenscheidt,Dr. Evil; Juergen M.,Council Regulation,since 2024
person,Vladimir Vladimirovich Exampler,,Council Regulation,
organisation,Institute of Listed Works,ILW,Council Regulation,
country,Atlantis is not one,,,
"""
COUNTRIES = "kind,name,source\ncountry,KP,Export rules\n"


def dumped(records: list[dict[str, Any]]) -> io.BytesIO:
    return io.BytesIO(json.dumps(records).encode())


def zipped(**files: bytes) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    packed.seek(0)
    return packed


def load_institutions(**fields: Any) -> EvidenceList:
    return services.load_list(
        "institutions", dumped(DUMP), actor=None, file_name=DUMP_NAME, **fields
    )


def load_listed(text: str, **fields: Any) -> EvidenceList:
    file = io.BytesIO(text.encode())
    return services.load_list("listed", file, actor=None, file_name="listed.csv", **fields)


def by(address: str, *, name: str = "", **affiliation: Any) -> Account:
    """Somebody who can apply, with this address."""
    account = applicant(address.partition("@")[0], **affiliation)
    Account.objects.filter(pk=account.pk).update(email=address, **({"name": name} if name else {}))
    account.refresh_from_db()
    return account


def applied(account: Account, release: Release, **answers: str) -> Application:
    application = services.start(actor=account, releases=[release], answers={**ANSWERS, **answers})
    return services.submit(application.pk, actor=account, typed_name=account.name)


def found(application: Application, key: str) -> evidence.Check:
    return next(check for check in evidence.gather(application) if check.key == key)


GOOD = "bob@ox.ac.uk"  # on the public list of academic domains
MakeRule = Callable[..., AutomaticRule]


def asked(application: Application) -> Application:
    """After its submission a task asks the rules."""
    tasks.prepare_review(application.pk)
    application.refresh_from_db()
    return application
