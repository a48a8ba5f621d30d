"""Evidence beside an application. It advises; a person decides.

Every check says where it looked, when, what it found, and what that does not prove. None of them
leaves this site: no name of an applicant is sent to anybody.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils import timezone

from access_requests.models import Application, Grant, State
from portal.accounts.models import Affiliation, valid_orcid

FREE_MAIL = frozenset(
    [
        "gmail.com",
        "googlemail.com",
        "outlook.com",
        "hotmail.com",
        "live.com",
        "yahoo.com",
        "icloud.com",
        "me.com",
        "aol.com",
        "gmx.de",
        "gmx.net",
        "web.de",
        "mail.com",
        "mail.ru",
        "yandex.ru",
        "yandex.com",
        "qq.com",
        "163.com",
        "126.com",
        "proton.me",
        "protonmail.com",
        "tutanota.com",
        "zoho.com",
        "fastmail.com",
    ]
)
DISPOSABLE_MAIL = frozenset(
    [
        "mailinator.com",
        "guerrillamail.com",
        "10minutemail.com",
        "temp-mail.org",
        "tempmail.com",
        "yopmail.com",
        "trashmail.com",
        "sharklasers.com",
        "dispostable.com",
        "maildrop.cc",
        "getnada.com",
        "throwawaymail.com",
    ]
)
# Second-level labels under which anybody registers a name: `ac.uk` is nobody's domain.
SHARED_LABELS = frozenset({"ac", "co", "com", "edu", "gov", "gob", "net", "org", "or", "go", "ne"})


@dataclass(frozen=True)
class Check:
    """One check. `result`: `supports`, `attention` (look closer), or `neutral` (says nothing)."""

    key: str
    label: str
    source: str
    result: str
    finding: str
    limits: str
    at: str


def gather(application: Application) -> list[Check]:
    """All checks, made now; the witnesses' only where somebody has to vouch."""
    from access_requests import evidence_witnesses  # here, because it builds on this module

    checks = [check(application) for check in CHECKS]
    return [*checks, *evidence_witnesses.checks(application)]


def snapshot(application: Application) -> list[dict[str, str]]:
    """The checks as JSON, to keep with a decision."""
    return [asdict(check) for check in gather(application)]


def _check(key: str, label: str, source: str, result: str, finding: str, limits: str) -> Check:
    return Check(
        key, label, source, result, finding, limits, timezone.now().isoformat(timespec="seconds")
    )


def _orcid(application: Application) -> Check:
    orcid = application.affiliation.get("orcid", "")
    result, finding = "neutral", "None given."
    if orcid:
        try:
            valid_orcid(orcid)
            result, finding = "supports", f"{orcid}: its check digit fits."
        except ValidationError:
            result, finding = "attention", f"{orcid}: its check digit does not fit."
    return _check(
        "orcid",
        "ORCID iD",
        "the affiliation, and the checksum of ISO 7064",
        result,
        finding,
        "A fitting digit does not show that the iD is this person's, nor that anybody holds "
        "it. Many good "
        "researchers have none.",
    )


def _domain(application: Application) -> Check:
    mail, page = (
        mail_domain(application.applicant.email),
        _host(application.affiliation.get("web_page", "")),
    )
    if not page:
        result, finding = (
            "neutral",
            f"The mail comes from {mail}; no web page is given to compare it with.",
        )
    elif same_organisation(mail, page):
        result, finding = (
            "supports",
            f"The mail's domain {mail} and the web page's {page} belong together.",
        )
    else:
        result, finding = "attention", f"The mail comes from {mail}, the web page is at {page}."
    return _check(
        "domain",
        "Mail and web page",
        "the verified e-mail address and the affiliation",
        result,
        finding,
        "Large institutions own many domains, and pages are often hosted elsewhere. A match "
        "shows control of a "
        "mailbox there, not a position.",
    )


def _category(application: Application) -> Check:
    mail = mail_domain(application.applicant.email)
    category = application.affiliation.get("category", "")
    free = mail in FREE_MAIL
    institutional = category != Affiliation.Category.INDEPENDENT.label
    if free and institutional:
        result, finding = (
            "attention",
            f"{category}, yet the mail comes from {mail}, where anybody can have an address.",
        )
    elif free:
        result, finding = "neutral", f"{category}, with a free mail address, as one expects."
    else:
        result, finding = (
            "neutral",
            f"{category}; {mail} is not on our list of free mail providers.",
        )
    return _check(
        "category",
        "Category and mail",
        "a short list of free mail providers",
        result,
        finding,
        "Many researchers prefer a private address, and some institutions give out none.",
    )


def _disposable(application: Application) -> Check:
    mail = mail_domain(application.applicant.email)
    known = mail in DISPOSABLE_MAIL
    return _check(
        "disposable",
        "Throw-away address",
        "a short list of throw-away mail providers",
        "attention" if known else "neutral",
        f"{mail} gives out addresses that are thrown away."
        if known
        else f"{mail} is not on the list.",
        "The list is short; new providers appear every week.",
    )


def _history(application: Application) -> Check:
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
    return _check(
        "history",
        "Earlier applications and grants",
        "this site's own records",
        result,
        finding,
        "It knows this account alone; a person may have used another.",
    )


def _institution(application: Application) -> Check:
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
    return _check(
        "institution",
        "Others from the same institution",
        "this site's own records",
        "neutral",
        finding,
        "Names are compared as they were typed: other spellings are not found, and the same "
        "name may be another place.",
    )


def _coapplicants(application: Application) -> Check:
    people = application.coapplicants.filter(status__in=["joined", "admitted"])
    named = [
        f"{one.account} ({mail_domain(one.email)}; {one.affiliation.get('position', '')}, "
        f"{one.affiliation.get('institution', '')})"
        for one in people.select_related("account")
    ]
    return _check(
        "coapplicants",
        "Co-applicants",
        "who joined by a mailed link and accepted the licence",
        "neutral",
        "; ".join(named) + ". An approval gives each of them a grant." if named else "None.",
        "Each holds the address that was invited; it does not show that they work together.",
    )


CHECKS: tuple[Callable[[Application], Check], ...] = (
    _orcid,
    _domain,
    _category,
    _disposable,
    _history,
    _institution,
    _coapplicants,
)


def mail_domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def same_organisation(first: str, second: str) -> bool:
    """Whether two host names end in the same registrable name, as well as one can tell without a
    list.
    """
    shared = 0
    labels = list(
        zip(reversed(first.lower().split(".")), reversed(second.lower().split(".")), strict=False)
    )
    for one, other in labels:
        if one != other:
            break
        shared += 1
    needed = (
        3 if len(labels) > 1 and labels[1][0] in SHARED_LABELS and len(labels[0][0]) == 2 else 2
    )
    return shared >= needed
