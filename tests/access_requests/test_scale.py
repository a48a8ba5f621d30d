"""Every list of the desk asks the database as often for thirty rows as for three; and none counts
all it has.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.utils import timezone

from access_requests import selectors, services
from access_requests.models import Application, CoApplicant, Grant, Renewal, Review
from access_requests.selectors import fairness
from portal import pages
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.audit.services import record
from tests.access_requests.people import applicant
from tests.access_requests.test_query_counts import cost
from tests.people import signed_in, with_token

QUEUE = "/admin/access_requests/application/"
LISTS = [
    *(f"{QUEUE}?tab={tab}" for tab in selectors.TABS),
    f"{QUEUE}?state=all",
    f"{QUEUE}?state=approved",
    f"{QUEUE}?state=all&category=academia",
    f"{QUEUE}?state=all&q=negation",
    f"{QUEUE}fairness/",
    "/admin/access_requests/grant/",
    "/admin/access_requests/grant/?q=example",
    "/admin/access_requests/renewal/",
    "/admin/access_requests/coapplicant/?state=all",
    "/admin/accounts/account/",
    "/admin/accounts/account/?q=example",
    "/admin/audit/event/",
    "/admin/audit/event/?sealed=no",
    "/admin/audit/event/?verb__exact=application.claimed",
    "/admin/audit/seal/",
]
API_LISTS = [
    "/api/v1/applications/?queue=1",
    "/api/v1/grants/?all=1",
    "/api/v1/events/",
    "/api/v1/events/?verb=application.claimed",
]


def test_every_list_costs_the_same_for_three_rows_and_for_thirty(
    manager: Account, applied_by: Callable[..., Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in site._registry.values():  # all on one page: a second costs one query more, once
        monkeypatch.setattr(one, "list_per_page", 1000)
    client, api = signed_in(manager), with_token(manager)

    readers = {**dict.fromkeys(API_LISTS, api), **dict.fromkeys(LISTS, client)}

    def costs(*, is_first: bool) -> dict[str, int]:
        _opened(api, API_LISTS[0])  # a token's use is written down once a minute
        return {
            at: cost(lambda by=by, at=at: _opened(by, at), is_first=is_first)
            for at, by in readers.items()
        }

    _fill(0, 3, applied_by)
    few = costs(is_first=True)
    _fill(3, 30, applied_by)
    assert costs(is_first=False) == few


def _opened(client: Any, address: str) -> None:
    assert client.get(address).status_code == 200, address


def _fill(first: int, last: int, applied_by: Callable[..., Application]) -> None:
    """Of each list so many rows: waiting, claimed, decided; each grant with a renewal, each decided
    application with somebody who joined.
    """
    for number in range(first, last):
        for until in ("submitted", "in_review", "approved"):
            one = applied_by(applicant(f"{until.replace('_', '')}{number}"), until=until)
        grant = one.grants.get()
        Renewal.objects.create(grant=grant, used_for="Probing.", ends_at_before=grant.ends_at)
        CoApplicant.objects.create(
            application=one,
            email=f"joined{number}@lab.test",
            account=applicant(f"joined{number}"),
            status="joined",
            invited_at=timezone.now(),
            expires_at=timezone.now(),
        )


def test_a_long_list_says_that_there_is_more_than_it_counted(
    rita: Account, applied_by: Callable[..., Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        applied_by(applicant(f"p{number}"))
    monkeypatch.setattr(pages.CappedPaginator, "most", 3)
    assert "more than" not in signed_in(rita).get(QUEUE).content.decode()
    monkeypatch.setattr(pages.CappedPaginator, "most", 2)
    page = signed_in(rita).get(QUEUE).content.decode()
    assert "more than 2" in page


def test_a_page_holds_its_rows_in_their_order(
    rita: Account, applied_by: Callable[..., Application]
) -> None:
    made = [applied_by(applicant(f"p{number}")) for number in range(5)]
    rows = pages.CappedPaginator(selectors.submitted().order_by("-submitted_at", "id"), 2)
    assert list(rows.page(2).object_list) == [made[2], made[1]]
    assert list(rows.page(3).object_list) == [made[0]]


def test_the_api_leads_from_page_to_page_of_the_log(manager: Account) -> None:
    for number in range(120):
        record(Verb.LINK_DENIED, manager, actor=None, number=number)
    api = with_token(manager)
    seen: list[int] = []
    address: str | None = "/api/v1/events/?verb=link.denied"
    while address:
        answer = api.get(address).json()
        seen += [one["id"] for one in answer["results"]]
        address = answer["next"]
    wanted = Event.objects.filter(verb="link.denied").order_by("-id")
    assert seen == list(wanted.values_list("pk", flat=True))


def test_a_decision_keeps_what_the_fairness_page_counts(approved: Application) -> None:
    kept = approved.reviews.get()
    assert (kept.category, kept.region) == ("Academia", "Europe")
    assert kept.days is not None
    assert kept.days < 1


def test_a_review_that_decided_nothing_is_not_measured(returned: Application) -> None:
    assert returned.reviews.get().days is None


def test_fairness_counts_the_newest_decisions_and_says_so(
    manager: Account, approved: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{QUEUE}fairness/"
    assert "the newest" not in signed_in(manager).get(address).content.decode()
    review = approved.reviews.get()
    Review.objects.filter(pk=review.pk).update(days=1.0)
    review.pk, review.outcome = None, "refused"
    review.closed_at = timezone.now() - timedelta(days=2)
    review.days = 9.0
    review.save()
    monkeypatch.setattr(fairness, "MOST", 1)
    report = selectors.fairness_of(90)
    assert (report.decided, report.is_cut) == (1, True)
    assert "the newest 1" in signed_in(manager).get(address).content.decode()


def test_a_much_used_grant_shows_the_newest_of_its_history(grant: Grant, rita: Account) -> None:
    for number in range(205):
        record(Verb.LINK_ISSUED, grant, actor=grant.account, number=number)
    address = f"/admin/access_requests/grant/{grant.pk}/change/"
    page = signed_in(rita).get(address).content.decode()
    assert page.count("Download links given") == 200
    assert "The newest 200" in page


def test_the_category_filter_follows_the_affiliation_as_submitted(
    rita: Account, alice: Account, submitted: Application
) -> None:
    page = signed_in(rita).get(f"{QUEUE}?category=academia").content.decode()
    assert submitted.reference in page
    page = signed_in(rita).get(f"{QUEUE}?category=government").content.decode()
    assert submitted.reference not in page


def test_grants_are_found_by_holder_and_release_alone(grant: Grant) -> None:
    every = Grant.objects.all()
    for text in ("alice", "lab.test example", "llama-7b", "alice llama"):
        assert list(selectors.grants_found(every, text)) == [grant], text
    for text in ("negation", "alice 65b"):
        assert not selectors.grants_found(every, text).exists(), text


def test_a_person_who_loses_a_role_at_this_object_has_it_no_more(rita: Account) -> None:
    from portal.accounts.roles import is_reviewer

    assert is_reviewer(rita)
    rita.groups.clear()
    assert not is_reviewer(rita)


def test_services_write_the_category(submitted: Application, alice: Account) -> None:
    assert submitted.category == submitted.affiliation["category"]
    assert services.search_document(submitted) == submitted.search_text
