"""A lab: each person joins by their own hand, and has grants of their own."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from access_requests import selectors, services, versions
from access_requests.models import Application, CoApplicant, Grant, Tier
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.access_requests.people import applicant, denials, mails_to, seen_now, verbs
from tests.access_requests.test_grants import shut
from tests.access_requests.test_submit import refusal_of
from tests.people import person, signed_in

Status = CoApplicant.Status


@pytest.fixture
def bob(db: None) -> Account:
    return applicant("bob")


def token_of(email: str) -> str:
    """The token in the newest mail to that address."""
    mail = OutgoingMail.objects.filter(template="coapplicant_invited", to=email).first()
    assert mail is not None
    found = re.search(r"/applications/join/([^/\s]+)/", mail.body)
    assert found is not None
    return found[1]


def joined(application: Application, account: Account) -> CoApplicant:
    applicant_ = application.applicant
    services.invite(application.pk, actor=applicant_, email=account.email)
    return services.join(token_of(account.email), actor=account, typed_name=account.name)


def no_entry(account: Account, token: str) -> Refusal:
    return refusal_of(services.join, token, actor=account, typed_name=account.name)


# ---- Inviting and joining ------------------------------------------------------------------------


def test_who_joined_gets_a_grant_of_their_own_with_the_approval(
    submitted: Application, alice: Account, bob: Account, rita: Account, release: Release
) -> None:
    member = joined(submitted, bob)
    assert shut(bob, release).code == Code.NOT_GRANTED
    services.claim(submitted.pk, actor=rita)
    services.decide(
        submitted.pk, seen=seen_now(submitted.pk), actor=rita, approve=True, tier=Tier.TRY
    )
    grant = selectors.grant_for(bob, release)
    assert (grant.account, grant.acceptance.account, grant.tier) == (bob, bob, Tier.TRY)
    assert selectors.grant_for(alice, release) != grant
    member.refresh_from_db()
    assert (member.status, member.decided_by) == (Status.ADMITTED, rita)
    assert member.affiliation["institution"] == "University of Testing"
    assert mails_to(bob) == ["coapplicant_invited", "coapplicant_admitted"]
    assert "coapplicant_joined" in mails_to(alice)
    assert {Verb.MEMBER_INVITED, Verb.MEMBER_JOINED, Verb.MEMBER_ADMITTED} <= set(verbs(submitted))


def test_who_was_invited_and_did_not_join_gets_nothing(
    in_review: Application, alice: Account, bob: Account, rita: Account, release: Release
) -> None:
    services.invite(in_review.pk, actor=alice, email=bob.email)
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    assert not bob.grants.exists()
    assert shut(bob, release).code == Code.NOT_GRANTED


def test_a_refusal_of_the_application_gives_the_joined_nothing(
    in_review: Application, bob: Account, rita: Account
) -> None:
    joined(in_review, bob)
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=False, reason="No."
    )
    assert not bob.grants.exists()


def test_the_link_is_for_one_address_once_and_for_a_time(
    draft: Application, alice: Account, bob: Account, mallory: Account
) -> None:
    member = services.invite(draft.pk, actor=alice, email=bob.email.upper())
    token = token_of(bob.email)
    assert no_entry(mallory, token).code == Code.NOT_ALLOWED
    assert len(denials(member)) == 1
    assert no_entry(bob, token[:-1] + ("a" if token[-1] != "a" else "b")).code == (
        Code.SIGNATURE_INVALID
    )
    for broken in ("", "x", "é", "1.a~b", "x" * 300):
        assert no_entry(bob, broken).code == Code.SIGNATURE_INVALID
    CoApplicant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert no_entry(bob, token).code == Code.EXPIRED
    services.invite_again(member.pk, actor=alice)
    assert no_entry(bob, token).code == Code.EXPIRED
    newest = token_of(bob.email)
    services.join(newest, actor=bob, typed_name=bob.name)
    assert no_entry(bob, newest).code == Code.EXPIRED
    assert CoApplicant.objects.get().account == bob


def test_joining_needs_an_affiliation_and_the_right_name(
    draft: Application, alice: Account
) -> None:
    carl = person("carl")
    services.invite(draft.pk, actor=alice, email=carl.email)
    token = token_of(carl.email)
    assert no_entry(carl, token).url == f"/account/?next=/applications/join/{token}/"
    assert "/account/?next=" in signed_in(carl).get(f"/applications/join/{token}/").text
    bob = applicant("bob")
    services.invite(draft.pk, actor=alice, email=bob.email)
    wrong = refusal_of(services.join, token_of(bob.email), actor=bob, typed_name="Alice Example")
    assert "typed_name" in wrong.fields
    assert not bob.acceptances.exists()


def test_inviting_and_removing_in_turn_does_not_flood_an_address(
    submitted: Application, alice: Account
) -> None:
    client, there = signed_in(alice), f"/applications/{submitted.pk}/people/"
    for _ in range(15):
        page = client.post(there, {"email": "dean@other.test"})
        member = CoApplicant.objects.filter(application=submitted).last()
        assert member is not None
        client.post(f"/applications/people/{member.pk}/remove/")
    assert page.status_code == 422
    assert "You sent 5 mails to this address in a day." in page.text
    assert "dean@other.test" in page.text, "what was typed is still there"
    assert OutgoingMail.objects.filter(to="dean@other.test").count() == 5
    assert CoApplicant.objects.filter(email="dean@other.test").count() == 5
    assert client.post(there, {"email": "dean@third.test"}).status_code == 302


def test_only_the_applicant_invites_and_nobody_twice_or_themself(
    draft: Application, alice: Account, bob: Account, mallory: Account, rita: Account
) -> None:
    for other in (mallory, rita, bob):
        refusal = refusal_of(services.invite, draft.pk, actor=other, email="x@lab.test")
        assert refusal.code == Code.NOT_FOUND
    member = services.invite(draft.pk, actor=alice, email=bob.email)
    for address in (bob.email, alice.email, "not an address", ""):
        refusal = refusal_of(services.invite, draft.pk, actor=alice, email=address)
        assert "email" in refusal.fields
    assert refusal_of(services.invite_again, member.pk, actor=mallory).code == Code.NOT_FOUND
    for _ in range(4):
        services.invite_again(member.pk, actor=alice)
    assert refusal_of(services.invite_again, member.pk, actor=alice).code == Code.WRONG_STATE
    assert mails_to(bob).count("coapplicant_invited") == 5


def test_nobody_is_added_to_what_was_refused_or_withdrawn(
    withdrawn: Application, alice: Account
) -> None:
    refusal = refusal_of(services.invite, withdrawn.pk, actor=alice, email="x@lab.test")
    assert refusal.code == Code.WRONG_STATE


# ---- After the approval --------------------------------------------------------------------------


def test_who_joins_after_the_approval_waits_for_a_reviewer(
    approved: Application, grant: Grant, bob: Account, rita: Account, release: Release
) -> None:
    member = joined(approved, bob)
    assert shut(bob, release).code == Code.NOT_GRANTED
    services.admit(member.pk, actor=rita)
    got = selectors.grant_for(bob, release)
    assert (got.ends_at, got.tier) == (grant.ends_at, grant.tier)
    assert refusal_of(services.admit, member.pk, actor=rita).code == Code.WRONG_STATE
    assert bob.grants.count() == 1


def test_a_reviewer_may_decline_with_a_reason(
    approved: Application, bob: Account, rita: Account
) -> None:
    member = joined(approved, bob)
    assert "reason" in refusal_of(services.decline, member.pk, actor=rita, reason="").fields
    services.decline(member.pk, actor=rita, reason="Not of this lab.")
    assert not bob.grants.exists()
    assert mails_to(bob)[-1] == "coapplicant_declined"


def test_only_a_reviewer_outside_the_application_admits(
    approved: Application, alice: Account, bob: Account, mallory: Account, second_reviewer: Account
) -> None:
    member = joined(approved, bob)
    for other in (alice, bob, mallory):
        assert refusal_of(services.admit, member.pk, actor=other).code == Code.NOT_FOUND
    CoApplicant.objects.filter(pk=member.pk).update(account=second_reviewer)
    assert refusal_of(services.admit, member.pk, actor=second_reviewer).code == Code.NOT_ALLOWED
    assert not bob.grants.exists()


def test_a_co_applicant_who_reviews_does_not_decide_on_it(
    submitted: Application, second_reviewer: Account, bob: Account
) -> None:
    member = joined(submitted, bob)
    CoApplicant.objects.filter(pk=member.pk).update(account=second_reviewer)
    assert refusal_of(services.claim, submitted.pk, actor=second_reviewer).code == Code.NOT_FOUND


def test_taking_a_person_out_revokes_what_they_hold_by_it_and_nothing_else(
    in_review: Application, alice: Account, bob: Account, rita: Account, release: Release
) -> None:
    member = joined(in_review, bob)
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    services.remove(member.pk, actor=alice)
    assert shut(bob, release).code == Code.REVOKED
    assert selectors.grant_for(alice, release).account == alice
    assert mails_to(bob)[-1] == "coapplicant_removed"
    assert refusal_of(services.remove, member.pk, actor=alice).code == Code.WRONG_STATE


def test_a_grant_of_ones_own_outlives_the_lab(
    applied_by: object, in_review: Application, bob: Account, rita: Account, release: Release
) -> None:
    applied_by(bob, until="approved")  # type: ignore[operator]
    own = selectors.grant_for(bob, release)
    member = joined(in_review, bob)
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    services.remove(member.pk, actor=bob)
    assert selectors.grant_for(bob, release) == own


def test_a_lab_opens_no_door_past_a_suspension(
    applied_by: object,
    in_review: Application,
    bob: Account,
    rita: Account,
    manager: Account,
    release: Release,
) -> None:
    applied_by(bob, until="approved")  # type: ignore[operator]
    services.suspend(selectors.grant_for(bob, release).pk, actor=manager, reason="Open question.")
    joined(in_review, bob)
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    assert shut(bob, release).code == Code.SUSPENDED


def test_the_applicant_the_person_and_managers_take_out_and_nobody_else(
    submitted: Application, bob: Account, mallory: Account, rita: Account, manager: Account
) -> None:
    member = joined(submitted, bob)
    for other in (mallory, rita, applicant("carl")):
        assert refusal_of(services.remove, member.pk, actor=other).code == Code.NOT_FOUND
    services.remove(member.pk, actor=manager)
    assert CoApplicant.objects.get().status == Status.REMOVED


# ---- The pages -----------------------------------------------------------------------------------


def test_the_lab_walks_from_the_application_to_its_grants(
    submitted: Application, alice: Account, bob: Account, rita: Account
) -> None:
    browser, invited = signed_in(alice), signed_in(bob)
    people = f"/applications/{submitted.pk}/people/"
    assert people in browser.get(submitted.get_absolute_url()).text
    assert browser.post(people, {"email": "no"}).status_code == 422
    assert bob.email in browser.post(people, {"email": bob.email}, follow=True).text
    address = f"/applications/join/{token_of(bob.email)}/"
    page = invited.get(address)
    assert "Not for commerce." in page.text
    assert "negation" not in page.text, "the applicant's answers are not the invited person's"
    digest = submitted.family.licence.current.sha256
    given = {"typed_name": bob.name, "text_sha256": digest}
    assert invited.post(address, {**given, "typed_name": "No"}).status_code == 422
    mine = invited.post(address, given, follow=True).text
    assert submitted.reference in mine
    assert invited.get(submitted.get_absolute_url()).status_code == 404
    assert invited.get(people).status_code == 404
    services.claim(submitted.pk, actor=rita)
    desk = signed_in(rita).get(f"/admin/access_requests/application/{submitted.pk}/change/").text
    assert "Bob Example" in desk
    services.decide(submitted.pk, seen=seen_now(submitted.pk), actor=rita, approve=True)
    assert "Leave, and end my grants by it" in invited.get("/applications/").text
    member = CoApplicant.objects.get()
    browser.post(f"/applications/people/{member.pk}/remove/")
    member.refresh_from_db()
    assert member.status == Status.REMOVED


def test_a_reviewer_admits_from_the_list(
    approved: Application, bob: Account, rita: Account
) -> None:
    member = joined(approved, bob)
    desk = signed_in(rita)
    listed = desk.get("/admin/access_requests/coapplicant/")
    assert f"/admin/access_requests/coapplicant/{member.pk}/" in listed.text
    page = f"/admin/access_requests/coapplicant/{member.pk}/"
    assert "University of Testing" in desk.get(f"{page}change/").text
    assert desk.post(f"{page}act/decline/", {"reason": ""}).status_code == 422
    seen = versions.version_of_place(member)
    assert desk.post(f"{page}act/admit/", {"seen": seen}).status_code == 302
    assert bob.grants.count() == 1


def test_mallory_sees_nobody(submitted: Application, bob: Account, mallory: Account) -> None:
    member = joined(submitted, bob)
    services.invite(submitted.pk, actor=submitted.applicant, email="carl@lab.test")
    browser = signed_in(mallory)
    assert browser.get(f"/applications/join/{token_of('carl@lab.test')}/").status_code == 403
    assert browser.get(f"/applications/{submitted.pk}/people/").status_code == 404
    for act in ("again", "remove"):
        assert browser.post(f"/applications/people/{member.pk}/{act}/").status_code == 404
    desk = f"/admin/access_requests/coapplicant/{member.pk}/"
    assert browser.get(f"{desk}change/").status_code in (302, 404)
    assert browser.post(f"{desk}act/admit/").status_code in (302, 403, 404)
    assert CoApplicant.objects.get(pk=member.pk).status == Status.JOINED
