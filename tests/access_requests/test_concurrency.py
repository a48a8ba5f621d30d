"""Two at once, with real threads and real transactions."""

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, Grant, LicenceAcceptance, State
from portal.accounts import erasing
from portal.accounts.models import Account
from portal.accounts.roles import Role
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.access_requests.people import ANSWERS, applicant, seen_now
from tests.people import person

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Run all calls from threads that start together: what each returned, or what it raised."""
    gate = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(index: int, call: Callable[[], object]) -> None:
        try:
            gate.wait(10)
            results[index] = call()
        except BaseException as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def refusals(results: list[object]) -> list[Refusal]:
    others = [
        one for one in results if isinstance(one, BaseException) and not isinstance(one, Refusal)
    ]
    assert not others, others
    return [one for one in results if isinstance(one, Refusal)]


@pytest.fixture
def ready(db: None) -> Application:
    """A draft that can be submitted, made anew: a transactional test empties the tables."""
    for role in Role:
        Group.objects.get_or_create(name=role.value)
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
    bob = applicant("bob")
    return services.start(actor=bob, releases=[release], answers=ANSWERS)


def test_two_starts_at_once_make_one_application(ready: Application) -> None:
    release = ready.releases.get()
    carol = applicant("carol")
    results = at_once(
        *[lambda: services.start(actor=carol, releases=[release], answers=ANSWERS)] * 4
    )
    assert refusals(results) == []
    assert len({one.pk for one in results}) == 1  # type: ignore[attr-defined]
    assert Application.objects.filter(applicant=carol).count() == 1
    assert Event.objects.filter(verb=Verb.APPLICATION_STARTED, actor=carol).count() == 1


def test_two_first_starts_in_a_family_without_a_form_make_one_application(
    ready: Application,
) -> None:
    family = Family.objects.create(
        slug="opt", name="OPT", publisher="meta", licence=Licence.objects.get()
    )
    release = Release.objects.create(
        family=family,
        repo_id="meta/opt",
        slug="opt",
        name="OPT",
        parameters=1,
        dimension=1,
        heads=1,
        layers=1,
    )
    people = [applicant(f"q{number}") for number in range(3)]
    results = at_once(*[lambda p=p: services.start(actor=p, releases=[release]) for p in people])
    assert refusals(results) == []
    assert Application.objects.filter(family=family).count() == 3


def test_two_submissions_at_once_make_one(ready: Application) -> None:
    bob = ready.applicant
    results = at_once(*[lambda: services.submit(ready.pk, actor=bob, typed_name=bob.name)] * 2)
    (late,) = refusals(results)
    assert late.code == Code.WRONG_STATE
    assert "already submitted" in late.detail
    assert OutgoingMail.objects.filter(template="application_submitted").count() == 1
    assert Event.objects.filter(verb=Verb.APPLICATION_SUBMITTED).count() == 1
    assert LicenceAcceptance.objects.count() == 1


def test_two_claims_at_once_make_one_and_the_other_learns_who(ready: Application) -> None:
    services.submit(ready.pk, actor=ready.applicant, typed_name=ready.applicant.name)
    reviewers = [person("rita", Role.REVIEWER), person("sam", Role.REVIEWER)]
    (late,) = refusals(at_once(*[lambda r=r: services.claim(ready.pk, actor=r) for r in reviewers]))
    ready.refresh_from_db()
    assert late.code == Code.CONFLICT
    assert str(ready.claimed_by) in late.detail
    assert ready.reviews.count() == 1


def decided_at_once(application: Application, first: Account, second: Account) -> list[object]:
    return at_once(
        lambda: services.decide(
            application.pk, seen=seen_now(application.pk), actor=first, approve=True
        ),
        lambda: services.decide(
            application.pk, seen=seen_now(application.pk), actor=second, approve=False, reason="No."
        ),
    )


def test_two_decisions_at_once_make_one_and_the_other_learns_by_whom(ready: Application) -> None:
    services.submit(ready.pk, actor=ready.applicant, typed_name=ready.applicant.name)
    rita, sam = person("rita", Role.REVIEWER), person("sam", Role.REVIEWER)
    services.claim(ready.pk, actor=rita)
    (late,) = refusals(decided_at_once(ready, rita, sam))
    assert late.code == Code.CONFLICT
    assert rita.name in late.detail
    ready.refresh_from_db()
    assert ready.state == State.APPROVED
    assert Grant.objects.count() == 1
    assert not OutgoingMail.objects.filter(template="application_refused").exists()


def test_one_reviewer_in_two_tabs_decides_once(ready: Application) -> None:
    services.submit(ready.pk, actor=ready.applicant, typed_name=ready.applicant.name)
    rita = person("rita", Role.REVIEWER)
    services.claim(ready.pk, actor=rita)
    (late,) = refusals(decided_at_once(ready, rita, rita))
    assert late.code == Code.CONFLICT
    assert "by you" in late.detail
    ready.refresh_from_db()
    mails = OutgoingMail.objects.filter(
        template__in=["application_approved", "application_refused"]
    )
    assert mails.get().template == f"application_{ready.state}"
    assert Grant.objects.count() == (1 if ready.state == State.APPROVED else 0)


def test_a_decision_and_a_withdrawal_at_once_leave_one_of_them(ready: Application) -> None:
    bob = ready.applicant
    services.submit(ready.pk, actor=bob, typed_name=bob.name)
    rita = person("rita", Role.REVIEWER)
    services.claim(ready.pk, actor=rita)
    results = at_once(
        lambda: services.decide(ready.pk, seen=seen_now(ready.pk), actor=rita, approve=True),
        lambda: services.withdraw(ready.pk, actor=bob),
    )
    assert len(refusals(results)) == 1
    ready.refresh_from_db()
    assert (ready.state == State.APPROVED) == Grant.objects.exists()


def come_back_corrected(application: Application, rita: Account) -> str:
    """Returned, and about to be submitted again; the version that another tab of rita's still shows."""
    pk, bob = application.pk, application.applicant
    services.submit(pk, actor=bob, typed_name=bob.name)
    services.claim(pk, actor=rita)
    seen = seen_now(pk)
    services.return_for_correction(pk, seen=seen, actor=rita, message="Which corpus?")
    services.save_draft(pk, actor=bob, answers={"intended_use": "To sell the weights."})
    return seen


