"""Lists cost the same number of queries however long they are."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access_requests import selectors, services
from access_requests.models import Application, Grant
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.conftest import another_release
from tests.access_requests.people import applicant
from tests.access_requests.test_admin import page_of
from tests.people import signed_in, with_token


@contextmanager
def counted() -> Iterator[list[int]]:
    result: list[int] = []
    with CaptureQueriesContext(
        connection,
    ) as queries:
        yield result
    result.append(len(queries))


def cost(call: Callable[[], object], *, is_first: bool = True) -> int:
    if is_first:
        call()  # what is cached at a first use is not the list's cost
    with counted() as result:
        call()
    return result[0]


def more_grants(grant: Grant) -> None:
    for size in ("13b", "33b", "65b"):
        Grant.objects.create(
            account=grant.account,
            release=another_release(grant.release, size),
            acceptance=grant.acceptance,
            starts_at=timezone.now(),
            ends_at=grant.ends_at,
        )


def test_usable_grants_cost_the_same_for_one_and_for_four(grant: Grant, alice: Account) -> None:
    before = cost(lambda: selectors.usable_grants(alice))
    more_grants(grant)
    assert len(selectors.usable_grants(alice)) == 4
    assert cost(lambda: selectors.usable_grants(alice)) == before <= 3


def test_the_door_costs_few_queries(grant: Grant, alice: Account, release: Release) -> None:
    assert cost(lambda: selectors.grant_for(alice, release)) <= 3


def test_my_access_costs_the_same_for_one_and_for_four(grant: Grant, alice: Account) -> None:
    client = signed_in(alice)
    before = cost(lambda: client.get("/applications/"))
    more_grants(grant)
    assert cost(lambda: client.get("/applications/")) == before


def test_the_queue_costs_the_same_for_two_and_for_five(
    rita: Account, applied_by: Callable[..., Application]
) -> None:
    def read() -> None:
        client.get("/admin/access_requests/application/")

    def read_api() -> None:
        api.get("/api/v1/applications/?queue=1")

    client, api = signed_in(rita), with_token(rita)
    applied_by(applicant("p0")), applied_by(applicant("p1"), until="in_review")
    before, before_api = cost(read), cost(read_api)
    for number in range(2, 5):
        applied_by(applicant(f"p{number}"), until="in_review")
    assert cost(read) == before
    assert cost(read_api) == before_api


def repeats_of(call: Callable[[], object]) -> tuple[int, list[str]]:
    """How many queries, and those that are asked more than once with the same parameters."""
    call()
    asked: Counter[str] = Counter()

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked[f"{sql} {params}"] += 1
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        call()
    return asked.total(), [query[:300] for query, times in asked.items() if times > 1]


def test_the_page_of_an_application_asks_for_each_thing_once(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    services.ask(in_review.pk, actor=rita, reviewer=second_reviewer)
    services.write(in_review.pk, actor=in_review.applicant, body="Here it is.")
    client, program = signed_in(rita), with_token(rita)
    number, repeats = repeats_of(lambda: client.get(page_of(in_review)))
    # The current list of institutions by two checks, and the colleagues by two forms.
    assert (number < 40, len(repeats) <= 2) == (True, True), (number, repeats)
    number, repeats = repeats_of(lambda: program.get(f"/api/v1/applications/{in_review.pk}/"))
    assert (number < 40, len(repeats) <= 2) == (True, True), (number, repeats)


def test_the_page_of_an_application_costs_the_same_however_much_was_said(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    def talk() -> None:
        services.write(in_review.pk, actor=in_review.applicant, body="Once more.")
        services.note(in_review.pk, actor=second_reviewer, body="Look at this.")

    client = signed_in(rita)
    services.release(in_review.pk, actor=rita), services.claim(in_review.pk, actor=second_reviewer)
    talk()
    before = cost(lambda: client.get(page_of(in_review)))
    services.release(in_review.pk, actor=second_reviewer), services.claim(in_review.pk, actor=rita)
    services.release(in_review.pk, actor=rita), services.claim(in_review.pk, actor=second_reviewer)
    talk()
    talk()
    assert cost(lambda: client.get(page_of(in_review))) == before


def test_the_list_of_grants_costs_the_same_for_one_and_for_four(
    grant: Grant, rita: Account
) -> None:
    client, api = signed_in(rita), with_token(rita)
    before = cost(lambda: client.get("/admin/access_requests/grant/"))
    before_api = cost(lambda: api.get("/api/v1/grants/?all=1"))
    more_grants(grant)
    assert cost(lambda: client.get("/admin/access_requests/grant/")) == before
    assert cost(lambda: api.get("/api/v1/grants/?all=1")) == before_api
