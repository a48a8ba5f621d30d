"""The ORCID iD: its digits, whether it was proven by signing in, and its public record."""

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.exceptions import ValidationError
from rapidfuzz import fuzz

from access_requests.evidence import institutions
from access_requests.evidence.base import Check, check, mail_domain
from access_requests.models import Application, OrcidRecord
from access_requests.names import name_key
from portal.accounts.models import valid_orcid

SAME_NAME = 85  # of 100: a middle name or an initial more or less
SAME_EMPLOYER = 90


def orcid(application: Application) -> Check:
    given = application.affiliation.get("orcid", "")
    result, finding = "neutral", "None given."
    if given:
        try:
            valid_orcid(given)
            result, finding = "supports", f"{given}: its check digit fits."
        except ValidationError:
            result, finding = "attention", f"{given}: its check digit does not fit."
    return check(
        "orcid",
        "ORCID iD",
        "the affiliation, and the checksum of ISO 7064",
        result,
        finding,
        "A fitting digit does not show that the iD is this person's, nor that anybody holds "
        "it. Many good researchers have none.",
    )


def sign_in(application: Application) -> Check:
    """Whether the person signed in with it, which only its holder can."""
    given = application.affiliation.get("orcid", "")
    linked = SocialAccount.objects.filter(user=application.applicant, provider="orcid").first()
    if linked is None:
        result, finding = "neutral", "The person has not signed in with an ORCID iD here."
    elif given and linked.uid != given:
        result = "attention"
        finding = f"Signed in with {linked.uid}, but the application names {given}."
    else:
        result, finding = "supports", f"{linked.uid} was proven by signing in with it."
    return check(
        "orcid_sign_in",
        "ORCID iD proven",
        "sign-in through ORCID, linked to this account",
        result,
        finding,
        "It shows who holds the iD. Anybody can register one; it shows neither a name nor a "
        "position.",
    )


def public_record(application: Application) -> Check:
    given = application.affiliation.get("orcid", "")
    record = OrcidRecord.objects.filter(pk=given).first() if given else None
    result, finding = _read(application, given, record)
    return check(
        "orcid_record",
        "Public ORCID record",
        f"the public ORCID record, looked up on {record.looked_up_at:%-d %B %Y}"
        if record
        else "the public ORCID record",
        result,
        finding,
        "Names and employments are what the holder wrote there; few are confirmed by the "
        "employer. An iD that was not proven by signing in may be somebody else's.",
    )


def _read(application: Application, given: str, record: OrcidRecord | None) -> tuple[str, str]:
    if not given:
        return "neutral", "No iD is given."
    if record is None:
        if not settings.ORCID_API:
            return "neutral", "Not looked up: look-ups are switched off on this site."
        return "neutral", "Not looked up yet; it is done shortly after the submission."
    if record.problem:
        return "neutral", f"It could not be looked up: {record.problem}"
    if not record.found:
        return "attention", f"There is no public record of {given}."
    names = [record.name, *record.other_names]
    if not any(is_same(application.applicant.name, name, SAME_NAME) for name in names if name):
        shown = f"“{record.name}”" if record.name else "no public name"
        return ("attention" if record.name else "neutral"), f"The record of {given} has {shown}."
    employer = _employer(application, record)
    if employer:
        return "supports", f"The record has the same name, and {employer} among its employments."
    others = ", ".join(one["name"] for one in record.employers[:3]) or "none that is public"
    return "neutral", f"The record has the same name. Its employments: {others}."


def is_same(one: str, other: str, threshold: int) -> bool:
    return fuzz.token_set_ratio(name_key(one), name_key(other)) >= threshold


def _employer(application: Application, record: OrcidRecord) -> str:
    """The employment of the record that is the institution of the application."""
    named = application.affiliation.get("institution", "")
    loaded = institutions.current_list()
    ours = {one.ror for one in institutions.of_name(named, loaded)}
    ours |= {
        one.ror for one in institutions.of_domain(mail_domain(application.applicant.email), loaded)
    }
    for one in record.employers:
        if one.get("ended"):
            continue
        close = fuzz.token_sort_ratio(name_key(named), name_key(one["name"])) >= SAME_EMPLOYER
        if (one.get("ror") and one["ror"] in ours) or (named and close):
            return str(one["name"])
    return ""