@pytest.mark.parametrize("_", range(3))
def test_who_submits_again_while_a_reviewer_decides_is_never_decided_on_unread(
    ready: Application, _: int
) -> None:
    rita, bob = person("rita", Role.REVIEWER), ready.applicant
    seen = come_back_corrected(ready, rita)
    results = at_once(
        lambda: services.decide(ready.pk, seen=seen, actor=rita, approve=True),
        lambda: services.submit(ready.pk, actor=bob, typed_name=bob.name),
    )
    (late,) = refusals(results)
    assert late.code in (Code.CHANGED, Code.WRONG_STATE)  # after the submission, or before it
    ready.refresh_from_db()
    assert (ready.state, Grant.objects.count()) == (State.IN_REVIEW, 0)
    services.decide(ready.pk, seen=seen_now(ready.pk), actor=rita, approve=True)


@pytest.mark.parametrize("_", range(3))
def test_a_word_of_the_applicant_and_a_decision_at_once_have_one_outcome(
    ready: Application, _: int
) -> None:
    rita, bob = person("rita", Role.REVIEWER), ready.applicant
    services.submit(ready.pk, actor=bob, typed_name=bob.name)
    services.claim(ready.pk, actor=rita)
    seen = seen_now(ready.pk)
    results = at_once(
        lambda: services.decide(ready.pk, seen=seen, actor=rita, approve=True),
        lambda: services.write(ready.pk, actor=bob, body="Wait: we sell it."),
    )
    (late,) = refusals(results)
    ready.refresh_from_db()
    if late.code == Code.CHANGED:  # the word was first
        assert (ready.state, ready.messages.count(), Grant.objects.count()) == ("in_review", 1, 0)
    else:
        assert late.code == Code.WRONG_STATE
        assert (ready.state, ready.messages.count(), Grant.objects.count()) == ("approved", 0, 1)


# ---- Erasure -------------------------------------------------------------------------------------


def due(account: Account) -> None:
    made = erasing.ask(account.pk, actor=account)
    made.due_at = timezone.now()
    made.save()


def test_two_sweeps_erase_a_person_once(ready: Application) -> None:
    bob = ready.applicant
    due(bob)
    results = at_once(lambda: erasing.erase(bob.pk), lambda: erasing.erase(bob.pk))
    assert refusals(results) == []
    assert Event.objects.filter(verb=Verb.ACCOUNT_ERASED).count() == 1
    assert OutgoingMail.objects.filter(template="erased").count() == 1


@pytest.mark.parametrize("_", range(5))
def test_a_draft_is_submitted_or_its_writer_erased_never_both(ready: Application, _: int) -> None:
    bob = ready.applicant
    due(bob)
    results = at_once(
        lambda: services.submit(ready.pk, actor=bob, typed_name=bob.name),
        lambda: erasing.erase(bob.pk),
    )
    assert len(refusals(results)) == 1
    ready.refresh_from_db()
    bob.refresh_from_db()
    if ready.state == State.SUBMITTED:
        assert ready.answers
        assert bob.erased_at is None
    else:
        assert ready.state == State.WITHDRAWN
        assert ready.answers == {}
        assert bob.erased_at


def test_an_erasure_is_taken_back_or_done_never_both(ready: Application) -> None:
    bob = ready.applicant
    due(bob)
    results = at_once(lambda: erasing.take_back(bob.pk, actor=bob), lambda: erasing.erase(bob.pk))
    assert len(refusals(results)) == 1
    bob.refresh_from_db()
    made = bob.erasures.get()
    assert (made.taken_back_at is None) == (bob.erased_at is not None)
    assert (made.done_at is None) == (bob.erased_at is None)
