"""In whose name a command acts, and on what."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from distribution.models import Revision
from distribution.selectors import MAIN
from portal.accounts import roles
from portal.accounts.addresses import account_at
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Refusal


@contextmanager
def acting() -> Iterator[None]:
    """A Refusal is the one line with which the command ends."""
    try:
        yield
    except Refusal as refusal:
        raise CommandError(f"{refusal.detail} {refusal.way_out}")


def manager(email: str | None) -> Account | None:
    """The account of `--as EMAIL`; None where none was given: the operator. The service asks for
    the role; that it wants a second factor is said here.
    """
    if email is None:
        return None
    account = account_at(email)
    if account is None:
        raise CommandError(
            f"There is no account {email}. Give the e-mail address that its owner signs in with."
        )
    try:
        roles.check_second_factor(account)
    except Refusal as refusal:
        raise CommandError(f"{email}: {refusal.detail} {refusal.way_out}") from None
    return account


def release_of(repo_id: str) -> Release:
    """The release of that repo id, or an end with the names that there are."""
    release = Release.objects.filter(repo_id__iexact=repo_id).first()
    if release is None:
        names = Release.objects.order_by("repo_id").values_list("repo_id", flat=True)
        known = ", ".join(names) or "none yet"
        raise CommandError(f"There is no release {repo_id!r}. The catalogue has: {known}.")
    return release


def revision_of(release: Release, name: str) -> Revision:
    """The revision that an operator means, in whatever state: `main`, a tag, or a digest's begin."""
    revisions = Revision.objects.filter(release=release)
    found = revisions.filter(is_current=True) if name == MAIN else revisions.filter(tags__name=name)
    several = list(found or revisions.filter(digest__startswith=name)[:2])
    if len(several) != 1:
        known = ", ".join(revision.digest[:12] for revision in revisions) or "none"
        raise CommandError(f"{release.repo_id} has no one revision {name!r}; it has: {known}.")
    return several[0]
