"""The ORCID iD: its digits, whether it was proven by signing in, and its public record."""

from django.conf import settings
from django.core.exceptions import ValidationError
from rapidfuzz import fuzz

from access_requests.evidence import institutions
from access_requests.evidence.base import Check, check, mail_domain
from access_requests.models import Application, OrcidRecord
from access_requests.names import name_key, name_words
from portal.accounts.models import valid_orcid
from portal.accounts.orcid import is_offered, linked_orcid

SAME_PART, LONG_PART = 82, 5  # of 100: a letter that differs, in a part of so many letters
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


def sign_in(application: Application) -> Check | None:
    """Whether the person signed in with it, which only its holder can; None where this site offers
    no sign-in through ORCID.
    """
    if not is_offered():
        return None
    given = application.affiliation.get("orcid", "")
    linked = linked_orcid(application.applicant)
    if not linked:
        result, finding = "neutral", "The person has not signed in with an ORCID iD here."
    elif given and linked != given:
        result = "attention"
        finding = f"Signed in with {linked}, but the application names {given}."
    else:
        result, finding = "supports", f"{linked} was proven by signing in with it."
    return check(
        "orcid_sign_in",
        "ORCID iD proven",
        "sign-in through ORCID, linked to this account",
        result,
        finding,
        "It shows who holds the iD. Anybody can register one; it shows neither a name nor a "
        "position.",
    )


def public_record(application: Application) -> Check | None:
    """What the public record says; None where look-ups are switched off."""
    if not settings.ORCID_API:
        return None
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
        return "neutral", "Not looked up yet; it is done shortly after the submission."
    if record.problem:
        return "neutral", f"It could not be looked up: {record.problem}"
    if not record.found:
        return "attention", f"There is no public record of {given}."
    ours = application.applicant.name
    names = [name for name in (record.name, *record.other_names) if name]
    if not any(is_same(ours, name) for name in names):
        if parts := [name for name in names if is_part(ours, name)]:
            told = f"“{parts[0]}”, which has only a part of “{ours}” in common"
            return "attention", f"The record of {given} has {told}."
        shown = f"“{record.name}”" if record.name else "no public name"
        return ("attention" if record.name else "neutral"), f"The record of {given} has {shown}."
    employer = _employer(application, record)
    if employer:
        return "supports", f"The record has the same name, and {employer} among its employments."
    others = ", ".join(one["name"] for one in record.employers[:3]) or "none that is public"
    return "neutral", f"The record has the same name. Its employments: {others}."


def is_same(one: str, other: str) -> bool:
    """Whether two names are one: all parts of the shorter one, two at least, are in the other.

    A middle name more or less, and a letter that differs, make no difference; an initial does not
    stand for a name.
    """
    shorter, longer = sorted((name_words(one), name_words(other)), key=len)
    enough = len(shorter) > 1 or len(shorter) == len(longer) == 1
    return enough and _matching(shorter, longer) == len(shorter)


def is_part(one: str, other: str) -> bool:
    """Whether two names have a part in common, and are not the same."""
    return not is_same(one, other) and _matching(name_words(one), name_words(other)) > 0


def _matching(words: list[str], others: list[str]) -> int:
    """How many of the words have a partner of their own among the others."""
    left = list(others)
    for word in words:
        close = [one for one in left if _close(word, one)]
        if close:
            left.remove(max(close, key=lambda one: fuzz.ratio(word, one)))
    return len(others) - len(left)


def _close(word: str, other: str) -> bool:
    """Short parts have to be the same: Li is not Lin."""
    long_enough = min(len(word), len(other)) >= LONG_PART
    return word == other or (long_enough and fuzz.ratio(word, other) >= SAME_PART)


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
