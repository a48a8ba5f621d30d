"""Evidence beside an application. It advises; a person decides.

Every check says where it looked, when, what it found, and what that does not prove. Each stands in
the module of its source: a function of the application that returns a `Check`, or None where the
check is switched off or its list is not loaded: what was not looked at is no evidence. None of them
leaves this site while a page is made: no name of an applicant is sent to anybody.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.conf import settings

from access_requests.evidence import answers, institutions, listed, mail, orcid, records, witnesses
from access_requests.evidence.base import RESULTS, Check, check, mail_domain, same_organisation
from access_requests.models import Application, Review
from access_requests.workflow import DECIDED_STATES
from portal.accounts.orcid import is_offered

__all__ = [
    "CHECKS",
    "CONDITIONS",
    "RESULTS",
    "Check",
    "alike",
    "check",
    "fingerprint",
    "gather",
    "kept",
    "mail_domain",
    "readable",
    "ror_of",
    "same_organisation",
    "snapshot",
    "switched_off",
]

# In the order in which a reviewer reads them. A new source: a module, and its checks here.
CHECKS: tuple[Callable[[Application], Check | None], ...] = (
    mail.research_domain,
    mail.domain,
    mail.category,
    mail.disposable,
    orcid.orcid,
    orcid.sign_in,
    orcid.public_record,
    records.history,
    records.institution,
    records.coapplicants,
    answers.near_duplicates,
    listed.listed,
)
# What an automatic rule can ask for: checks that can support, and what it means that one does.
CONDITIONS = {
    "research_domain": "The mail's domain belongs to a research institution of the lists",
    "orcid_sign_in": "The ORCID iD was proven by signing in with it",
    "orcid_record": "The public ORCID record has the same name and institution",
    "category": "The type of the institution bears the category out (needs a ROR list)",
    "domain": "The mail's domain and the web page's belong together",
    "history": "An earlier application approved here, none refused and no grant revoked",
}


def switched_off() -> set[str]:
    """The keys of the conditions whose check is switched off, so that a rule with it decides nothing."""
    off = set() if is_offered() else {"orcid_sign_in"}
    return off if settings.ORCID_API else off | {"orcid_record"}


ror_of = institutions.of_application
fingerprint = answers.fingerprint
alike = answers.alike
readable = witnesses.readable


def gather(application: Application) -> list[Check]:
    """All checks that are switched on, made now; the witnesses' only where somebody has to vouch."""
    made = [check for make in CHECKS if (check := make(application))]
    return [*made, *witnesses.checks(application)]


def snapshot(application: Application) -> list[dict[str, Any]]:
    """The checks as JSON, to keep with a decision."""
    return [asdict(made) for made in gather(application)]


def kept(application: Application) -> list[dict[str, Any]]:
    """What was on the screen at the decision that stands; empty while there is one to make.

    An appeal is decided on evidence of its own, so while it waits nothing that was kept is shown.
    """
    if application.state not in DECIDED_STATES:
        return []
    decisions = (Review.Outcome.APPROVED, Review.Outcome.REFUSED)
    found = [one for one in application.reviews.all() if one.outcome in decisions]
    return found[-1].evidence if found else []
