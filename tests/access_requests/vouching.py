"""Releases that ask for witnesses, and witnesses who answer."""

import re
from typing import Any

from access_requests import services
from access_requests.models import Application, DecisionPolicy, Witness
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from tests.access_requests.people import seen_now

OFFICIAL = {"name": "Olga Dean", "email": "dean@testing.example", "position": "Dean of Science"}
REFEREE = {"name": "Ralf Peer", "email": "ralf@elsewhere.example", "position": "Professor"}
SECRET = "We shared an office from 1999 on, and I never tell him this."
REFERENCE: dict[str, Any] = {
    "relation": SECRET,
    "research": "yes",
    "research_more": "He showed me-the-plan.",
    "against": False,
}


def ask_for(release: Release, *, official: bool = False, referee: bool = False) -> None:
    DecisionPolicy.objects.update_or_create(
        release=release, defaults={"asks_official": official, "asks_referee": referee}
    )


def name(application: Application, kind: str, **changed: str) -> Witness:
    given = {**(OFFICIAL if kind == "official" else REFEREE), **changed}
    return services.name_witness(application.pk, kind, actor=application.applicant, **given)


def submit(application: Application) -> Application:
    alice = application.applicant
    return services.submit(application.pk, actor=alice, typed_name=alice.name)


def token_to(email: str) -> str:
    """The token in the newest mail to that address."""
    mail = OutgoingMail.objects.filter(to=email, body__contains="/vouch/").first()
    assert mail is not None
    found = re.search(r"/applications/vouch/([^/\s]+)/", mail.body)
    assert found is not None
    return found[1]


def confirm(token: str, **changed: Any) -> Witness:
    given = {"confirms": True, "typed_name": "Olga Dean", **changed}
    return services.confirm(token, read=services.reading_behind(token).digest, **given)


def refer(token: str, **changed: Any) -> Witness:
    digest = services.reading_behind(token).digest
    return services.give_reference(token, read=digest, **{**REFERENCE, **changed})


def mails(address: str) -> list[str]:
    found = OutgoingMail.objects.filter(to=address).order_by("id")
    return list(found.values_list("template", flat=True))


def decide(application: Application, reviewer: Account, **terms: Any) -> Application:
    return services.decide(
        application.pk, seen=seen_now(application.pk), actor=reviewer, approve=True, **terms
    )
