"""The pages that are measured. A new page is one line: who opens it, a name, an address.

Addresses may name what `found` finds: {open}, {decided}, {mine}, {grant} …
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count
from django.utils import timezone

from access_requests.models import Application, CoApplicant, Grant, Renewal
from at_scale.texts import RARE
from portal.accounts.models import Account
from portal.audit.models import Event

PAGE_MS, SEARCH_MS = 150, 300
DESK = "/admin/access_requests"
QUEUE, LOG = f"{DESK}/application/", "/admin/audit/event/"
THEN = f"{DESK}/grant/then/"


@dataclass(frozen=True)
class Page:
    who: str  # reviewer, manager, auditor or applicant
    name: str
    address: str
    limit: int = PAGE_MS  # milliseconds at the 95th percentile
    status: int = 200


def _search(name: str, text: str, state: str = "all") -> Page:
    where = f"&state={state}" if state else ""
    return Page("reviewer", f"search: {name}", f"{QUEUE}?q={text}{where}", SEARCH_MS)


PAGES = [
    Page("reviewer", "queue", QUEUE),
    Page("reviewer", "queue, a deep page", f"{QUEUE}?p=15"),
    Page("reviewer", "tab: mine", f"{QUEUE}?tab=mine"),
    Page("reviewer", "tab: unclaimed", f"{QUEUE}?tab=unclaimed"),
    Page("reviewer", "tab: waiting for the applicant", f"{QUEUE}?tab=waiting"),
    Page("reviewer", "tab: overdue", f"{QUEUE}?tab=overdue"),
    Page("reviewer", "tab: my advice is asked", f"{QUEUE}?tab=asked"),
    Page("reviewer", "tab: waiting for evidence", f"{QUEUE}?tab=evidence"),
    Page("reviewer", "second looks", f"{DESK}/secondlook/"),
    Page("manager", "evidence lists", f"{DESK}/evidencelist/"),
    Page("reviewer", "every state", f"{QUEUE}?state=all"),
    Page("reviewer", "every state, page 150", f"{QUEUE}?state=all&p=150"),
    Page("reviewer", "approved, page 150", f"{QUEUE}?state=approved&p=150"),
    Page("reviewer", "every state, newest first", f"{QUEUE}?state=all&o=-4"),
    Page("reviewer", "every state, by reference", f"{QUEUE}?state=all&o=-0"),
    Page("reviewer", "filter: family and age", f"{QUEUE}?family__id__exact={{family}}&age=7"),
    Page("reviewer", "filter: claimed by me, every state", f"{QUEUE}?state=all&claim=me"),
    Page("reviewer", "filter: academia, every state", f"{QUEUE}?state=all&category=academia"),
    Page("reviewer", "filter: civil society", f"{QUEUE}?state=all&category=civil_society"),
    Page("reviewer", "filter: civil society, withdrawn",
         f"{QUEUE}?state=withdrawn&category=civil_society"),
    _search("a common word", "model"),
    _search("a common word, the queue alone", "model", ""),
    _search("two common words", "language negation"),
    _search("the beginning of words", "str"),
    _search("one letter", "m"),
    _search("a rare word", RARE),
    _search("a name", "kowalski"),
    _search("a name and an institution", "muller zurich"),
    _search("an address", "{email}"),
    _search("an institution", "University of Göttingen"),
    _search("a reference", "{reference}"),
    _search("no hit", "quetzalcoatlus"),
    Page("reviewer", "an application to decide", f"{QUEUE}{{mine}}/change/"),
    Page("reviewer", "an unclaimed application", f"{QUEUE}{{open}}/change/"),
    Page("reviewer", "a decided application", f"{QUEUE}{{decided}}/change/"),
    Page("reviewer", "the next one for me", f"{QUEUE}next/", status=302),
    Page("reviewer", "grants", f"{DESK}/grant/"),
    Page("reviewer", "grants, a deep page", f"{DESK}/grant/?p=90"),
    Page("reviewer", "grants that end soon", f"{DESK}/grant/?time=soon"),
    Page("reviewer", "grants, revoked", f"{DESK}/grant/?status__exact=revoked"),
    Page("reviewer", "grants by their end", f"{DESK}/grant/?o=5"),
    Page("reviewer", "search: grants of a name", f"{DESK}/grant/?q=kowalski", SEARCH_MS),
    Page("reviewer", "search: grants, no hit", f"{DESK}/grant/?q=quetzalcoatlus", SEARCH_MS),
    Page("manager", "a grant", f"{DESK}/grant/{{grant}}/change/"),
    Page("manager", "the most used grant", f"{DESK}/grant/{{busy_grant}}/change/"),
    Page("reviewer", "renewals", f"{DESK}/renewal/"),
    Page("reviewer", "renewals, all", f"{DESK}/renewal/?state=all"),
    Page("reviewer", "a renewal", f"{DESK}/renewal/{{renewal}}/change/"),
    Page("reviewer", "co-applicants to decide", f"{DESK}/coapplicant/"),
    Page("reviewer", "co-applicants, all", f"{DESK}/coapplicant/?state=all"),
    Page("reviewer", "a co-applicant", f"{DESK}/coapplicant/{{member}}/change/"),
    Page("reviewer", "people", "/admin/accounts/account/"),
    Page("reviewer", "search: people", "/admin/accounts/account/?q=kowalski", SEARCH_MS),
    Page("reviewer", "search: people, no hit", "/admin/accounts/account/?q=quetzal", SEARCH_MS),
    Page("reviewer", "a person", "/admin/accounts/account/{applicant}/change/"),
    Page("manager", "fairness, 90 days", f"{QUEUE}fairness/?days=90"),
    Page("manager", "fairness, a year", f"{QUEUE}fairness/?days=365"),
    Page("manager", "fairness, ten years", f"{QUEUE}fairness/?days=3650"),
    Page("auditor", "log", LOG),
    Page("auditor", "log, a deep page", f"{LOG}?p=90"),
    Page("auditor", "log: one verb", f"{LOG}?verb__exact=application.refused"),
    Page("auditor", "log: a verb that is rare", f"{LOG}?verb__exact=release.withdrawn"),
    Page("auditor", "log: one kind of subject",
         f"{LOG}?subject_type__exact=access_requests.application"),
    Page("auditor", "log: one subject", f"{LOG}?q={{busy_grant}}"),
    Page("auditor", "log: one actor", f"{LOG}?q={{email}}"),
    Page("auditor", "log: a busy actor", f"{LOG}?q={{desk_email}}"),
    Page("auditor", "log: not sealed yet", f"{LOG}?sealed=no"),
    Page("auditor", "log: sealed, one verb", f"{LOG}?sealed=yes&verb__exact=grant.issued"),
    Page("auditor", "log: one seal", f"{LOG}?in_seal=300"),
    Page("auditor", "an event", f"{LOG}{{event}}/change/"),
    Page("auditor", "seals", "/admin/audit/seal/"),
    Page("auditor", "public page of the log", "/audit/"),
    Page("auditor", "a year ago: who could open one release", f"{THEN}?at={{past}}&release=beta-13b"),
    Page("auditor", "a year ago: also who could not, and why",
         f"{THEN}?at={{past}}&release=beta-13b&show=all"),
    Page("auditor", "a year ago: one person", f"{THEN}?at={{past}}&person={{email}}"),
    Page("auditor", "a year ago: one grant", f"{THEN}{{grant}}/?at={{past}}"),
    Page("auditor", "REST: a year ago, one release",
         "/api/v1/access-then/?at={past}&release=beta-13b"),
    Page("auditor", "REST: events", "/api/v1/events/"),
    Page("auditor", "REST: events of a verb", "/api/v1/events/?verb=download.started"),
    Page("auditor", "REST: events of an actor", "/api/v1/events/?actor={reviewer}"),
    Page("auditor", "REST: events of a subject",
         "/api/v1/events/?subject_type=access_requests.application&subject_id={decided}"),
    Page("auditor", "REST: events of two years ago",
         "/api/v1/events/?since=2024-11-01T00:00:00Z&until=2024-11-02T00:00:00Z"),
    Page("auditor", "REST: events, a verb, two years ago",
         "/api/v1/events/?verb=grant.issued&since=2024-11-01T00:00:00Z&until=2024-12-01T00:00:00Z"),
    Page("reviewer", "REST: the queue", "/api/v1/applications/?queue=1"),
    Page("reviewer", "REST: the queue, page 10", "/api/v1/applications/?queue=1&page=10"),
    Page("reviewer", "REST: an application", "/api/v1/applications/{open}/"),
    Page("reviewer", "REST: grants", "/api/v1/grants/?all=1"),
    Page("reviewer", "REST: grants, page 900", "/api/v1/grants/?all=1&page=900"),
    Page("applicant", "my access", "/applications/"),
    Page("applicant", "status of my application", "/applications/{own}/"),
]  # fmt: skip


def found() -> tuple[dict[str, str], dict[str, Account]]:
    """What the addresses name, and the people who open them."""
    reviewer = Account.objects.get(email="reviewer 0@desk.example")
    waiting = Application.objects.filter(state="submitted").order_by("submitted_at")
    own = Application.objects.select_related("applicant").get(pk=_nth(waiting, 200))
    claimed = Application.objects.filter(state="in_review", claimed_by=reviewer)
    words = {
        "open": _nth(waiting, 0),
        "mine": _nth(claimed, 0),
        "decided": _nth(Application.objects.filter(state="approved").order_by("id"), 1000),
        "own": own.pk,
        "reference": own.reference,
        "applicant": own.applicant_id,
        "email": own.applicant.email,
        "desk_email": reviewer.email,
        "reviewer": reviewer.pk,
        "family": own.family_id,
        "grant": _nth(Grant.objects.order_by("id"), 500),
        "busy_grant": _most_used(),
        "renewal": _nth(Renewal.objects.filter(status="open"), 0),
        "member": _nth(CoApplicant.objects.filter(status="joined"), 0),
        "event": _nth(Event.objects.order_by("id"), 1000),
        "past": f"{timezone.now() - timedelta(days=365):%Y-%m-%dT%H:%M:%S}",
    }
    people = {
        "reviewer": reviewer,
        "manager": Account.objects.get(email="manager@desk.example"),
        "auditor": Account.objects.get(email="auditor@desk.example"),
        "applicant": own.applicant,
    }
    return {name: str(value) for name, value in words.items()}, people


def _nth(rows: Any, at: int) -> int:
    """The id of a row; where a small run has none, one whose page is not found."""
    ids = rows.values_list("pk", flat=True)
    return next(iter([*ids[at : at + 1], *ids[:1]]), 0)


def _most_used() -> str:
    links = Event.objects.filter(verb="link.issued").values("subject_id")
    return str(links.annotate(times=Count("pk")).order_by("-times")[0]["subject_id"])
