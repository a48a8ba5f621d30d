"""The roles. Each is a Django group, so that an operator gives and takes them in the admin."""

from enum import StrEnum
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import prefetch_related_objects
from django.http import HttpRequest

from portal.accounts.models import Account


class Role(StrEnum):
    REVIEWER = "Reviewers"  # decide applications
    MANAGER = "Managers"  # publish releases, revoke grants; may also review
    AUDITOR = "Auditors"  # read the audit log


def make_groups(**_: Any) -> None:
    """After every migrate: the groups exist. What they may do is asked by `has_role`, not by permissions."""
    from django.contrib.auth.models import Group

    for role in Role:
        Group.objects.get_or_create(name=role.value)


def has_role(account: Account | AnonymousUser, *roles: Role) -> bool:
    """Whether the person holds one of the roles. A superuser holds all."""
    if not account.is_authenticated or not account.is_active:
        return False
    if account.is_superuser:
        return True
    # A page of the admin asks sixty times. Read once for this object, which lives as long as its
    # request; giving and taking a role through it forgets what was read.
    prefetch_related_objects([account], "groups")
    return bool({group.name for group in account.groups.all()} & {role.value for role in roles})


def is_reviewer(account: Account | AnonymousUser) -> bool:
    return has_role(account, Role.REVIEWER, Role.MANAGER)


def is_manager(account: Account | AnonymousUser) -> bool:
    return has_role(account, Role.MANAGER)


def is_auditor(account: Account | AnonymousUser) -> bool:
    return has_role(account, Role.AUDITOR, Role.MANAGER)


def request_reviewer(request: HttpRequest) -> bool:
    return is_reviewer(request.user)


def request_manager(request: HttpRequest) -> bool:
    return is_manager(request.user)


def request_auditor(request: HttpRequest) -> bool:
    return is_auditor(request.user)
