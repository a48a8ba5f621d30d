"""The list of research institutions that a manager loaded, in the form of the ROR dump."""

from access_requests.evidence.base import mail_domain
from access_requests.evidence.packaged import parents
from access_requests.models import (
    Application,
    EvidenceList,
    Institution,
    InstitutionDomain,
    InstitutionName,
)
from access_requests.names import name_key

MOST = 5  # institutions that a finding names; a domain that more share is no sign of any


def current_list() -> EvidenceList | None:
    return EvidenceList.objects.filter(
        kind=EvidenceList.Kind.INSTITUTIONS, status=EvidenceList.Status.CURRENT
    ).first()


def of_domain(domain: str, loaded: EvidenceList | None) -> list[Institution]:
    """The institutions of a mail domain, or of the nearest domain above it.

    Where some name it as a mail domain, the others, whose web site is there, do not count.
    """
    if loaded is None:
        return []
    around = parents(domain)
    rows = list(
        InstitutionDomain.objects.filter(evidence_list=loaded, domain__in=around)
        .select_related("institution")
        .order_by("id")[: MOST * 10]
    )
    if not rows:
        return []
    nearest = max((row.domain for row in rows), key=len)
    here = [row for row in rows if row.domain == nearest]
    named = [row for row in here if row.is_named] or here
    return list({row.institution.ror: row.institution for row in named}.values())[:MOST]


def of_name(name: str, loaded: EvidenceList | None) -> list[Institution]:
    key = name_key(name)
    if loaded is None or not key:
        return []
    rows = InstitutionName.objects.filter(evidence_list=loaded, key=key)
    found = [row.institution for row in rows.select_related("institution").order_by("id")[:MOST]]
    return list({one.ror: one for one in found}.values())


def of_application(application: Application) -> str:
    """The ROR id to keep with it: of its mail domain, or of its name where that names just one."""
    loaded = current_list()
    by_domain = of_domain(mail_domain(application.applicant.email), loaded)
    by_name = of_name(application.affiliation.get("institution", ""), loaded)
    both = {one.ror for one in by_domain} & {one.ror for one in by_name}
    if len(both) == 1:
        return both.pop()
    if len(by_domain) == 1:
        return by_domain[0].ror
    return by_name[0].ror if len(by_name) == 1 and not by_domain else ""
