"""Automatic rules: off until a manager says so, for the sandbox alone, and never past a doubt."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from access_requests import evidence, selectors, services, tasks
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
from tests.access_requests.evidence_files import applied, by
from tests.access_requests.people import denials, mails_to, verbs
from tests.people import signed_in

GOOD = "bob@ox.ac.uk"  # on the public list of academic domains
PAGE = "/admin/access_requests/automaticrule/"
MakeRule = Callable[..., AutomaticRule]


@pytest.fixture
def make_rule(manager: Account, family: Family) -> MakeRule:
    def make(rule: AutomaticRule | None = None, **fields: Any) -> AutomaticRule:
        given: dict[str, Any] = {
            "family": family,
            "releases": [],
            "name": "Research domains",
            "conditions": ["research_domain"],
            "grant_days": 30,
            "is_active": True,
            **fields,
        }
        return services.write_rule(rule.pk if rule else None, actor=manager, **given)

    return make


def asked(application: Application) -> Application:
    """After its submission a task asks the rules."""
    tasks.prepare_review(application.pk)
    application.refresh_from_db()
    return application


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
    services.return_for_correction(application.pk, actor=rita, message="Mend it.")
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
            services.decide(application.pk, actor=actor, approve=True, **fields)
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


# ---- Looking back ----


def test_the_preview_holds_a_rule_against_what_people_decided(
    make_rule: MakeRule, release: Release, rita: Account
) -> None:
    rule = make_rule(is_active=False)
    for name, domain, approve in (
        ("bob", "ox.ac.uk", True),
        ("carol", "ox.ac.uk", False),
        ("dan", "elsewhere.example", True),
    ):
        application = applied(by(f"{name}@{domain}"), release)
        services.claim(application.pk, actor=rita)
        services.decide(application.pk, actor=rita, approve=approve, reason="So.")
    seen = selectors.preview(rule)
    assert (len(seen.looked), len(seen.approves)) == (3, 2)
    assert (seen.people_approved, seen.people_refused) == (1, 1)
    assert seen.misses == [("Not borne out: research_domain.", 1)]
    Review.objects.filter(application=application).update(
        evidence=[{"key": "orcid", "result": "supports"}]
    )
    assert selectors.preview(rule).too_old == 1


def test_the_preview_leaves_out_what_rules_decided_and_costs_the_same_for_many(
    make_rule: MakeRule, release: Release, rita: Account, django_assert_num_queries: Any
) -> None:
    rule = make_rule()
    asked(applied(by(GOOD), release))
    assert selectors.preview(rule).looked == []
    for at in range(3):
        application = applied(by(f"p{at}@elsewhere.example"), release)
        services.claim(application.pk, actor=rita)
        services.decide(application.pk, actor=rita, approve=True)
        if at != 1:
            with django_assert_num_queries(4):  # rule's releases, applications, theirs, reviews
                fresh = AutomaticRule(pk=rule.pk, family=rule.family, conditions=rule.conditions)
                assert len(selectors.preview(fresh).looked) == at + 1


# ---- The pages ----


def test_a_manager_writes_a_rule_by_a_form_and_sees_what_it_would_have_done(
    manager: Account, release: Release, approved: Application
) -> None:
    mona = signed_in(manager)
    assert "There is no rule until you write one" in mona.get(PAGE).content.decode()
    assert mona.get(f"{PAGE}add/").status_code == 200
    data = {
        "name": "Domains",
        "family": release.family_id,
        "conditions": ["domain"],
        "grant_days": 30,
    }
    page = mona.post(f"{PAGE}add/", data, follow=True).content.decode()
    rule = AutomaticRule.objects.get()
    assert not rule.is_active, "off until the manager says otherwise"
    assert "What it would have done" in page
    assert "Looked at</dt><dd>1" in page
    answer = mona.post(f"{PAGE}{rule.pk}/act/save/", {**data, "is_active": "on"}, follow=True)
    assert "It is in force" in answer.content.decode()
    rule.refresh_from_db()
    assert rule.is_active


def test_what_is_wrong_in_the_form_stands_beside_it(manager: Account, release: Release) -> None:
    mona = signed_in(manager)
    answer = mona.post(f"{PAGE}add/", {"name": "X", "family": release.family_id})
    assert answer.status_code == 422
    assert "This field is required" in answer.content.decode()
    assert not AutomaticRule.objects.exists()


def test_a_name_that_is_taken_is_refused_in_words(
    manager: Account, release: Release, make_rule: MakeRule
) -> None:
    make_rule()
    data = {
        "name": "Research domains",
        "family": release.family_id,
        "conditions": ["domain"],
        "grant_days": 30,
    }
    answer = signed_in(manager).post(f"{PAGE}add/", data)
    assert answer.status_code == 400
    assert "Another rule has this name" in answer.content.decode()
    assert AutomaticRule.objects.count() == 1


def test_reviewers_and_strangers_see_and_change_no_rule(
    make_rule: MakeRule, rita: Account, mallory: Account
) -> None:
    rule = make_rule()
    for account in (rita, mallory):
        other = signed_in(account)
        for path in (PAGE, f"{PAGE}add/", f"{PAGE}{rule.pk}/change/"):
            assert other.get(path).status_code in (302, 403, 404), path
        assert other.post(f"{PAGE}{rule.pk}/act/save/", {"name": "Y"}).status_code in (302, 404)
    rule.refresh_from_db()
    assert rule.name == "Research domains"


def test_applicant_and_reviewers_read_that_a_rule_decided(
    make_rule: MakeRule, release: Release, rita: Account, manager: Account
) -> None:
    make_rule()
    bob = by(GOOD)
    application = asked(applied(bob, release))
    own = signed_in(bob).get(application.get_absolute_url()).content.decode()
    assert "An automatic rule approved it for the sandbox" in own
    assert "apply again with these answers" in own
    assert "Research domains" not in own
    path = f"/admin/access_requests/application/{application.pk}/change/"
    seen = signed_in(rita).get(path).content.decode()
    assert "Approved by the rule “Research domains”" in seen
    assert "No person read it" in seen
    assert "See the rule" not in seen
    assert "See the rule" in signed_in(manager).get(path).content.decode()
    apply = reverse("access_requests:apply", args=[release.family.slug])
    assert f"{apply}?from={application.pk}" in own
    again = signed_in(bob).get(f"{apply}?from={application.pk}", follow=True)
    assert again.status_code == 200
