"""Values that nobody types by mistake."""

import pytest

from access_requests import services
from access_requests.models import Application
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from portal.refusals import Code
from tests.access_requests.test_submit import refusal_of
from tests.people import signed_in

QUESTIONS = [{"key": "gpus", "label": "How many GPUs?", "type": "number"}]


@pytest.mark.parametrize("number", [10**400, -(10**400), "1e999", "nan", "inf"])
def test_a_number_beyond_all_numbers_is_refused(
    alice: Account, family: Family, release: Release, number: object
) -> None:
    services.make_form(family, QUESTIONS)
    refusal = refusal_of(services.start, actor=alice, releases=[release], answers={"gpus": number})
    assert refusal.code == Code.INVALID
    assert list(refusal.fields) == ["gpus"]
    assert not Application.objects.exists()


def test_a_large_number_is_kept_as_it_is(alice: Account, family: Family, release: Release) -> None:
    services.make_form(family, QUESTIONS)
    made = services.start(actor=alice, releases=[release], answers={"gpus": 4096})
    assert made.answers == {"gpus": 4096}


@pytest.mark.parametrize("state", ["nonsense", "\0", "draft"])
def test_the_queue_shows_nothing_for_a_state_that_it_does_not_know(
    rita: Account, draft: Application, state: str
) -> None:
    page = signed_in(rita).get("/admin/access_requests/application/", {"state": state})
    assert page.status_code == 200
    assert draft.reference not in page.text
