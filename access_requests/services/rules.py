"""Automatic rules: written by managers, asked after each submission, deciding by `decide` alone."""

import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from access_requests import evidence, selectors
from access_requests.models import Application, AutomaticRule, State, Tier
from access_requests.services.acts import act_of_manager
from access_requests.services.deciding import read_now
from access_requests.services.reviewing import decide
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Family, Release
from portal.refusals import Code, Refusal


@transaction.atomic
def write_rule(
    rule_id: int | None,
    *,
    actor: Account,
    family: Family,
    releases: Iterable[Release],
    name: str,
    conditions: Iterable[str],
    grant_days: int,
    is_active: bool,
) -> AutomaticRule:
    """Make a rule, or change one; its family stays. Raises Refusal NOT_ALLOWED or INVALID."""
    act_of_manager(actor)
    chosen, keys = list(releases), list(conditions)
    _check_sound(family, chosen, keys)
    if AutomaticRule.objects.filter(name=name.strip()).exclude(pk=rule_id or 0).exists():
        text = "Another rule has this name."
        raise Refusal(Code.INVALID, text, "Choose another name.", fields={"name": [text]})
    if rule_id is None:
        rule = AutomaticRule(family=family, account=_account())
    else:
        rule = AutomaticRule.objects.select_for_update().get(pk=rule_id)
    rule.name, rule.conditions = name.strip(), keys
    rule.grant_days, rule.is_active = grant_days, is_active
    rule.save()
    rule.releases.set(chosen)
    # Its account bears its name, so that it stands wherever a reviewer's would.
    Account.objects.filter(pk=rule.account_id).update(name=f"the rule “{rule.name}”")
    record(
        Verb.RULE_CHANGED,
        rule,
        actor=actor,
        family=family.slug,
        releases=[release.repo_id for release in chosen],
        conditions=keys,
        grant_days=grant_days,
        in_force=is_active,
    )
    return rule


def _check_sound(family: Family, releases: list[Release], keys: list[str]) -> None:
    problems: dict[str, list[str]] = {}
    if not keys or set(keys) - evidence.CONDITIONS.keys():
        problems["conditions"] = ["Choose at least one of the checks."]
    if any(release.family_id != family.pk for release in releases):
        problems["releases"] = ["Choose releases of the rule's own family."]
    if problems:
        text = " ".join(line for lines in problems.values() for line in lines)
        raise Refusal(Code.INVALID, text, "Mend the rule and save it again.", fields=problems)


def _account() -> Account:
    """An account that nobody can sign in with, or get mail at."""
    address = f"rule-{secrets.token_hex(16)}@weighbridge.invalid"
    return Account.objects.create_user(address, None, name="a rule", is_active=False)


def apply_rules(application_id: int) -> bool:
    """Let the first rule that fits approve the application. Whether one did.

    Where a rule may not decide, or its evidence is not there, a reviewer does as ever and reads why:
    a rule's refusal says nothing against the applicant, who is not told of it.
    """
    application = Application.objects.filter(pk=application_id, state=State.SUBMITTED).first()
    if application is None:
        return False
    left = []
    rules = selectors.rules_for(application)
    seen = read_now(application_id) if rules else None
    for rule in rules:
        assert seen is not None
        try:
            decide(
                application_id,
                actor=rule.account,
                seen=seen,
                approve=True,
                tier=Tier.TRY,
                ends_at=timezone.now() + timedelta(days=rule.grant_days),
                rule=rule,
            )
        except Refusal as refusal:
            left.append([rule.name, refusal.detail])
            continue
        return True
    Application.objects.filter(pk=application_id).update(left_by_rules=left)
    return False
