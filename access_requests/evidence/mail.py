"""The mail's domain, held against institutions, the web page, the category and lists of providers."""

from access_requests.evidence import institutions, packaged
from access_requests.evidence.base import Check, check, host, mail_domain, same_organisation
from access_requests.models import Application, Institution
from portal.accounts.models import Affiliation

Category = Affiliation.Category
# What ROR calls an organisation: what bears a category out, and what speaks against it.
BEARS_OUT: dict[str, frozenset[str]] = {
    Category.ACADEMIA: frozenset({"education", "healthcare", "facility", "archive", "nonprofit"}),
    Category.GOVERNMENT: frozenset({"government", "facility", "archive"}),
    Category.CIVIL_SOCIETY: frozenset({"nonprofit", "archive"}),
    Category.INDUSTRY: frozenset({"company"}),
}
AGAINST: dict[str, frozenset[str]] = {
    Category.ACADEMIA: frozenset({"company"}),
    Category.GOVERNMENT: frozenset({"company", "nonprofit"}),
    Category.CIVIL_SOCIETY: frozenset({"company", "government"}),
    Category.INDUSTRY: frozenset({"education", "government"}),
}
OF_LABEL = {str(one.label): one for one in Category}


def research_domain(application: Application) -> Check:
    """Whether the verified address is an institution's own."""
    domain = mail_domain(application.applicant.email)
    loaded = institutions.current_list()
    found = institutions.of_domain(domain, loaded)
    schools = [] if found else packaged.schools(domain)
    if packaged.anyone_has(domain):  # whatever a list says of it
        result, finding = "neutral", f"At {domain} anyone can have an address."
    elif found:
        result, finding = "supports", f"{domain} belongs to {_named(found)}."
        if not _is_claimed(application, found):
            result = "neutral"
            finding += f" The application names {_institution(application)}."
    elif schools:
        result, finding = "supports", f"{domain} is a mail domain of {', '.join(schools[:3])}."
    else:
        result, finding = "neutral", f"No institution with the domain {domain} is on the lists."
    ours = f"ROR: {loaded.described}" if loaded else "no ROR list is loaded"
    return check(
        "research_domain",
        "Mail of a research institution",
        f"{ours}; {packaged.swot_source()}",
        result,
        finding,
        "Students, alumni, guests and staff of every kind have such addresses. Many institutions "
        "are on no list, and some lend their domain.",
    )


def _named(found: list[Institution]) -> str:
    return "; ".join(
        f"{one.name} ({', '.join([*one.types, one.country]).strip(', ')}; ror.org/{one.ror})"
        for one in found
    )


def _institution(application: Application) -> str:
    return application.affiliation.get("institution", "") or "none"


def _is_claimed(application: Application, found: list[Institution]) -> bool:
    """Whether the institution that the person names may be one of those.

    Only what the list knows under another identity speaks against it: many names are on no list.
    """
    by_name = institutions.of_name(_institution(application), institutions.current_list())
    return not by_name or bool({one.ror for one in by_name} & {one.ror for one in found})


def domain(application: Application) -> Check:
    mail = mail_domain(application.applicant.email)
    page = host(application.affiliation.get("web_page", ""))
    if packaged.anyone_has(mail):
        result, finding = "neutral", f"At {mail} anyone can have an address: no page bears it out."
    elif not page:
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
    return check(
        "domain",
        "Mail and web page",
        f"the verified email address and the affiliation; free providers in "
        f"{packaged.swot_source()}",
        result,
        finding,
        "Large institutions own many domains, and pages are often hosted elsewhere. A match "
        "shows control of a mailbox there, not a position.",
    )


def category(application: Application) -> Check:
    mail = mail_domain(application.applicant.email)
    loaded = institutions.current_list()
    result, finding = _category(application, mail, institutions.of_domain(mail, loaded))
    ours = f", and the types in ROR: {loaded.described}" if loaded else "; no ROR list is loaded"
    return check(
        "category",
        "Category and mail",
        f"free mail providers in {packaged.swot_source()}{ours}",
        result,
        finding,
        "Many researchers prefer a private address, and some institutions give out none. ROR "
        "knows a few broad types; a company's laboratory may do public research.",
    )


def _category(application: Application, mail: str, found: list[Institution]) -> tuple[str, str]:
    label = application.affiliation.get("category", "")
    known = OF_LABEL.get(label)
    if packaged.anyone_has(mail):
        if known != Category.INDEPENDENT:
            return (
                "attention",
                f"{label}, yet the mail comes from {mail}, where anybody can have an address.",
            )
        return "neutral", f"{label}, with a free mail address, as one expects."
    types = {kind for one in found for kind in one.types}
    if known is not None and found and known in BEARS_OUT:
        told = f"{label}; ROR has {mail} as {', '.join(sorted(types)) or 'of no type'}"
        if types & BEARS_OUT[known]:
            return "supports", f"{told}."
        if types & AGAINST[known]:
            return "attention", f"{told}, which is not what one expects."
        return "neutral", f"{told}."
    return "neutral", f"{label}; {mail} is not on the list of free mail providers."


def disposable(application: Application) -> Check:
    mail = mail_domain(application.applicant.email)
    known = packaged.is_disposable(mail)
    return check(
        "disposable",
        "Throw-away address",
        packaged.disposable_source(),
        "attention" if known else "neutral",
        f"{mail} gives out addresses that are thrown away."
        if known
        else f"{mail} is not on the list.",
        "New providers appear every week, and a list is as old as its date.",
    )
