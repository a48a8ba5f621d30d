"""A grant between its beginning and its end: reminders, renewal, close-out, the agreement."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from access_requests import selectors, services, versions
from access_requests.models import CloseOut, Grant, Reminder, Renewal, Tier
from access_requests.tasks import remind_holders
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.catalog.models import Licence, Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code
from tests.access_requests.people import applicant, denials, mails_to, verbs
from tests.access_requests.test_grants import new_version, shut
from tests.access_requests.test_submit import refusal_of
from tests.people import signed_in


def ending_in(grant: Grant, **time: float) -> Grant:
    grant.starts_at = timezone.now() - timedelta(days=300)
    grant.ends_at = timezone.now() + timedelta(**time)
    grant.save(update_fields=["starts_at", "ends_at"])
    return grant


def in_a_year() -> datetime:
    return timezone.now() + timedelta(days=365)


@pytest.fixture
def renewal(grant: Grant, alice: Account) -> Renewal:
    ending_in(grant, days=20)
    return services.ask_renewal(grant.pk, actor=alice, used_for="Probing.", publications="A paper.")


# ---- Reminders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days_left", "told"), [(31, None), (29, 30), (8, 30), (6.5, 7), (1.5, 7), (0.5, 1), (-1, None)]
)
def test_the_holder_is_reminded_at_30_7_and_1_days(
    grant: Grant, alice: Account, days_left: float, told: int | None
) -> None:
    ending_in(grant, days=days_left)
    remind_holders()
    remind_holders()
    assert [one.days for one in Reminder.objects.all()] == ([told] if told else [])
    assert mails_to(alice).count("grant_ends_soon") == bool(told)


def test_after_missed_runs_only_the_tightest_reminder_is_sent(grant: Grant, alice: Account) -> None:
    ending_in(grant, days=25)
    assert services.remind_holders() == 1
    ending_in(grant, hours=20)
    assert services.remind_holders() == 1
    assert services.remind_holders() == 0
    mail = OutgoingMail.objects.filter(to=alice.email, template="grant_ends_soon").first()
    assert mail is not None
    assert "in a day" in mail.subject
    assert f"/applications/grants/{grant.pk}/renew/" in mail.body


def test_a_renewed_grant_is_reminded_of_its_new_end(
    renewal: Renewal, rita: Account, alice: Account
) -> None:
    services.remind_holders()
    services.approve_renewal(renewal.pk, actor=rita, ends_at=in_a_year())
    assert services.remind_holders() == 0
    ending_in(Grant.objects.get(pk=renewal.grant_id), days=20)
    assert services.remind_holders() == 1


def test_nobody_is_reminded_of_a_grant_that_opens_nothing_or_was_short(
    grant: Grant, manager: Account, release: Release
) -> None:
    ending_in(grant, days=6)
    Grant.objects.filter(pk=grant.pk).update(starts_at=timezone.now() - timedelta(hours=1))
    assert services.remind_holders() == 0
    ending_in(grant, days=6)
    services.suspend(grant.pk, actor=manager, reason="x")
    assert services.remind_holders() == 0
    services.reinstate(grant.pk, actor=manager)
    Release.objects.filter(pk=release.pk).update(status=Release.Status.WITHDRAWN)
    assert services.remind_holders() == 0


# ---- Renewal -------------------------------------------------------------------------------------


def test_a_renewal_moves_the_end_without_a_new_application(
    renewal: Renewal, alice: Account, rita: Account, release: Release
) -> None:
    end = in_a_year()
    services.approve_renewal(renewal.pk, actor=rita, ends_at=end)
    grant = Grant.objects.get(pk=renewal.grant_id)
    assert (grant.ends_at, alice.applications.count()) == (end, 1)
    assert selectors.grant_for(alice, release, tier=Tier.WEIGHTS) == grant
    assert verbs(grant)[-2:] == [Verb.RENEWAL_ASKED, Verb.GRANT_RENEWED]
    assert mails_to(alice)[-2:] == ["renewal_asked", "renewal_approved"]
    again = refusal_of(services.approve_renewal, renewal.pk, actor=rita, ends_at=in_a_year())
    assert again.code == Code.CONFLICT
    assert mails_to(alice).count("renewal_approved") == 1


def test_a_refused_renewal_has_a_reason_and_leaves_the_grant_as_it_was(
    renewal: Renewal, alice: Account, rita: Account
) -> None:
    before = renewal.grant.ends_at
    assert (
        "reason" in refusal_of(services.refuse_renewal, renewal.pk, actor=rita, reason=" ").fields
    )
    services.refuse_renewal(renewal.pk, actor=rita, reason="No report of the derivatives.")
    assert Grant.objects.get(pk=renewal.grant_id).ends_at == before
    mail = OutgoingMail.objects.filter(to=alice.email).first()
    assert mail is not None
    assert "No report of the derivatives." in mail.body
    second = services.ask_renewal(renewal.grant_id, actor=alice, used_for="More.")
    assert second.status == Renewal.Status.OPEN


def test_a_renewal_is_decided_by_a_reviewer_who_is_not_the_holder(
    renewal: Renewal, alice: Account, mallory: Account, rita: Account
) -> None:
    decide = {"ends_at": in_a_year()}
    assert refusal_of(services.approve_renewal, renewal.pk, actor=mallory, **decide).code == (
        Code.NOT_FOUND
    )
    assert refusal_of(services.approve_renewal, renewal.pk, actor=alice, **decide).code == (
        Code.NOT_ALLOWED
    )
    Grant.objects.filter(pk=renewal.grant_id).update(account=rita)
    assert refusal_of(services.approve_renewal, renewal.pk, actor=rita, **decide).code == (
        Code.NOT_ALLOWED
    )
    assert len(denials(renewal)) == 3
    assert Renewal.objects.get().status == Renewal.Status.OPEN


def test_a_renewal_is_asked_once_by_the_holder_before_the_end(
    grant: Grant, alice: Account, mallory: Account
) -> None:
    def ask(actor: Account, text: str = "Probing.") -> Code:
        return refusal_of(services.ask_renewal, grant.pk, actor=actor, used_for=text).code

    assert ask(mallory) == Code.NOT_FOUND
    assert ask(alice, "  ") == Code.INVALID
    services.ask_renewal(grant.pk, actor=alice, used_for="Probing.")
    assert ask(alice) == Code.WRONG_STATE
    Renewal.objects.all().delete()
    ending_in(grant, days=-1)
    assert ask(alice) == Code.EXPIRED


def test_a_renewal_does_not_open_what_was_revoked_and_ends_later(
    renewal: Renewal, rita: Account, manager: Account
) -> None:
    sooner = timezone.now() + timedelta(days=3)
    refusal = refusal_of(services.approve_renewal, renewal.pk, actor=rita, ends_at=sooner)
    assert "ends_at" in refusal.fields
    services.revoke(renewal.grant_id, actor=manager, reason="Shared.")
    refusal = refusal_of(services.approve_renewal, renewal.pk, actor=rita, ends_at=in_a_year())
    assert refusal.code == Code.REVOKED


def test_a_renewal_decided_after_the_end_opens_the_grant_again(
    renewal: Renewal, rita: Account, alice: Account, release: Release
) -> None:
    Grant.objects.filter(pk=renewal.grant_id).update(ends_at=timezone.now())
    services.expire_grants()
    assert shut(alice, release).code == Code.EXPIRED
    services.approve_renewal(renewal.pk, actor=rita, ends_at=in_a_year())
    assert selectors.grant_for(alice, release).expiry_recorded_at is None


# ---- Close-out -----------------------------------------------------------------------------------


def test_a_close_out_ends_the_grant_at_once_and_keeps_the_statement(
    grant: Grant, alice: Account, release: Release, renewal: Renewal
) -> None:
    made = services.close_out(grant.pk, actor=alice, typed_name=" alice  EXAMPLE ")
    refusal = shut(alice, release)
    assert refusal.code == Code.EXPIRED
    assert "destroyed" in refusal.detail
    assert release.name in made.statement
    assert Renewal.objects.get().status == Renewal.Status.REFUSED
    assert services.expire_grants() == 0
    assert mails_to(alice)[-1] == "grant_closed_out"
    again = refusal_of(services.close_out, grant.pk, actor=alice, typed_name=alice.name)
    assert again.code == Code.WRONG_STATE
    asked = refusal_of(services.ask_renewal, grant.pk, actor=alice, used_for="More.")
    assert asked.code == Code.WRONG_STATE


def test_a_close_out_is_made_by_the_holder_under_their_name(
    grant: Grant, alice: Account, mallory: Account, rita: Account, release: Release
) -> None:
    wrong = refusal_of(services.close_out, grant.pk, actor=alice, typed_name="Bob")
    assert "typed_name" in wrong.fields
    for other in (mallory, rita):
        refusal = refusal_of(services.close_out, grant.pk, actor=other, typed_name=other.name)
        assert refusal.code == Code.NOT_FOUND
    assert not CloseOut.objects.exists()
    assert selectors.grant_for(alice, release) == grant


# ---- The pages -----------------------------------------------------------------------------------


def test_the_holder_walks_from_my_access_to_a_renewal(
    grant: Grant, alice: Account, rita: Account
) -> None:
    browser = signed_in(alice)
    address = f"/applications/grants/{grant.pk}/renew/"
    assert address in browser.get("/applications/").text
    empty = browser.post(address, {"used_for": "", "publications": "A paper on negation"})
    assert (empty.status_code, "A paper on negation" in empty.text) == (422, True)
    done = browser.post(address, {"used_for": "Probing <b>heads</b>."}, follow=True)
    assert "Renewal asked for" in done.text
    assert "You have asked already" in browser.get(address).text
    desk = signed_in(rita)
    row = Renewal.objects.get()
    assert f"/admin/access_requests/renewal/{row.pk}/" in (
        desk.get("/admin/access_requests/renewal/").text
    )
    page = desk.get(f"/admin/access_requests/renewal/{row.pk}/change/").text
    assert "Probing &lt;b&gt;heads&lt;/b&gt;." in page
    act = f"/admin/access_requests/renewal/{row.pk}/act/approve/"
    seen = {"seen": versions.version_of_renewal(row)}
    assert desk.post(act, {"ends_at": "2001-01-01", **seen}).status_code == 400
    day = in_a_year().date() + timedelta(days=40)
    assert desk.post(act, {"ends_at": day.isoformat()}).status_code == 409
    assert desk.post(act, {"ends_at": day.isoformat(), **seen}).status_code == 302
    grant.refresh_from_db()
    assert grant.ends_at.date() == day
    assert "To decide" in desk.get("/admin/access_requests/renewal/?state=all").text


def test_the_holder_walks_from_my_access_to_a_close_out(grant: Grant, alice: Account) -> None:
    browser = signed_in(alice)
    address = f"/applications/grants/{grant.pk}/close/"
    assert address in browser.get("/applications/").text
    wrong = browser.post(address, {"typed_name": "Bob", "remarks": "One tape."})
    assert (wrong.status_code, "One tape." in wrong.text) == (422, True)
    done = browser.post(address, {"typed_name": alice.name}, follow=True)
    assert done.status_code == 200
    assert address not in done.text
    assert "You closed this grant" in browser.get(address).text


def test_the_agreement_is_the_exact_text_with_digest_time_and_name(
    grant: Grant, alice: Account, licence: Licence
) -> None:
    browser = signed_in(alice)
    address = f"/applications/agreements/{grant.acceptance_id}/"
    new_version(licence, "keep")
    assert address in browser.get("/applications/").text
    page = browser.get(address).text
    assert "Not for commerce." in page
    assert "Version 2." not in page
    assert grant.acceptance.text_sha256 in page
    assert "Alice Example" in page


@pytest.mark.parametrize("page", ["renew", "close", "agreement"])
def test_nobody_sees_the_page_of_anothers_grant(
    grant: Grant, mallory: Account, rita: Account, client: object, page: str
) -> None:
    address = (
        f"/applications/agreements/{grant.acceptance_id}/"
        if page == "agreement"
        else f"/applications/grants/{grant.pk}/{page}/"
    )
    for other in (mallory, rita, applicant("bob")):
        assert signed_in(other).get(address).status_code == 404
        assert signed_in(other).post(address, {"typed_name": other.name}).status_code in (404, 405)


def test_the_list_of_renewals_is_the_reviewers_alone(
    renewal: Renewal, alice: Account, mallory: Account
) -> None:
    for other in (alice, mallory):
        browser = signed_in(other)
        for address in ("", f"{renewal.pk}/change/"):
            answer = browser.get(f"/admin/access_requests/renewal/{address}")
            assert answer.status_code in (302, 404)
        act = f"/admin/access_requests/renewal/{renewal.pk}/act/approve/"
        assert browser.post(act, {"ends_at": "2099-01-01"}).status_code in (302, 403, 404)
    assert Renewal.objects.get().status == Renewal.Status.OPEN
