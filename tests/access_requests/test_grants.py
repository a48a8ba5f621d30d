"""The one rule that every door asks."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone

from access_requests import selectors, services
from access_requests.models import Application, Grant, LicenceAcceptance, Tier
from access_requests.tasks import expire_grants
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.catalog.models import Licence, LicenceVersion, Release
from portal.refusals import Code, Refusal
from tests.access_requests.people import denials, mails_to, seen_now, verbs
from tests.access_requests.test_submit import refusal_of


def shut(account: Account, release: Release, tier: Tier = Tier.TRY) -> Refusal:
    return refusal_of(selectors.grant_for, account, release, tier=tier)


def new_version(
    licence: Licence, standing: str, *, days_ago: int = 0, number: int = 2, reaccept: int = 30
) -> LicenceVersion:
    return LicenceVersion.objects.create(
        licence=licence,
        number=number,
        text=f"Version {number}.",
        standing_grants=standing,
        reaccept_days=reaccept,
        published_at=timezone.now() - timedelta(days=days_ago),
    )


def test_a_grant_opens_its_release_to_its_holder_alone(
    grant: Grant, alice: Account, mallory: Account, release: Release
) -> None:
    assert selectors.grant_for(alice, release) == grant
    assert selectors.usable_grants(alice) == [grant]
    assert shut(mallory, release).code == Code.NOT_GRANTED
    assert selectors.usable_grants(mallory) == []


def test_a_grant_opens_no_other_release(
    grant: Grant, alice: Account, second_release: Release
) -> None:
    assert shut(alice, second_release).code == Code.NOT_GRANTED


def test_a_visitor_is_asked_to_sign_in(release: Release) -> None:
    refusal = refusal_of(selectors.grant_for, AnonymousUser(), release)
    assert refusal.code == Code.NOT_SIGNED_IN
    assert refusal.url == "/account/login/?next=/releases/llama-7b/"


def test_who_never_applied_is_shown_where_to_apply(alice: Account, release: Release) -> None:
    assert shut(alice, release).url == "/applications/new/llama/?release=llama-7b"


def test_who_waits_is_shown_the_application(
    submitted: Application, alice: Account, release: Release
) -> None:
    refusal = shut(alice, release)
    assert refusal.code == Code.NOT_GRANTED
    assert submitted.reference in refusal.detail
    assert refusal.url == submitted.get_absolute_url()


def test_a_revoked_grant_opens_nothing_and_says_why(
    grant: Grant, alice: Account, manager: Account, release: Release
) -> None:
    services.revoke(grant.pk, actor=manager, reason="The weights were shared.")
    refusal = shut(alice, release)
    grant.refresh_from_db()
    assert refusal.code == Code.REVOKED
    assert "The weights were shared." in refusal.detail
    assert refusal.since == grant.status_changed_at
    assert mails_to(alice)[-1] == "grant_revoked"
    assert verbs(grant)[-1] == Verb.GRANT_REVOKED


def test_a_suspended_grant_opens_nothing_until_it_is_reinstated(
    grant: Grant, alice: Account, manager: Account, release: Release
) -> None:
    services.suspend(grant.pk, actor=manager, reason="A question is open.")
    assert shut(alice, release).code == Code.SUSPENDED
    services.reinstate(grant.pk, actor=manager)
    assert selectors.grant_for(alice, release) == grant
    assert mails_to(alice)[-2:] == ["grant_suspended", "grant_reinstated"]


def test_an_ended_grant_says_since_when(grant: Grant, alice: Account, release: Release) -> None:
    ended = timezone.now() - timedelta(seconds=1)
    Grant.objects.filter(pk=grant.pk).update(ends_at=ended)
    refusal = shut(alice, release)
    assert (refusal.code, refusal.since) == (Code.EXPIRED, ended)


def test_a_grant_that_has_not_begun_opens_nothing(
    grant: Grant, alice: Account, release: Release
) -> None:
    Grant.objects.filter(pk=grant.pk).update(starts_at=timezone.now() + timedelta(days=1))
    assert shut(alice, release).code == Code.NOT_GRANTED


def test_a_withdrawn_release_is_open_to_nobody(
    grant: Grant, alice: Account, mallory: Account, release: Release
) -> None:
    release.status = Release.Status.WITHDRAWN
    release.save(update_fields=["status"])
    assert shut(alice, release).code == Code.WITHDRAWN
    assert shut(mallory, release).code == Code.WITHDRAWN


def test_a_grant_to_try_does_not_cover_the_weights(
    grant: Grant, alice: Account, release: Release
) -> None:
    Grant.objects.filter(pk=grant.pk).update(tier=Tier.TRY)
    assert selectors.grant_for(alice, release, tier=Tier.TRY) == grant
    assert shut(alice, release, Tier.WEIGHTS).code == Code.TIER_TOO_LOW


def test_the_grant_of_a_closed_account_opens_nothing(grant: Grant, alice: Account) -> None:
    Account.objects.filter(pk=alice.pk).update(is_active=False)
    fresh = Grant.objects.get(pk=grant.pk)
    assert refusal_of(selectors.check_grant, fresh, tier=Tier.TRY).code == Code.SUSPENDED


def test_an_older_open_grant_is_found_behind_a_newer_closed_one(
    grant: Grant, alice: Account, release: Release
) -> None:
    Grant.objects.create(
        account=alice,
        release=release,
        acceptance=grant.acceptance,
        status=Grant.Status.REVOKED,
        starts_at=timezone.now(),
        ends_at=grant.ends_at,
    )
    assert selectors.grant_for(alice, release) == grant


# ---- A new licence version -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("standing", "days_ago", "opens"),
    [
        ("keep", 100, True),
        ("reaccept", 29, True),
        ("reaccept", 31, False),
        ("suspend", 0, False),
        ("suspend", -1, True),
    ],
)
def test_a_new_licence_version_does_to_a_grant_what_it_says(
    grant: Grant,
    alice: Account,
    release: Release,
    licence: Licence,
    standing: str,
    days_ago: int,
    opens: bool,
) -> None:
    new_version(licence, standing, days_ago=days_ago)
    if opens:
        assert selectors.grant_for(alice, release) == grant
    else:
        refusal = shut(alice, release)
        assert refusal.code == Code.LICENCE_CHANGED
        assert refusal.url == f"/applications/grants/{grant.pk}/licence/"
        assert refusal.since is not None
        assert refusal.since <= timezone.now()


def test_a_later_version_that_keeps_does_not_undo_one_that_suspends(
    grant: Grant, alice: Account, release: Release, licence: Licence
) -> None:
    new_version(licence, "suspend", days_ago=2, number=2)
    new_version(licence, "keep", days_ago=1, number=3)
    assert shut(alice, release).code == Code.LICENCE_CHANGED


def test_a_family_under_another_licence_asks_for_acceptance(
    grant: Grant, alice: Account, release: Release
) -> None:
    other = Licence.objects.create(slug="other", name="Other")
    LicenceVersion.objects.create(licence=other, number=1, text="Other.")
    release.family.licence = other
    release.family.save(update_fields=["licence"])
    assert shut(alice, release).code == Code.LICENCE_CHANGED


def test_accepting_the_new_version_opens_all_grants_under_it(
    grant: Grant, alice: Account, release: Release, second_release: Release, licence: Licence
) -> None:
    other = Grant.objects.create(
        account=alice,
        release=second_release,
        acceptance=grant.acceptance,
        starts_at=grant.starts_at,
        ends_at=grant.ends_at,
    )
    current = new_version(licence, "suspend")
    services.accept_licence(
        grant.pk, actor=alice, typed_name=alice.name, text_sha256=current.sha256
    )
    assert selectors.grant_for(alice, release) == grant
    assert selectors.grant_for(alice, second_release) == other
    assert LicenceAcceptance.objects.get(licence_version=current).account == alice
    refusal = refusal_of(services.accept_licence, grant.pk, actor=alice, typed_name=alice.name)
    assert refusal.code == Code.WRONG_STATE


def test_a_licence_is_accepted_with_the_right_name_and_the_right_text(
    grant: Grant, alice: Account, licence: Licence
) -> None:
    new_version(licence, "suspend")
    wrong_name = refusal_of(services.accept_licence, grant.pk, actor=alice, typed_name="Mallory")
    assert "typed_name" in wrong_name.fields
    old_text = grant.acceptance.text_sha256
    old = refusal_of(
        services.accept_licence, grant.pk, actor=alice, typed_name=alice.name, text_sha256=old_text
    )
    assert old.code == Code.LICENCE_CHANGED
    grant.refresh_from_db()
    assert grant.acceptance.licence_version.number == 1


def test_nobody_accepts_for_another(grant: Grant, mallory: Account, licence: Licence) -> None:
    new_version(licence, "suspend")
    assert (
        refusal_of(services.accept_licence, grant.pk, actor=mallory, typed_name=mallory.name).code
        == Code.NOT_FOUND
    )
    assert LicenceAcceptance.objects.count() == 1
    assert len(denials(grant)) == 1


def test_a_revoked_grant_is_not_opened_by_a_signature(
    grant: Grant, alice: Account, manager: Account, licence: Licence
) -> None:
    services.revoke(grant.pk, actor=manager, reason="Shared.")
    new_version(licence, "suspend")
    assert (
        refusal_of(services.accept_licence, grant.pk, actor=alice, typed_name=alice.name).code
        == Code.REVOKED
    )


# ---- Who changes grants --------------------------------------------------------------------------


def test_only_a_manager_changes_a_grant(
    grant: Grant, alice: Account, rita: Account, mallory: Account
) -> None:
    expected = {alice: Code.NOT_ALLOWED, rita: Code.NOT_ALLOWED, mallory: Code.NOT_FOUND}
    for actor, code in expected.items():
        assert refusal_of(services.revoke, grant.pk, actor=actor, reason="x").code == code
        assert refusal_of(services.suspend, grant.pk, actor=actor, reason="x").code == code
        assert refusal_of(services.reinstate, grant.pk, actor=actor).code == code
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE
    assert [event.actor for event in denials(grant)] == [a for a in expected for _ in range(3)]


def test_a_manager_does_not_reinstate_their_own_grant(grant: Grant, manager: Account) -> None:
    Grant.objects.filter(pk=grant.pk).update(account=manager)
    services.suspend(grant.pk, actor=manager, reason="x")
    assert refusal_of(services.reinstate, grant.pk, actor=manager).code == Code.NOT_ALLOWED


@pytest.mark.parametrize("act", [services.revoke, services.suspend])
def test_closing_a_grant_needs_a_reason(grant: Grant, manager: Account, act: object) -> None:
    assert "reason" in refusal_of(act, grant.pk, actor=manager, reason=" ").fields
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE


def test_revoking_twice_says_so_and_mails_once(
    grant: Grant, alice: Account, manager: Account
) -> None:
    services.revoke(grant.pk, actor=manager, reason="Shared.")
    refusal = refusal_of(services.revoke, grant.pk, actor=manager, reason="Again.")
    assert refusal.code == Code.WRONG_STATE
    assert mails_to(alice).count("grant_revoked") == 1
    assert refusal_of(services.reinstate, grant.pk, actor=manager).code == Code.WRONG_STATE


def test_a_grant_that_does_not_exist_is_not_found(db: None, manager: Account) -> None:
    assert refusal_of(services.revoke, 999_999, actor=manager, reason="x").code == Code.NOT_FOUND


# ---- The sweep -----------------------------------------------------------------------------------


def test_the_sweep_tells_of_an_ended_grant_once_and_closes_nothing_itself(
    grant: Grant, alice: Account
) -> None:
    expire_grants()
    assert "grant_ended" not in mails_to(alice)
    Grant.objects.filter(pk=grant.pk).update(ends_at=timezone.now() - timedelta(minutes=1))
    assert services.expire_grants() == 1
    assert services.expire_grants() == 0
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE
    assert grant.expiry_recorded_at is not None
    assert mails_to(alice).count("grant_ended") == 1


# ---- The one next step ---------------------------------------------------------------------------


def published(release: Release) -> Release:
    release.status = Release.Status.PUBLISHED
    release.save(update_fields=["status"])
    return release


def test_the_next_step_of_a_visitor_is_to_sign_in(release: Release) -> None:
    step = selectors.next_step(AnonymousUser(), release)
    assert (step.code, step.url) == ("sign_in", "/account/login/?next=/releases/llama-7b/")


def test_the_next_step_of_who_has_no_affiliation_is_the_profile(
    mallory: Account, release: Release
) -> None:
    step = selectors.next_step(mallory, release)
    assert step.code == "affiliation"
    assert step.url == "/account/?next=/applications/new/llama/%3Frelease%3Dllama-7b"


def test_the_next_step_follows_the_application(
    alice: Account, rita: Account, release: Release
) -> None:
    from tests.access_requests.people import ANSWERS

    assert selectors.next_step(alice, release).code == "apply"
    application = services.start(actor=alice, releases=[release], answers=ANSWERS)
    assert selectors.next_step(alice, release).code == "continue"
    services.submit(application.pk, actor=alice, typed_name=alice.name)
    assert selectors.next_step(alice, release).code == "see_application"
    services.claim(application.pk, actor=rita)
    services.return_for_correction(
        application.pk, seen=seen_now(application.pk), actor=rita, message="m"
    )
    assert selectors.next_step(alice, release).code == "correct"
    services.submit(application.pk, actor=alice, typed_name=alice.name)
    services.decide(application.pk, seen=seen_now(application.pk), actor=rita, approve=True)
    assert selectors.next_step(alice, release).code == "wait"


def test_the_next_step_after_a_refusal_is_to_see_why(
    refused: Application, alice: Account, release: Release
) -> None:
    step = selectors.next_step(alice, release)
    assert (step.code, step.url) == ("apply_again", refused.get_absolute_url())


def test_the_next_step_with_a_closed_grant_names_the_cause(
    grant: Grant, alice: Account, manager: Account, release: Release, licence: Licence
) -> None:
    current = new_version(licence, "suspend")
    assert selectors.next_step(alice, release).code == "accept_licence"
    services.accept_licence(
        grant.pk, actor=alice, typed_name=alice.name, text_sha256=current.sha256
    )
    services.suspend(grant.pk, actor=manager, reason="Open question.")
    assert selectors.next_step(alice, release).code == "suspended"
    services.revoke(grant.pk, actor=manager, reason="Shared.")
    assert selectors.next_step(alice, release).code == "apply_again"
    release.status = Release.Status.WITHDRAWN
    release.save(update_fields=["status"])
    assert selectors.next_step(alice, release).code == "withdrawn"


def test_the_next_step_with_an_open_grant_is_what_it_covers(
    grant: Grant, alice: Account, release: Release
) -> None:
    from django.urls import reverse

    published(release)
    step = selectors.next_step(alice, release)
    assert (step.code, step.url) == ("download", reverse("distribution:files", args=["llama-7b"]))
    Grant.objects.filter(pk=grant.pk).update(tier=Tier.TRY)
    step = selectors.next_step(alice, release)
    assert (step.code, step.url) == (
        "try",
        reverse("inference_sandbox:playground") + "?release=llama-7b",
    )
