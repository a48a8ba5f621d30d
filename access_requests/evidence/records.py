"""This site's own records: what it knows of the person, the institution, the lab."""

from collections import Counter

from django.db.models import Count, QuerySet

from access_requests.evidence.base import Check, check, mail_domain
from access_requests.models import Application, Grant, State
from access_requests.selectors.people import IN


def history(application: Application) -> Check:
    person = application.applicant
    others = person.applications.exclude(pk=application.pk).exclude(submitted_at=None)
    states = list(others.values_list("state", flat=True))
    grants = list(person.grants.values_list("status", flat=True))
    revoked, refused = grants.count(Grant.Status.REVOKED), states.count(State.REFUSED)
    approved = states.count(State.APPROVED)
    if not states and not grants:
        result, finding = "neutral", "The first application of this person."
    else:
        # One that was withdrawn, or still waits, speaks neither for the person nor against them.
        result = "attention" if revoked or refused else "supports" if approved else "neutral"
        finding = (
            f"{len(states)} earlier applications ({approved} approved, {refused} refused); "
            f"{len(grants)} grants, {revoked} of them revoked."
        )
    return check(
        "history",
        "Earlier applications and grants",
        "this site's own records",
        result,
        finding,
        "It knows this account alone; a person may have used another.",
    )


def institution(application: Application) -> Check:
    name = application.affiliation.get("institution", "")
    counts = _of_institution(application)
    found, approved, refused = counts.total(), counts[State.APPROVED], counts[State.REFUSED]
    finding = (
        f"{found} application{'' if found == 1 else 's'} of others from "
        f"{name or 'the same institution'}: {approved} approved, {refused} refused."
        if found
        else f"Nobody else applied from {name or 'an institution of no name'}."
    )
    return check(
        "institution",
        "Others from the same institution",
        "this site's own records",
        "neutral",
        finding,
        "Places are the same by their ROR id, where one was found, or by their names without "
        "accents and in any order of words: other spellings are not found, and the same name may "
        "be another place.",
    )


def _of_institution(application: Application) -> Counter[str]:
    """The applications of others from there, by state; each is counted by one of two indices."""
    others = Application.objects.exclude(applicant=application.applicant_id).order_by()
    counts: Counter[str] = Counter()
    if application.institution_key:
        named = others.filter(institution_key=application.institution_key)
        counts.update(_by_state(named))
    if application.ror:
        counts.update(
            _by_state(
                others.filter(ror=application.ror).exclude(
                    institution_key=application.institution_key
                )
            )
        )
    return counts


def _by_state(found: "QuerySet[Application]") -> dict[str, int]:
    return dict(found.values_list("state").annotate(number=Count("pk")))


def coapplicants(application: Application) -> Check:
    people = [one for one in application.coapplicants.all() if one.status in IN]
    named = [
        f"{one.account} ({mail_domain(one.email)}; {one.affiliation.get('position', '')}, "
        f"{one.affiliation.get('institution', '')})"
        for one in people
    ]
    return check(
        "coapplicants",
        "Co-applicants",
        "who joined by a mailed link and accepted the licence",
        "neutral",
        "; ".join(named) + ". An approval gives each of them a grant." if named else "None.",
        "Each holds the address that was invited; it does not show that they work together.",
    )
