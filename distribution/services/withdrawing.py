"""Out of sight, and back: a release that is withdrawn, a revision that is taken down."""

from django.db import transaction
from django.utils import timezone

from access_requests.services.acts import required_text
from distribution import selectors
from distribution.models import Revision
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.mail.services import send
from portal.refusals import Code, Refusal


def require_manager(actor: Account | None) -> None:
    """Raise the Refusal NOT_ALLOWED for a person who is no manager; None is the operator."""
    if actor is not None and not roles.is_manager(actor):
        raise Refusal(
            Code.NOT_ALLOWED,
            "Only managers publish and withdraw releases.",
            "Ask a manager of this site.",
        )


@transaction.atomic
def withdraw(release_id: int, *, actor: Account | None, reason: str) -> Release:
    """Nobody gets the release from now on; its grants, revisions and bytes stay. What is on its
    way goes on to its end. The reason is for the audit log.

    Raises the Refusals INVALID without a reason, and WRONG_STATE.
    """
    require_manager(actor)
    reason = required_text(reason, field="reason", why="A withdrawal needs a reason.")
    release = Release.objects.select_for_update().get(pk=release_id)
    if release.status == Release.Status.WITHDRAWN:
        raise Refusal(
            Code.WRONG_STATE,
            f"{release.repo_id} is withdrawn already.",
            "Restore it, or publish it again, to bring it back.",
        )
    before, release.status = release.status, Release.Status.WITHDRAWN
    release.save(update_fields=["status"])
    record(Verb.RELEASE_WITHDRAWN, release, actor=actor, before=before, reason=reason)
    return release


@transaction.atomic
def take_down(revision_id: int, *, actor: Account | None, reason: str) -> Revision:
    """Nobody gets these files from now on, under whatever name, and what we are serving of them
    stops. Whoever downloaded some of them is told the reason.

    Raises the Refusals INVALID without a reason, and WRONG_STATE.
    """
    require_manager(actor)
    reason = required_text(reason, field="reason", why="Taking files down needs a reason.")
    revision = _locked(revision_id)
    if revision.taken_down_at is not None:
        raise _already(revision, "taken down")
    revision.taken_down_at, revision.taken_down_reason = timezone.now(), reason
    revision.save(update_fields=["taken_down_at", "taken_down_reason"])
    about = {"digest": revision.digest, "reason": reason}
    record(Verb.REVISION_TAKEN_DOWN, revision.release, actor=actor, **about)
    for holder in selectors.holders_of(revision):
        send("revision_taken_down", to=holder, revision=revision, release=revision.release)
    return revision


@transaction.atomic
def restore_revision(revision_id: int, *, actor: Account | None) -> Revision:
    """A revision that was taken down can be had again. Raises the Refusal WRONG_STATE."""
    require_manager(actor)
    revision = _locked(revision_id)
    if revision.taken_down_at is None:
        raise _already(revision, "up")
    revision.taken_down_at, revision.taken_down_reason = None, ""
    revision.save(update_fields=["taken_down_at", "taken_down_reason"])
    record(Verb.REVISION_RESTORED, revision.release, actor=actor, digest=revision.digest)
    return revision


@transaction.atomic
def restore(release_id: int, *, actor: Account | None, reason: str = "") -> Release:
    """A withdrawn release can be had again, as it was. Raises the Refusal WRONG_STATE."""
    require_manager(actor)
    release = Release.objects.select_for_update().get(pk=release_id)
    if release.status != Release.Status.WITHDRAWN:
        raise Refusal(
            Code.WRONG_STATE,
            f"{release.repo_id} is not withdrawn.",
            "There is nothing to restore.",
        )
    has_weights = Revision.objects.filter(release=release, is_current=True).exists()
    release.status = Release.Status.PUBLISHED if has_weights else Release.Status.ANNOUNCED
    release.save(update_fields=["status"])
    verb = Verb.RELEASE_RESTORED if has_weights else Verb.RELEASE_ANNOUNCED
    record(verb, release, actor=actor, **({"reason": reason} if reason else {}))
    return release


def _locked(revision_id: int) -> Revision:
    revision = Revision.objects.get(pk=revision_id)
    # The release's row, as for every other act on it.
    revision.release = Release.objects.select_for_update().get(pk=revision.release_id)
    revision.refresh_from_db(fields=["taken_down_at", "taken_down_reason"])
    return revision


def _already(revision: Revision, state: str) -> Refusal:
    return Refusal(
        Code.WRONG_STATE, f"{revision} is {state} already.", "Look at its page for since when."
    )
