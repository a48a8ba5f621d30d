"""Automatic rules as managers, reviewers and applicants see them."""

from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.urls import reverse

from access_requests import selectors, services
from access_requests.models import (
    Application,
    AutomaticRule,
    Review,
)
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.evidence_files import GOOD, MakeRule, applied, asked, by
from tests.access_requests.people import seen_now
from tests.people import signed_in

PAGE = "/admin/access_requests/automaticrule/"


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
        services.decide(
            application.pk, seen=seen_now(application.pk), actor=rita, approve=approve, reason="So."
        )
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
        services.decide(application.pk, seen=seen_now(application.pk), actor=rita, approve=True)
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


def test_the_rule_page_says_which_checks_are_switched_off(manager: Account, settings: Any) -> None:
    off = "switched off on this site"
    assert signed_in(manager).get(f"{PAGE}add/").text.count(off) == 2
    settings.ORCID_API = "https://pub.orcid.org/v3.0"
    settings.SOCIALACCOUNT_PROVIDERS = {"orcid": {}}
    assert off not in signed_in(manager).get(f"{PAGE}add/").text


def test_a_rule_does_not_count_a_check_that_is_switched_off(
    make_rule: MakeRule, release: Release, settings: Any
) -> None:
    bob = by(GOOD)
    SocialAccount.objects.create(user=bob, provider="orcid", uid="0000-0002-1825-0097")
    make_rule(conditions=["research_domain", "orcid_sign_in"])
    application = asked(applied(bob, release))
    assert application.state == "submitted"
    services.withdraw(application.pk, actor=bob)
    settings.SOCIALACCOUNT_PROVIDERS = {"orcid": {}}
    assert asked(applied(bob, release)).state == "approved"
