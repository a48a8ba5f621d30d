"""The ORCID iD."""

from django.core.exceptions import ValidationError

from access_requests.evidence.base import Check, check
from access_requests.models import Application
from portal.accounts.models import valid_orcid


def orcid(application: Application) -> Check:
    orcid = application.affiliation.get("orcid", "")
    result, finding = "neutral", "None given."
    if orcid:
        try:
            valid_orcid(orcid)
            result, finding = "supports", f"{orcid}: its check digit fits."
        except ValidationError:
            result, finding = "attention", f"{orcid}: its check digit does not fit."
    return check(
        "orcid",
        "ORCID iD",
        "the affiliation, and the checksum of ISO 7064",
        result,
        finding,
        "A fitting digit does not show that the iD is this person's, nor that anybody holds "
        "it. Many good "
        "researchers have none.",
    )
