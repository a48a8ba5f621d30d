"""What was true on a day is told afterwards as it was said on that day."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from access_requests import selectors, services
from access_requests.models import Grant, Renewal, Tier
from access_requests.selectors import past
from access_requests.selectors.doors import with_parts
from distribution.services import publishing, withdrawing
from portal.accounts import services as accounts
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from portal.catalog.services import save_entry
from portal.refusals import Refusal
from tests.access_requests.clock import Clock
from tests.access_requests.conftest import another_release
from tests.access_requests.people import ANSWERS, applicant, seen_now

Answers = dict[tuple[int, str], str]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def in_words(refusal: Refusal | None) -> str:
    """Cause, sentence and time; without the reason, which the next act on a grant overwrites."""
    if refusal is None:
        return "open"
    sentence = refusal.detail.partition(" Reason: ")[0]
    return f"{refusal.code}: {sentence} {refusal.since}"


def live() -> Answers:
    """What every grant's door says now."""
    said: Answers = {}
    for grant in with_parts(Grant.objects.order_by("pk")):
        for tier in Tier:
            try:
                selectors.check_grant(grant, tier=tier)
            except Refusal as refusal:
                said[grant.pk, tier] = in_words(refusal)
            else:
                said[grant.pk, tier] = in_words(None)
    return said


def told(at: datetime) -> Answers:
    """The same, asked afterwards."""
    said: Answers = {}
    for tier in Tier:
        for then in past.grants_then(Grant.objects.order_by("pk"), at, tier=tier):
            said[then.grant.pk, tier] = in_words(then.refusal)
    return said


class Story:
    """Things that happen to two people's grants for two releases, in any order."""

    def __init__(self, clock: Clock, chance: random.Random, **who: Any) -> None:
        self.clock, self.chance = clock, chance
        self.__dict__.update(who)

    who: dict[str, Account]
    rita: Account
    manager: Account
    releases: list[Release]
    licences: list[Licence]

    def a_grant(self) -> Grant:
        return self.chance.choice(list(Grant.objects.order_by("pk")))

    def suspend(self) -> None:
        services.suspend(self.a_grant().pk, actor=self.manager, reason="A question.")

    def reinstate(self) -> None:
        services.reinstate(self.a_grant().pk, actor=self.manager)

    def revoke(self) -> None:
        if self.chance.random() < 0.3:
            services.revoke(self.a_grant().pk, actor=self.manager, reason="Shared.")

    def renew(self) -> None:
        grant = self.a_grant()
        made = services.ask_renewal(grant.pk, actor=grant.account, used_for="Probing.")
        self.clock.forward(hours=1)
        later = self.clock.time + timedelta(days=self.chance.randint(10, 200))
        services.approve_renewal(made.pk, actor=self.rita, ends_at=later)

    def close_out(self) -> None:
        if self.chance.random() < 0.3:
            grant = self.a_grant()
            services.close_out(grant.pk, actor=grant.account, typed_name=grant.account.name)

    def new_version(self) -> None:
        licence = self.chance.choice(self.licences)
        services.publish_version(
            licence.pk,
            actor=self.manager,
            text=f"Text of {self.clock.time}.",
            standing=self.chance.choice(list(LicenceVersion.Standing)),
            reaccept_days=self.chance.randint(1, 20),
        )

    def accept(self) -> None:
        grant = self.a_grant()
        services.accept_licence(grant.pk, actor=grant.account, typed_name=grant.account.name)

    def other_licence(self) -> None:
        if self.chance.random() < 0.4:
            family = Family.objects.get()
            family.licence = self.chance.choice(self.licences)
            save_entry(family, actor=self.manager, verb=Verb.FAMILY_CHANGED, changed=["licence"])

    def withdraw(self) -> None:
        withdrawing.withdraw(
            self.chance.choice(self.releases).pk, actor=self.manager, reason="Wrong weights."
        )

    def publish(self) -> None:
        publishing._record(self.chance.choice(self.releases).pk, "original", [], actor=self.manager)

    def close_or_open_an_account(self) -> None:
        person = self.chance.choice(list(self.who.values()))
        person.refresh_from_db()
        person.is_active = not person.is_active
        person.save(update_fields=["is_active"])
        accounts.note_closing(person, actor=self.manager)

    def apply(self) -> None:
        person = self.chance.choice(list(self.who.values()))
        made = services.start(actor=person, releases=self.releases, answers=ANSWERS)
        services.submit(made.pk, actor=person, typed_name=person.name)
        services.claim(made.pk, actor=self.rita)
        services.decide(
            made.pk,
            seen=seen_now(made.pk),
            actor=self.rita,
            approve=True,
            tier=self.chance.choice(list(Tier)),
            ends_at=self.clock.time + timedelta(days=self.chance.randint(5, 90)),
        )

    def steps(self) -> list[Callable[[], None]]:
        many = [self.suspend, self.reinstate, self.reinstate, self.renew, self.accept, self.publish]
        few = [self.revoke, self.close_out, self.new_version, self.other_licence, self.withdraw]
        return [*many, *many, *few, self.close_or_open_an_account, self.apply]


