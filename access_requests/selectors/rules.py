"""Automatic rules: which may decide on an application, and what one would have done."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects

from access_requests.models import Application, AutomaticRule, Grant, Review, State, Tier
from access_requests.selectors.policy import approvals_needed, checklist, running_block
from access_requests.selectors.witnesses import kinds_asked
from access_requests.workflow import DECIDED_STATES
from portal.catalog.models import Release

LOOK_BACK = 100  # applications of a preview


def rules_for(application: Application) -> list[AutomaticRule]:
    """The rules in force for all of the releases that it asks for."""
    rules = AutomaticRule.objects.filter(family=application.family_id, is_active=True)
    asked = {release.pk for release in application.releases.all()}
    return [
        rule
        for rule in rules.select_related("account").prefetch_related("releases")
        if _covers(rule, asked)
    ]


def _covers(rule: AutomaticRule, asked: set[int]) -> bool:
    named = {release.pk for release in rule.releases.all()}
    return not named or asked <= named


def why_no_rule(application: Application, releases: Iterable[Release], tier: str) -> str:
    """Why no rule at all may decide on this application; empty when one may."""
    granted = list(releases)
    if tier != Tier.TRY:
        return "A rule opens the sandbox alone."
    if application.reviews.exists() or application.messages.filter(is_return=True).exists():
        return "A person has had it."
    if application.recusals.exists() or application.opinions.exists():
        return "People were asked about it."
    if application.coapplicants.exclude(status__in=["declined", "removed"]).exists():
        return "Others apply with this person."
    if kinds_asked(granted):
        return "Somebody has to vouch for it."
    if running_block(application.applicant, application.family):
        return "The person is on the block list."
    if approvals_needed(application, granted) > 1:
        return "Two people have to approve."
    if checklist(granted):
        return "There is a checklist to go through."
    if _holds_one_already(application, granted):
        return "The person holds a grant, or held one that was revoked."
    return ""


def _holds_one_already(application: Application, releases: list[Release]) -> bool:
    """A second application is for more than a rule gives, or comes after a revocation."""
    held = Grant.objects.filter(account=application.applicant_id)
    return held.filter(release__in=[release.pk for release in releases]).exists()


def evidence_misses(rule: AutomaticRule, checks: Iterable[Mapping[str, Any]]) -> str:
    """What the evidence lacks for the rule; empty when it fits."""
    results = {check["key"]: check["result"] for check in checks}
    if doubts := [key for key, result in results.items() if result == "attention"]:
        return f"A reviewer should look closer: {', '.join(doubts)}."
    missing = [key for key in rule.conditions if results.get(key) != "supports"]
    if missing or not rule.conditions:
        return f"Not borne out: {', '.join(missing)}."
    return ""


def rule_behind(application: Application) -> AutomaticRule | None:
    """The rule that approved it, where no person did."""
    if application.decided_by_id is None:
        return None
    return AutomaticRule.objects.filter(account=application.decided_by_id).first()


@dataclass(frozen=True)
class Looked:
    """One past application, and what the rule would have made of it."""

    application: Application
    misses: str  # empty: it would have approved


@dataclass(frozen=True)
class Preview:
    """What a rule would have done with the last applications that people decided on."""

    looked: list[Looked]
    too_old: int  # their evidence was kept before a check of the rule existed

    @property
    def approves(self) -> list[Looked]:
        return [one for one in self.looked if not one.misses]

    @property
    def people_approved(self) -> int:
        return self._decided[State.APPROVED]

    @property
    def people_refused(self) -> int:
        return self._decided[State.REFUSED]

    @property
    def _decided(self) -> Counter[str]:
        return Counter(one.application.state for one in self.approves)

    @property
    def misses(self) -> list[tuple[str, int]]:
        return Counter(one.misses for one in self.looked if one.misses).most_common()


def preview(rule: AutomaticRule) -> Preview:
    """By the evidence that was on screen when people decided: nothing is looked up anew."""
    with_evidence = Review.objects.exclude(evidence=[]).order_by("id")
    decided = (
        Application.objects.filter(family=rule.family_id, state__in=sorted(DECIDED_STATES))
        .exclude(decided_by__automatic_rule__isnull=False)
        .select_related("applicant", "decided_by")
        .prefetch_related("releases", Prefetch("reviews", with_evidence, to_attr="with_evidence"))
        .order_by("-decided_at", "-id")[:LOOK_BACK]
    )
    prefetch_related_objects([rule], "releases")
    looked, too_old = [], 0
    for application in decided:
        if not _covers(rule, {release.pk for release in application.releases.all()}):
            continue
        checks = _kept(application)
        if {check["key"] for check in checks} >= set(rule.conditions):
            looked.append(Looked(application, evidence_misses(rule, checks)))
        else:
            too_old += 1
    return Preview(looked, too_old)


def _kept(application: Any) -> list[dict[str, Any]]:
    reviews: list[Review] = application.with_evidence
    return reviews[-1].evidence if reviews else []
