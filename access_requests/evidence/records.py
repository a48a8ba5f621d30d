"""This site's own records: what it knows of the person, the institution, the lab."""

from access_requests.evidence.base import Check, check, mail_domain
from access_requests.models import Application, Grant, State


def history(application: Application) -> Check:
    person = application.applicant
    others = person.applications.exclude(pk=application.pk).exclude(submitted_at=None)
    states = list(others.values_list("state", flat=True))
    grants = list(person.grants.values_list("status", flat=True))
    revoked, refused = grants.count(Grant.Status.REVOKED), states.count(State.REFUSED)
    if not states and not grants:
        result, finding = "neutral", "The first application of this person."
    else:
        result = "attention" if revoked or refused else "supports"
        finding = (
            f"{len(states)} earlier applications ({states.count(State.APPROVED)} approved, "
            f"{refused} refused); "
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
    same = (
        Application.objects.exclude(submitted_at=None)
        .exclude(applicant=application.applicant)
        .filter(affiliation__institution__iexact=name)
    )
    states = list(same.values_list("state", flat=True)) if name else []
    finding = (
        f"{len(states)} applications of others from {name}: {states.count(State.APPROVED)} "
        "approved, "
        f"{states.count(State.REFUSED)} refused."
        if states
        else f"Nobody else applied from {name or 'an institution of no name'}."
    )
    return check(
        "institution",
        "Others from the same institution",
        "this site's own records",
        "neutral",
        finding,
        "Names are compared as they were typed: other spellings are not found, and the same "
        "name may be another place.",
    )


def coapplicants(application: Application) -> Check:
    people = application.coapplicants.filter(status__in=["joined", "admitted"])
    named = [
        f"{one.account} ({mail_domain(one.email)}; {one.affiliation.get('position', '')}, "
        f"{one.affiliation.get('institution', '')})"
        for one in people.select_related("account")
    ]
    return check(
        "coapplicants",
        "Co-applicants",
        "who joined by a mailed link and accepted the licence",
        "neutral",
        "; ".join(named) + ". An approval gives each of them a grant." if named else "None.",
        "Each holds the address that was invited; it does not show that they work together.",
    )
