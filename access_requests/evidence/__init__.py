"""Evidence beside an application. It advises; a person decides.

Every check says where it looked, when, what it found, and what that does not prove. Each stands in
the module of its source: a function of the application that returns a `Check`. None of them leaves
this site while a page is made: no name of an applicant is sent to anybody.
"""

from collections.abc import Callable
from dataclasses import asdict

from access_requests.evidence import mail, orcid, records
from access_requests.evidence.base import Check, check, mail_domain, same_organisation
from access_requests.models import Application

__all__ = [
    "CHECKS",
    "Check",
    "check",
    "gather",
    "mail_domain",
    "same_organisation",
    "snapshot",
]

# In the order in which a reviewer reads them. A new source: a module, and its checks here.
CHECKS: tuple[Callable[[Application], Check], ...] = (
    orcid.orcid,
    mail.domain,
    mail.category,
    mail.disposable,
    records.history,
    records.institution,
    records.coapplicants,
)


def gather(application: Application) -> list[Check]:
    """All checks, made now."""
    return [make(application) for make in CHECKS]


def snapshot(application: Application) -> list[dict[str, str]]:
    """The checks as JSON, to keep with a decision."""
    return [asdict(made) for made in gather(application)]
