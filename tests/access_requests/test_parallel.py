"""Everybody at once: hypothesis chooses who does what in the same moment, PostgreSQL decides who was first."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from access_requests import services
from access_requests.models import Application, Grant, Message, Review
from access_requests.selectors import standing_of
from access_requests.workflow import (
    GRANT_TRANSITIONS,
    OPEN_STATES,
    TRANSITIONS,
    GrantStatus,
    State,
)
from portal.accounts.models import Account
from portal.accounts.roles import Role, make_groups
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from portal.mail import services as mail
from portal.mail.models import OutgoingMail
from portal.refusals import Refusal
from tests.access_requests.people import ANSWERS, applicant, seen_now
from tests.people import person

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
World = dict[str, Any]


@pytest.fixture
def world(transactional_db: None) -> World:
    make_groups()
    licence = Licence.objects.create(slug="nc", name="Noncommercial")
    LicenceVersion.objects.create(licence=licence, number=1, text="Text.")
    family = Family.objects.create(slug="llama", name="LLaMA", publisher="meta", licence=licence)
    release = Release.objects.create(
        family=family,
        repo_id="meta/llama-7b",
        slug="llama-7b",
        name="LLaMA 7B",
        parameters=7,
        dimension=8,
        heads=1,
        layers=1,
    )
    return {
        "release": release,
        "rita": person("rita", Role.REVIEWER),
        "sam": person("sam", Role.REVIEWER),
        "mona": person("mona", Role.MANAGER),
        "marc": person("marc", Role.MANAGER),
        "bystander": applicant("eve"),
    }


DECIDERS = ("rita", "sam", "mona", "marc")
Act = tuple[str, str]  # who, what
BY_DECIDERS = ("claim", "release", "return", "approve", "refuse")
BY_MANAGERS = ("suspend", "reinstate", "revoke")
BY_APPLICANT = ("start", "save", "submit", "withdraw")
ACTS = st.one_of(
    st.tuples(st.sampled_from(DECIDERS), st.sampled_from(BY_DECIDERS)),
    st.tuples(st.sampled_from(("mona", "marc")), st.sampled_from(BY_MANAGERS)),
    st.tuples(st.just("alice"), st.sampled_from(BY_APPLICANT)),
    st.just(("clock", "expire")),
    st.just(("clock", "deliver")),
)


def at_once(calls: list[Callable[[], object]]) -> list[object]:
    """Each call in a thread and a transaction of its own, started together: its result, or what it raised."""
    gate, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(index: int, call: Callable[[], object]) -> None:
        try:
            gate.wait(10)
            results[index] = call()  # type: ignore[call-overload]
        except BaseException as error:
            results[index] = error  # type: ignore[call-overload]
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "a deadlock"
    return results


# What the log says of an act that was done; an act that was refused says nothing but "denied".
VERBS: dict[str, str] = {
    "submit": Verb.APPLICATION_SUBMITTED,
    "withdraw": Verb.APPLICATION_WITHDRAWN,
    "claim": Verb.APPLICATION_CLAIMED,
    "release": Verb.APPLICATION_RELEASED,
    "return": Verb.APPLICATION_RETURNED,
    "approve": Verb.APPLICATION_APPROVED,
    "refuse": Verb.APPLICATION_REFUSED,
    "suspend": Verb.GRANT_SUSPENDED,
    "reinstate": Verb.GRANT_REINSTATED,
    "revoke": Verb.GRANT_REVOKED,
}
# The mails of an act that was done. A withdrawn draft sends none, a correction one more.
MAILS = {
    "submit": "application_submitted",
    "return": "application_returned",
    "approve": "application_approved",
    "refuse": "application_refused",
    "suspend": "grant_suspended",
    "reinstate": "grant_reinstated",
    "revoke": "grant_revoked",
}
STATE_AFTER = {
    Verb.APPLICATION_CLAIMED: State.IN_REVIEW,
    Verb.APPLICATION_RETURNED: State.RETURNED,
    Verb.APPLICATION_APPROVED: State.APPROVED,
    Verb.APPLICATION_REFUSED: State.REFUSED,
    Verb.APPLICATION_WITHDRAWN: State.WITHDRAWN,
}


class Parallel(RuleBasedStateMachine):
    """One applicant, who may apply again and again; two reviewers, two managers, and a clock."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.done: Counter[str] = Counter()
        self.expired = 0
        number = Account.objects.count()
        self.alice = applicant(f"alice{number}")
        self.before = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        self._start()
        self.sent: list[list[str]] = []

    def _start(self) -> Application:
        return services.start(actor=self.alice, releases=[self.world["release"]], answers=ANSWERS)

    def applications(self) -> list[Application]:
        return list(Application.objects.filter(applicant=self.alice).order_by("id"))

    def grants(self) -> list[Grant]:
        return list(Grant.objects.filter(account=self.alice).order_by("id"))

    # ---- What happens ----------------------------------------------------------------------------

    @rule(who=st.sampled_from(DECIDERS))
    def come_to_a_claim(self, who: str) -> None:
        """Quickly to where most can happen at once."""
        self.together([("alice", "start")])
        self.together([("alice", "submit")])
        self.together([(who, "claim")])

    @rule(who=st.sampled_from(DECIDERS))
    def come_to_a_grant(self, who: str) -> None:
        self.come_to_a_claim(who)
        for name in DECIDERS:
            self.together([(name, "approve")])

    @rule(acts=st.lists(ACTS, min_size=2, max_size=6))
    def together(self, acts: list[Act]) -> None:
        calls = [self.call(who, what) for who, what in acts]
        for (_, what), result in zip(acts, at_once(calls), strict=True):
            if isinstance(result, Refusal):
                continue
            if isinstance(result, BaseException):
                raise result
            if what == "expire":
                self.expired += int(str(result))
            elif result is not None:
                self.done[what] += 1

    @rule()
    def the_end_comes(self) -> None:
        """The clock passes the end of every grant; the sweep may come at any later moment."""
        ended = timezone.now() - timedelta(seconds=1)
        Grant.objects.filter(account=self.alice, expiry_recorded_at=None).update(ends_at=ended)

    def call(self, who: str, what: str) -> Callable[[], object]:
        application, grants = self.applications()[-1], self.grants()
        if who == "clock":
            return services.expire_grants if what == "expire" else self.deliver
        if what in BY_MANAGERS:
            if not grants:
                return lambda: None
            act = getattr(services, what)
            return lambda: act(grants[-1].pk, actor=self.world[who], reason="A reason.")
        return self.application_call(application.pk, who, what)

    def application_call(self, pk: int, who: str, what: str) -> Callable[[], object]:
        actor = self.alice if who == "alice" else self.world[who]
        calls: dict[str, Callable[[], object]] = {
            "start": self._start,
            "save": lambda: services.save_draft(pk, actor=actor, answers={"sharing": "nothing"}),
            "submit": lambda: services.submit(pk, actor=actor, typed_name=actor.name),
            "withdraw": lambda: services.withdraw(pk, actor=actor),
            "claim": lambda: services.claim(pk, actor=actor),
            "release": lambda: services.release(pk, actor=actor),
            "return": lambda: services.return_for_correction(
                pk, seen=seen_now(pk), actor=actor, message="Mend."
            ),
            "approve": lambda: services.decide(pk, seen=seen_now(pk), actor=actor, approve=True),
            "refuse": lambda: services.decide(
                pk, seen=seen_now(pk), actor=actor, approve=False, reason="No."
            ),
        }
        return calls[what]

    def deliver(self) -> None:
        for mail_id in mail.waiting_ids():
            mail.deliver(mail_id)

    # ---- What holds at every moment --------------------------------------------------------------

    def events(self) -> list[Event]:
        return list(Event.objects.filter(id__gt=self.before).order_by("id"))

    @invariant()
    def no_event_is_lost_and_none_is_told_twice(self) -> None:
        counted = Counter(event.verb for event in self.events())
        for act, verb in VERBS.items():
            assert counted[verb] == self.done[act], (act, counted[verb], self.done[act])
        assert counted[Verb.GRANT_EXPIRED] == self.expired

    @invariant()
    def no_mail_is_double_and_none_is_missing(self) -> None:
        mails = Counter(
            OutgoingMail.objects.filter(account=self.alice).values_list("template", flat=True)
        )
        for act, template in MAILS.items():
            assert mails[template] == self.done[act], (template, mails, self.done)
        assert mails["grant_ended"] == self.expired
        assert mails["application_withdrawn"] <= self.done["withdraw"]

    @invariant()
    def every_application_is_where_its_events_led(self) -> None:
        """The events of each application, read in order, are a way through the table."""
        for application in self.applications():
            state = State.DRAFT
            for event in self.events():
                if (event.subject_type, event.subject_id) == (
                    "access_requests.application",
                    str(application.pk),
                ):
                    state = self.next_state(state, event)
            assert application.state == state

    def next_state(self, state: State, event: Event) -> State:
        verb = Verb(event.verb)
        if verb in (Verb.APPLICATION_STARTED, Verb.APPLICATION_DENIED):
            return state
        if verb == Verb.APPLICATION_SUBMITTED:
            to = State(event.data["state"])
        elif verb == Verb.APPLICATION_RELEASED:
            to = State.SUBMITTED if state == State.IN_REVIEW else state
        else:
            to = STATE_AFTER[verb]
        ways = {
            end
            for (begin, _), way in TRANSITIONS.items()
            if begin == state
            for end in (way.to, way.unclaimed)
        }
        assert to in ways, f"{verb} leads from {state} to {to}, which the table does not know"
        return to

    @invariant()
    def the_rows_agree(self) -> None:
        applications = self.applications()
        assert sum(one.state in OPEN_STATES for one in applications) <= 1
        for one in applications:
            decided = one.state in (State.APPROVED, State.REFUSED)
            assert decided == (one.decided_at is not None) == (one.decided_by_id is not None)
            if one.state == State.IN_REVIEW:
                assert one.claimed_by_id
            if one.state in (State.DRAFT, State.SUBMITTED):
                assert one.claimed_by_id is None
            open_reviews = one.reviews.filter(outcome=Review.Outcome.OPEN).count()
            assert open_reviews == (1 if one.state == State.IN_REVIEW else 0)
        returned = Message.objects.filter(application__in=applications).count()
        assert returned == self.done["return"]

    @invariant()
    def the_grants_agree(self) -> None:
        grants = self.grants()
        assert sum(standing_of(grant).is_open for grant in grants) <= 1, "two doors"
        approved = sum(one.state == State.APPROVED for one in self.applications())
        assert len(grants) <= approved
        for grant in grants:
            status = GrantStatus.ACTIVE
            for event in self.events():
                if (event.subject_type, event.subject_id) == (
                    "access_requests.grant",
                    str(grant.pk),
                ):
                    status = next_status(status, event)
            assert grant.status == status

    def teardown(self) -> None:
        """Two workers at once empty the outbox: every mail leaves, and leaves once."""
        services.expire_grants()  # nothing is left for the next example's clock
        with mock.patch("portal.mail.services.EmailMessage") as message:
            at_once([self.deliver, self.deliver])
            waiting = OutgoingMail.objects.filter(account=self.alice, sent_at=None)
            assert not waiting.exists()
            leaving = Counter(
                (call.args[0], call.args[1], tuple(call.args[3])) for call in message.call_args_list
            )
        written = Counter((one.subject, one.body, (one.to,)) for one in OutgoingMail.objects.all())
        assert all(leaving[one] <= written[one] for one in leaving)
        assert all(attempts == 1 for attempts in self.attempts())

    def attempts(self) -> list[int]:
        mails = OutgoingMail.objects.filter(account=self.alice)
        return list(mails.values_list("attempts", flat=True))


def next_status(status: GrantStatus, event: Event) -> GrantStatus:
    after = {
        Verb.GRANT_SUSPENDED: GrantStatus.SUSPENDED,
        Verb.GRANT_REVOKED: GrantStatus.REVOKED,
        Verb.GRANT_REINSTATED: GrantStatus.ACTIVE,
    }
    to = after.get(Verb(event.verb))
    if to is None:
        return status
    ways = {end for (begin, _), end in GRANT_TRANSITIONS.items() if begin == status}
    assert to in ways, f"{event.verb} leads from {status} to {to}"
    return to


def test_whoever_acts_at_the_same_moment_no_state_is_illegal_no_event_lost_no_mail_double(
    world: World,
) -> None:
    Parallel.world = world
    run_state_machine_as_test(
        Parallel,
        settings=settings(
            max_examples=12,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert transaction.get_connection().vendor == "postgresql"
