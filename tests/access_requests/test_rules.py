"""Automatic rules: off until a manager says so, for the sandbox alone, and never past a doubt."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access_requests import evidence, selectors, services
from access_requests.models import (
    Application,
    AutomaticRule,
    DecisionPolicy,
    Grant,
    Review,
    State,
    Tier,
)
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.access_requests.conftest import another_release
from tests.access_requests.evidence_files import GOOD, MakeRule, applied, asked, by
from tests.access_requests.people import denials, mails_to, seen_now, verbs

# ---- What a rule does ----


def test_a_rule_approves_for_the_sandbox_with_the_evidence_and_its_mark(
    make_rule: MakeRule, release: Release
) -> None:
    rule = make_rule()
    bob = by(GOOD)
    application = asked(applied(bob, release))
    assert application.state == State.APPROVED
    assert application.decided_by == rule.account
    assert str(application.decided_by) == "the rule “Research domains”"
    grant = application.grants.get()
    assert (grant.tier, grant.status) == (Tier.TRY, Grant.Status.ACTIVE)
    assert timedelta(days=29) < grant.ends_at - timezone.now() <= timedelta(days=30)
    review = application.reviews.get()
    assert (review.outcome, review.reviewer) == (Review.Outcome.APPROVED, rule.account)
    kept = {check["key"]: check["result"] for check in review.evidence}
    assert kept["research_domain"] == "supports"
    assert kept.keys() == {check.key for check in evidence.gather(application)}
    event = Event.objects.get(verb=Verb.APPLICATION_APPROVED)
    assert (event.actor, event.data["rule"], event.data["tier"]) == (rule.account, rule.pk, "try")
    assert mails_to(bob) == ["application_submitted", "application_approved"]
    assert "automatic rule" in OutgoingMail.objects.get(template="application_approved").body


def test_asking_twice_decides_once(make_rule: MakeRule, release: Release) -> None:
    make_rule()
    application = asked(applied(by(GOOD), release))
    Application.objects.update(prepared_at=None)
    asked(application)
    assert services.apply_rules(application.pk) is False
    assert verbs(application).count("application.approved") == 1
    assert application.grants.count() == 1


def test_nothing_happens_without_a_rule_or_with_one_that_is_off(
    make_rule: MakeRule, release: Release
) -> None:
    make_rule(is_active=False)
    application = asked(applied(by(GOOD), release))
    assert (application.state, application.reviews.count()) == (State.SUBMITTED, 0)


def test_reviewers_read_why_a_rule_left_it_to_people_and_the_applicant_does_not(
    make_rule: MakeRule, release: Release, rita: Account, client: Client
) -> None:
    make_rule(conditions=["research_domain", "orcid_sign_in"])
    application = asked(applied(by(GOOD), release))
    why = "The automatic rule “Research domains” left it to people. Not borne out: orcid_sign_in."
    client.force_login(rita)
    page = client.get(f"/admin/access_requests/application/{application.pk}/change/")
    assert why in page.content.decode()
    client.force_login(application.applicant)
    for address in (f"/applications/{application.pk}/", f"/api/v1/applications/{application.pk}/"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "left it to people" not in answer.content.decode()
        assert "Not borne out" not in answer.content.decode()


def test_a_rule_that_does_not_fit_leaves_no_trace(make_rule: MakeRule, release: Release) -> None:
    make_rule(conditions=["research_domain", "orcid_sign_in"])
    bob = by(GOOD)
    application = asked(applied(bob, release))
    assert application.state == State.SUBMITTED
    assert not application.reviews.exists()
    assert denials(application) == []
    assert mails_to(bob) == ["application_submitted"]


def test_of_two_rules_the_one_that_fits_decides(make_rule: MakeRule, release: Release) -> None:
    make_rule(name="A first", conditions=["orcid_sign_in"])
    second = make_rule(name="B second")
    assert asked(applied(by(GOOD), release)).decided_by == second.account


# ---- Where a person decides all the same ----


@pytest.mark.parametrize(
    ("address", "affiliation"),
    [
        ("bob@elsewhere.example", {}),
        (GOOD, {"web_page": "https://other.example/"}),
        (GOOD, {"orcid": "0000-0002-1825-0098"}),
    ],
)
def test_no_rule_decides_without_its_evidence_or_past_a_doubt(
    make_rule: MakeRule, release: Release, address: str, affiliation: dict[str, str]
) -> None:
    make_rule()
    assert asked(applied(by(address, **affiliation), release)).state == State.SUBMITTED


def test_no_rule_decides_for_more_releases_than_it_names(
    make_rule: MakeRule, release: Release, second_release: Release
) -> None:
    make_rule(releases=[release])
    bob = by(GOOD)
    application = services.start(
        actor=bob,
        releases=[release, second_release],
        answers={"research_purpose": "x", "intended_use": "y", "sharing": "outputs"},
    )
    services.submit(application.pk, actor=bob, typed_name=bob.name)
    assert asked(application).state == State.SUBMITTED
    assert asked(applied(by("carol@ox.ac.uk"), release)).state == State.APPROVED


def test_no_rule_decides_where_two_approve_or_a_checklist_is_asked_for(
    make_rule: MakeRule, release: Release
) -> None:
    make_rule()
    policy = DecisionPolicy.objects.create(release=release, approvals=2)
    assert asked(applied(by(GOOD), release)).state == State.SUBMITTED
    policy.approvals, policy.checklist = 1, "Read the plan"
    policy.save()
    assert asked(applied(by("carol@ox.ac.uk"), release)).state == State.SUBMITTED


@pytest.mark.parametrize("kind", ["asks_official", "asks_referee"])
def test_no_rule_decides_where_somebody_has_to_vouch(
    make_rule: MakeRule, release: Release, kind: str
) -> None:
    make_rule()
    waiting = applied(by(GOOD), release)
    policy = DecisionPolicy.objects.create(release=release, **{kind: True})
    assert asked(waiting).state == State.SUBMITTED
    policy.delete()
    assert asked(applied(by("carol@ox.ac.uk"), release)).state == State.APPROVED


def test_no_rule_decides_on_who_is_blocked_meanwhile(
    make_rule: MakeRule, release: Release, manager: Account
) -> None:
    make_rule()
    bob = by(GOOD)
    application = applied(bob, release)
    services.block(
        actor=manager, family=release.family, account=bob, domain="", reason="x", ends_at=None
    )
    assert asked(application).state == State.SUBMITTED


def test_no_rule_decides_where_others_apply_too(make_rule: MakeRule, release: Release) -> None:
    make_rule()
    bob = by(GOOD)
    application = applied(bob, release)
    services.invite(application.pk, actor=bob, email="carol@lab.test")
    assert asked(application).state == State.SUBMITTED


def test_no_rule_decides_what_a_person_holds_or_had(
    make_rule: MakeRule, release: Release, rita: Account
) -> None:
    make_rule()
    bob = by(GOOD)
    application = applied(bob, release)
    services.claim(application.pk, actor=rita)
    assert asked(application).state == State.IN_REVIEW
    services.release(application.pk, actor=rita)
    assert services.apply_rules(application.pk) is False
    services.claim(application.pk, actor=rita)
    services.return_for_correction(
        application.pk, seen=seen_now(application.pk), actor=rita, message="Mend it."
    )
    services.release(application.pk, actor=rita)
    services.submit(application.pk, actor=bob, typed_name=bob.name)
    assert asked(application).state == State.SUBMITTED


def test_a_second_application_is_a_reviewers(
    make_rule: MakeRule, release: Release, manager: Account
) -> None:
    make_rule()
    bob = by(GOOD)
    first = asked(applied(bob, release))
    assert asked(applied(bob, release)).state == State.SUBMITTED
    assert first.grants.get().tier == Tier.TRY
    services.revoke(first.grants.get().pk, actor=manager, reason="Shared.")
    carol_like = Application.objects.filter(applicant=bob, state=State.SUBMITTED).get()
    assert services.apply_rules(carol_like.pk) is False


def test_a_rule_never_gives_weights_and_nobody_decides_as_one(
    make_rule: MakeRule, release: Release, rita: Account, manager: Account
) -> None:
    rule, other = make_rule(), make_rule(name="Another", is_active=False)
    application = applied(by(GOOD), release)

    def decide(actor: Account, **fields: Any) -> Code:
        with pytest.raises(Refusal) as refused:
            services.decide(
                application.pk, seen=seen_now(application.pk), actor=actor, approve=True, **fields
            )
        return refused.value.code

    assert decide(rule.account, rule=rule, tier=Tier.WEIGHTS) == Code.NOT_ALLOWED
    assert decide(other.account, rule=rule, tier=Tier.TRY) == Code.NOT_ALLOWED
    assert decide(other.account, rule=other, tier=Tier.TRY) == Code.NOT_ALLOWED
    assert decide(rule.account) == Code.NOT_ALLOWED
    for reader in (rita, manager):
        assert decide(reader, rule=rule, tier=Tier.TRY) == Code.NOT_ALLOWED
    application.refresh_from_db()
    assert (application.state, application.reviews.count()) == (State.SUBMITTED, 0)


def test_the_account_of_a_rule_cannot_be_signed_in_with_or_reviewed_by(
    make_rule: MakeRule, submitted: Application
) -> None:
    account = make_rule().account
    assert not account.is_active
    assert not account.has_usable_password()
    assert account not in selectors.colleagues()


# ---- Writing rules ----


def test_only_a_manager_writes_one_and_the_log_has_what_it_asks_for(
    make_rule: MakeRule, rita: Account, family: Family
) -> None:
    rule = make_rule(is_active=False)
    make_rule(rule, name="Renamed", conditions=["orcid_record"])
    rule.refresh_from_db()
    rule.account.refresh_from_db()
    assert rule.account.name == "the rule “Renamed”"
    events = Event.objects.filter(verb=Verb.RULE_CHANGED).order_by("id")
    assert [(one.data["conditions"], one.data["in_force"]) for one in events] == [
        (["research_domain"], False),
        (["orcid_record"], True),
    ]
    with pytest.raises(Refusal) as refused:
        services.write_rule(
            rule.pk,
            actor=rita,
            family=family,
            releases=[],
            name="Mine",
            conditions=["domain"],
            grant_days=9,
            is_active=True,
        )
    assert refused.value.code == Code.NOT_ALLOWED


@pytest.mark.parametrize("conditions", [[], ["listed"], ["research_domain", "made_up"]])
def test_a_rule_needs_conditions_that_a_check_can_bear_out(
    make_rule: MakeRule, conditions: list[str]
) -> None:
    with pytest.raises(Refusal) as refused:
        make_rule(conditions=conditions)
    assert refused.value.fields.keys() == {"conditions"}
    assert not AutomaticRule.objects.exists()
    assert not Account.objects.filter(email__endswith=".invalid").exists()


def test_the_releases_of_a_rule_are_of_its_family(make_rule: MakeRule, release: Release) -> None:
    other = Family.objects.create(
        slug="other", name="Other", publisher="meta", licence=release.family.licence
    )
    foreign = another_release(release, "70b", family=other)
    with pytest.raises(Refusal) as refused:
        make_rule(releases=[foreign])
    assert refused.value.fields.keys() == {"releases"}