@pytest.mark.parametrize("seed", range(10))
def test_the_past_is_told_as_it_was_said(
    seed: int, clock: Clock, alice: Account, rita: Account, manager: Account, release: Release
) -> None:
    other = Licence.objects.create(slug="other", name="Other")
    LicenceVersion.objects.create(licence=other, number=1, text="Other.")
    story = Story(
        clock,
        random.Random(seed),
        who={"alice": alice, "bob": applicant("bob")},
        rita=rita,
        manager=manager,
        releases=[release, another_release(release, "13b")],
        licences=[release.family.licence, other],
    )
    story.apply()
    said, done = {clock.time: live()}, set()
    for _ in range(45):
        clock.forward(hours=story.chance.randint(1, 240))
        step = story.chance.choice(story.steps())
        try:
            step()
        except Refusal:
            pass
        else:
            done.add(step.__name__)
        clock.forward(minutes=1)
        said[clock.time] = live()
    clock.forward(days=400)
    for moment, answers in said.items():
        assert told(moment) == answers, f"at {moment}"
    assert len({code.split(":")[0] for one in said.values() for code in one.values()}) >= 4
    assert len(done) >= 6, "hardly anything happened"


def test_the_moment_before_a_grant_began_knows_nothing_of_it(clock: Clock, grant: Grant) -> None:
    assert [then.grant.pk for then in past.grants_then(Grant.objects.all(), clock.time)] == [
        grant.pk
    ]
    assert past.grants_then(Grant.objects.all(), clock.time - timedelta(seconds=1)) == []


def test_a_grant_that_no_event_issued_is_counted_and_not_guessed_at(
    clock: Clock, grant: Grant, manager: Account
) -> None:
    publishing._record(grant.release_id, "original", [], actor=manager)
    clock.forward(days=1)
    Grant.objects.create(
        account=grant.account,
        release=grant.release,
        acceptance=grant.acceptance,
        starts_at=clock.time,
        ends_at=clock.time + timedelta(days=9),
    )
    assert len(past.grants_then(Grant.objects.all(), clock.time)) == 1
    assert past.without_beginning(Grant.objects.all(), clock.time) == 1
    assert past.without_beginning(Grant.objects.all(), clock.time, only_open=True) == 1
    after = clock.forward(days=10)
    assert past.without_beginning(Grant.objects.all(), after) == 1
    assert past.without_beginning(Grant.objects.all(), after, only_open=True) == 0, "it had ended"


def test_an_announced_release_opened_nothing_though_a_grant_stood(
    clock: Clock, grant: Grant, manager: Account
) -> None:
    before = clock.forward(days=1)
    clock.forward(days=1)
    publishing._record(grant.release_id, "original", [], actor=manager)
    (then,) = past.grants_then(Grant.objects.all(), before)
    assert then.refusal is None
    assert not then.could
    (now,) = past.grants_then(Grant.objects.all(), clock.time)
    assert now.could


def test_every_event_of_a_grant_holds_what_the_past_needs(
    clock: Clock, grant: Grant, alice: Account, rita: Account, manager: Account
) -> None:
    """Self-contained: with the log alone one can say who had what under which text until when."""
    services.publish_version(
        grant.release.family.licence_id,
        actor=manager,
        text="Two.",
        standing=LicenceVersion.Standing.REACCEPT,
        reaccept_days=9,
    )
    services.accept_licence(grant.pk, actor=alice, typed_name=alice.name)
    services.ask_renewal(grant.pk, actor=alice, used_for="Probing.")
    end = grant.ends_at + timedelta(days=100)
    services.approve_renewal(Renewal.objects.get().pk, actor=rita, ends_at=end)
    clock.forward(days=2)
    services.close_out(grant.pk, actor=alice, typed_name=alice.name)
    data = {event.verb: event.data for event in Event.objects.order_by("id")}
    issued, accepted = data[Verb.GRANT_ISSUED], data[Verb.GRANT_REACCEPTED]
    assert issued["account"] == alice.pk
    assert issued["release"] == "meta/llama-7b"
    assert issued["text_sha256"] == grant.acceptance.text_sha256
    assert accepted["before"] == {"acceptance": grant.acceptance_id}
    assert accepted["text_sha256"] == LicenceVersion.objects.get(number=2).sha256
    assert data[Verb.LICENCE_PUBLISHED]["reaccept_days"] == 9
    assert data[Verb.GRANT_RENEWED]["before"]["ends_at"] == grant.ends_at.isoformat()
    assert data[Verb.GRANT_RENEWED]["ends_at"] == end.isoformat()
    assert data[Verb.GRANT_CLOSED_OUT]["before"] == {"ends_at": end.isoformat()}
    assert data[Verb.GRANT_CLOSED_OUT]["ends_at"] == clock.time.isoformat()
