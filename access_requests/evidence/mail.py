"""The mail's domain, held against the web page, the category and lists of providers."""

from access_requests.evidence.base import Check, check, host, mail_domain, same_organisation
from access_requests.models import Application
from portal.accounts.models import Affiliation

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


def domain(application: Application) -> Check:
    mail, page = (
        mail_domain(application.applicant.email),
        host(application.affiliation.get("web_page", "")),
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
    return check(
        "domain",
        "Mail and web page",
        "the verified e-mail address and the affiliation",
        result,
        finding,
        "Large institutions own many domains, and pages are often hosted elsewhere. A match "
        "shows control of a "
        "mailbox there, not a position.",
    )


def category(application: Application) -> Check:
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
    return check(
        "category",
        "Category and mail",
        "a short list of free mail providers",
        result,
        finding,
        "Many researchers prefer a private address, and some institutions give out none.",
    )


def disposable(application: Application) -> Check:
    mail = mail_domain(application.applicant.email)
    known = mail in DISPOSABLE_MAIL
    return check(
        "disposable",
        "Throw-away address",
        "a short list of throw-away mail providers",
        "attention" if known else "neutral",
        f"{mail} gives out addresses that are thrown away."
        if known
        else f"{mail} is not on the list.",
        "The list is short; new providers appear every week.",
    )
