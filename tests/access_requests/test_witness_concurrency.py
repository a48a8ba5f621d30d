"""Two at once behind one mailed link, with real threads and real transactions."""

from collections.abc import Callable

import pytest

from access_requests import services
from access_requests.models import Application, State, Witness
from portal.accounts.roles import Role
from portal.audit.models import Event, Verb
from portal.mail.models import OutgoingMail
from portal.refusals import Code
from tests.access_requests.test_concurrency import at_once, ready, refusals  # noqa: F401
from tests.access_requests.vouching import REFEREE, REFERENCE, ask_for, name, submit, token_to
from tests.people import person

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def asked(ready: Application) -> Application:  # noqa: F811
    ask_for(ready.releases.get(), referee=True)
    name(ready, "referee")
    return submit(ready)


def answering(token: str, relation: str) -> Callable[[], object]:
    given = {**REFERENCE, "read": services.reading_behind(token).digest, "relation": relation}
    return lambda: services.give_reference(token, **given)


def test_two_clicks_on_one_link_keep_one_answer(asked: Application) -> None:
    token = token_to(REFEREE["email"])
    results = at_once(*[answering(token, f"For {number} years.") for number in range(4)])
    assert [late.code for late in refusals(results)] == [Code.EXPIRED] * 3
    (kept,) = [one for one in results if isinstance(one, Witness)]
    assert Witness.objects.get().statement == kept.statement
    assert Event.objects.filter(verb=Verb.WITNESS_ANSWERED).count() == 1
    assert OutgoingMail.objects.filter(template="witness_answered").count() == 1


def test_an_answer_and_a_withdrawal_at_once_leave_one_or_the_other(asked: Application) -> None:
    results = at_once(
        answering(token_to(REFEREE["email"]), "For years."),
        lambda: services.withdraw(asked.pk, actor=asked.applicant),
    )
    witness = Witness.objects.get()
    assert Application.objects.get().state == State.WITHDRAWN
    late = refusals(results)
    assert witness.status == ("cancelled" if late else "answered")
    assert bool(witness.statement) is not bool(late)


def test_two_reminders_at_once_send_one_mail(asked: Application) -> None:
    witness = Witness.objects.get()
    assert witness.asked_at
    Witness.objects.update(asked_at=witness.asked_at - services.testimony.REMIND_AFTER)
    done = at_once(*[services.follow_up_witnesses] * 3)
    assert sorted(done) == [0, 0, 1]  # type: ignore[type-var]
    assert OutgoingMail.objects.filter(template="witness_reminder").count() == 1


def test_two_names_at_once_ask_two_and_leave_one_open_link(asked: Application) -> None:
    results = at_once(
        *[lambda n=n: name(asked, "referee", email=f"r{n}@elsewhere.example") for n in range(3)]
    )
    assert refusals(results) == []
    assert Witness.objects.filter(status="asked").count() == 1
    assert Witness.objects.filter(status="replaced").count() == 3


def test_two_managers_go_without_once(asked: Application) -> None:
    bosses = [person("mona", Role.MANAGER), person("marc", Role.MANAGER)]
    results = at_once(
        *[
            lambda b=b: services.go_without(asked.pk, "referee", actor=b, reason="Known.")
            for b in bosses
        ]
    )
    assert [late.code for late in refusals(results)] == [Code.WRONG_STATE]
    assert asked.waivers.count() == 1
