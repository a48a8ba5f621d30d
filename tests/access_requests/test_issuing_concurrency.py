"""Access given by two people in the same moment, or while it is closed, with real transactions."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, CoApplicant, DecisionPolicy, Grant, Renewal, State
from portal.accounts.models import Account
from portal.accounts.roles import Role
from portal.audit.models import Event, Verb
from portal.catalog.models import LicenceVersion, Release
from portal.refusals import Code
from tests.access_requests.people import applicant, seen_now
from tests.access_requests.test_coapplicants import joined, token_of
from tests.access_requests.test_concurrency import at_once, ready, refusals  # noqa: F401
from tests.access_requests.test_submit import refusal_of
from tests.people import person

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def reviewers(ready: Application) -> list[Account]:  # noqa: F811
    return [person("rita", Role.REVIEWER), person("sam", Role.REVIEWER)]


@pytest.fixture
def in_review(ready: Application, reviewers: list[Account]) -> Application:  # noqa: F811
    bob = ready.applicant
    services.submit(ready.pk, actor=bob, typed_name=bob.name)
    return services.claim(ready.pk, actor=reviewers[0])


@pytest.fixture
def approved(in_review: Application, reviewers: list[Account]) -> Application:
    return services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=reviewers[0], approve=True
    )


def two_must_approve(application: Application) -> None:
    DecisionPolicy.objects.create(release=application.releases.get(), approvals=2)


def test_two_reviewers_who_admit_at_once_are_two_approvals_and_one_grant(
    approved: Application, reviewers: list[Account]
) -> None:
    carl = applicant("carl")
    member = joined(approved, carl)
    two_must_approve(approved)
    results = at_once(*(lambda who=who: services.admit(member.pk, actor=who) for who in reviewers))
    assert not refusals(results)
    member.refresh_from_db()
    assert member.status == CoApplicant.Status.ADMITTED
    assert {member.first_approval_by, member.decided_by} == set(reviewers)
    assert carl.grants.count() == 1


def test_one_reviewer_who_admits_twice_at_once_is_one_approval(
    approved: Application, reviewers: list[Account]
) -> None:
    carl = applicant("carl")
    member = joined(approved, carl)
    two_must_approve(approved)
    results = at_once(*[lambda: services.admit(member.pk, actor=reviewers[0])] * 2)
    assert [refusal.code for refusal in refusals(results)] == [Code.NOT_ALLOWED]
    assert not carl.grants.exists()


def test_two_reviewers_who_renew_at_once_extend_once(
    approved: Application, reviewers: list[Account]
) -> None:
    bob = approved.applicant
    grant = bob.grants.get()
    renewal = services.ask_renewal(grant.pk, actor=bob, used_for="Probing.")
    ends = [grant.ends_at + timedelta(days=days) for days in (30, 60)]
    results = at_once(
        *(
            lambda who=who, end=end: services.approve_renewal(renewal.pk, actor=who, ends_at=end)
            for who, end in zip(reviewers, ends, strict=True)
        )
    )
    assert [refusal.code for refusal in refusals(results)] == [Code.CONFLICT]
    renewal.refresh_from_db()
    assert renewal.status == Renewal.Status.APPROVED
    assert Event.objects.filter(verb=Verb.GRANT_RENEWED).count() == 1


def test_a_lab_and_the_persons_own_application_approved_at_once_are_two_grants(
    in_review: Application, reviewers: list[Account]
) -> None:
    carl = applicant("carl")
    joined(in_review, carl)
    own = services.start(
        actor=carl, releases=list(in_review.releases.all()), answers=in_review.answers
    )
    services.submit(own.pk, actor=carl, typed_name=carl.name)
    services.claim(own.pk, actor=reviewers[1])
    lab_seen, own_seen = seen_now(in_review.pk), seen_now(own.pk)
    results = at_once(
        lambda: services.decide(in_review.pk, seen=lab_seen, actor=reviewers[0], approve=True),
        lambda: services.decide(own.pk, seen=own_seen, actor=reviewers[1], approve=True),
    )
    assert not refusals(results)
    assert {grant.application for grant in carl.grants.all()} == {in_review, own}
    assert carl.grants.count() == 2


def test_nobody_joins_or_gets_access_after_the_block_of_the_same_moment(
    approved: Application, reviewers: list[Account]
) -> None:
    mona, carl, dora = person("mona", Role.MANAGER), applicant("carl"), applicant("dora")
    member = joined(approved, carl)
    services.invite(approved.pk, actor=approved.applicant, email=dora.email)
    token = token_of(dora.email)
    results = at_once(
        lambda: services.block(
            actor=mona, family=approved.family, reason="Leaked.", domain="lab.test"
        ),
        lambda: services.admit(member.pk, actor=reviewers[0]),
        lambda: services.join(token, actor=dora, typed_name=dora.name),
    )
    assert {refusal.code for refusal in refusals(results)} <= {Code.BLOCKED}
    blocked = Event.objects.get(verb=Verb.BLOCK_CHANGED)
    issued = Event.objects.filter(verb=Verb.GRANT_ISSUED, data__account=carl.pk)
    assert all(event.pk < blocked.pk for event in issued), "access was given after the block"
    for late in CoApplicant.objects.filter(account=dora):
        assert refusal_of(services.admit, late.pk, actor=reviewers[0]).code == Code.BLOCKED
    assert not dora.grants.exists()


def test_accepting_a_licence_does_not_wait_for_the_catalogue(
    approved: Application,
) -> None:
    bob = approved.applicant
    grant = bob.grants.get()
    LicenceVersion.objects.create(
        licence=approved.family.licence, number=2, text="New.", published_at=timezone.now()
    )
    locked, done = threading.Event(), threading.Event()

    def edit_the_release() -> None:
        try:
            with transaction.atomic():
                Release.objects.select_for_update(no_key=True).get(pk=grant.release_id)
                locked.set()
                done.wait(10)
        finally:
            connection.close()

    editor = threading.Thread(target=edit_the_release)
    editor.start()
    locked.wait(10)
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '2s'")
            services.accept_licence(grant.pk, actor=bob, typed_name=bob.name)
    finally:
        done.set()
        editor.join(10)
    grant.refresh_from_db()
    assert grant.acceptance.licence_version.number == 2
    assert Application.objects.get(pk=approved.pk).state == State.APPROVED
    assert Grant.objects.count() == 1
