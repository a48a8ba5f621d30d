"""The roles. Each is a Django group, given and taken in the admin by managers.

A token reaches them with the scope `review` alone. Outside the demo a role needs a second factor at
sign-in: until its person has set one up they do not hold it. `has_role` is the one place that says so.
"""

from enum import StrEnum
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, QuerySet, prefetch_related_objects
from django.http import HttpRequest

from portal.accounts.models import Account, Scope
from portal.refusals import Code, Refusal


class Role(StrEnum):
    REVIEWER = "Reviewers"  # decide applications
    MANAGER = "Managers"  # publish releases, revoke grants; may also review
    AUDITOR = "Auditors"  # read the audit log
    OPERATOR = "Operators"  # see whether the site runs, and nothing of what people wrote


SET_UP = "/account/2fa/"
# Recovery codes are what is left when these are lost; alone they are no second factor.
SECOND_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def make_groups(**_: Any) -> None:
    """After every migrate: the groups exist. What they may do is asked by `has_role`, not by permissions."""
    from django.contrib.auth.models import Group

    for role in Role:
        Group.objects.get_or_create(name=role.value)


def _factors(account: Any) -> "QuerySet[Authenticator]":
    return Authenticator.objects.filter(user=account, type__in=SECOND_FACTORS)


def holders(*roles: Role) -> "QuerySet[Account]":
    """Everybody who holds one of the roles now; superusers, who hold all, are not listed."""
    named = Account.objects.filter(is_active=True, groups__name__in=[role.value for role in roles])
    if settings.REQUIRE_MFA:
        named = named.filter(Exists(_factors(OuterRef("pk"))))
    return named.distinct()


def has_role(account: Account | AnonymousUser, *roles: Role) -> bool:
    """Whether the person holds one of the roles now; one query. A superuser holds all."""
    if not account.is_authenticated or not account.is_active or not account.may_act_in_role:
        return False
    if account.is_superuser:
        return _has_factor(account)
    return bool(_named(account) & {role.value for role in roles}) and _has_factor(account)


def _named(account: Account) -> set[str]:
    # A page of the admin asks sixty times. Read once for this object, which lives as long as its
    # request; giving and taking a role through it forgets what was read.
    prefetch_related_objects([account], "groups")
    return {group.name for group in account.groups.all()}


def _has_factor(account: Account) -> bool:
    """Read once for this object, as the roles are."""
    if not settings.REQUIRE_MFA:
        return True
    prefetch_related_objects([account], "authenticator_set")
    kept = account.authenticator_set.all()  # type: ignore[attr-defined]
    return any(factor.type in SECOND_FACTORS for factor in kept)


def lacks_second_factor(account: Account | AnonymousUser) -> bool:
    """Whether the person was given a role that they do not hold yet, for want of a second factor."""
    if not settings.REQUIRE_MFA or not account.is_authenticated or not account.is_active:
        return False
    return _is_given(account) and not _has_factor(account)


def _is_given(account: Account) -> bool:
    return account.is_superuser or bool(_named(account) & set(Role))


def check_token_reaches_roles(account: Account | AnonymousUser) -> None:
    """Raises Refusal SCOPE_MISSING for a token without `review` of a person who was given a role."""
    if isinstance(account, Account) and not account.may_act_in_role and _is_given(account):
        raise Refusal(
            Code.SCOPE_MISSING,
            f"Your roles reach through a token with the scope `{Scope.REVIEW}` alone.",
            "Make a token with that scope on your account page.",
            url="/account/tokens/",
        )


def check_second_factor(account: Account | AnonymousUser) -> None:
    """Raises Refusal SECOND_FACTOR_NEEDED."""
    if lacks_second_factor(account):
        raise Refusal(
            Code.SECOND_FACTOR_NEEDED,
            "Your role needs a second factor at sign-in, and you have set up none.",
            "Set up an authenticator app or a passkey on your account page; then your role is there.",
            url=SET_UP,
        )


def roles_of(account: Account | AnonymousUser) -> list[str]:
    """The roles that the person holds now, in words: ["reviewer", "auditor"]."""
    if not account.is_authenticated or not has_role(account, *Role):
        return []
    if account.is_superuser:
        return ["superuser"]
    named = _named(account)
    return [role.value.removesuffix("s").lower() for role in Role if role.value in named]


def is_reviewer(account: Account | AnonymousUser) -> bool:
    return has_role(account, Role.REVIEWER, Role.MANAGER)


def is_manager(account: Account | AnonymousUser) -> bool:
    return has_role(account, Role.MANAGER)


def is_auditor(account: Account | AnonymousUser) -> bool:
    return has_role(account, Role.AUDITOR, Role.MANAGER)


def is_operator(account: Account | AnonymousUser) -> bool:
    return has_role(account, Role.OPERATOR, Role.MANAGER)


def request_reviewer(request: HttpRequest) -> bool:
    return is_reviewer(request.user)


def request_manager(request: HttpRequest) -> bool:
    return is_manager(request.user)


def request_auditor(request: HttpRequest) -> bool:
    return is_auditor(request.user)


def request_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_superuser)


def request_operator(request: HttpRequest) -> bool:
    return is_operator(request.user)
