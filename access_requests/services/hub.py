"""What the hub's API for access requests asks for, done with the acts that the desk has.

accept = claim and approve; reject = claim and refuse, or revoke; cancel = suspend until somebody accepts or rejects.

The clients of the hub cannot send the version that a decision is about: their protocol has no field for it, and its
lists show no evidence. So these acts decide on what is there when the call comes, and what changes during the call
refuses them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from access_requests import selectors
from access_requests.models import Application, Grant, State, Tier
from access_requests.services.acts import Denial, locked, recorded
from access_requests.services.deciding import read_now
from access_requests.services.granting import reinstate, revoke, suspend
from access_requests.services.reviewing import claim, decide
from portal.accounts import roles
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

SET_BACK = "Your request for this release was set back to pending; it is looked at again."


@dataclass(frozen=True)
class Outcome:
    """What became of the request, and what the caller may not expect of it."""

    status: selectors.HubStatus
    warning: str = ""


def only_for_reviewers(release: Release, *, actor: Account) -> None:
    """Raises Refusal NOT_ALLOWED, which is an event."""
    with recorded(release, "hub", actor=actor):
        if not roles.is_reviewer(actor):
            raise Denial(
                Code.NOT_ALLOWED,
                "Access requests are for this site's reviewers and managers.",
                "If you are one of them, ask a manager for the role.",
            )


def accept_request(account: Account, release: Release, *, actor: Account) -> Outcome:
    """Approve the person's waiting application for this release, or lift what `set_back` did.

    Raises Refusal NOT_FOUND (no request, or accepted already), WRONG_STATE, and all that `claim`, `decide` and
    `reinstate` raise.
    """
    if application := selectors.waiting_application(account, release):
        _not_withdrawn(release)
        return _approve(application, release, actor=actor)
    if grants := list(selectors.grants_set_back(account, release)):
        _not_withdrawn(release)
        _each(grants, lambda pk: reinstate(pk, actor=actor), actor=actor)
        return Outcome("accepted")
    if selectors.open_grants(account, release).exists():
        raise _already(account, release, "accepted")
    raise _none_waits(account, release)


def _approve(application: Application, release: Release, *, actor: Account) -> Outcome:
    others = _others(application, release)
    seen = read_now(application.pk)
    with recorded(application, "accept", actor=actor):
        _claimed(application.pk, actor=actor)
        first = selectors.last_endorsement(application)
        # Of two approvals the second gives what the first gave, for the client has no words for it.
        tier = Tier(first.terms["tier"]) if first else Tier.WEIGHTS
        decided = decide(
            application.pk, actor=actor, seen=seen, approve=True, releases=[release], tier=tier
        )
    if decided.state != State.APPROVED:
        return Outcome(
            "pending",
            f"{decided.reference} needs two approvals and this was the first: it stays pending "
            "until another reviewer approves it.",
        )
    if others:
        return Outcome(
            "accepted",
            f"{decided.reference} also asked for {', '.join(others)}; it was decided for "
            f"{release.repo_id} alone.",
        )
    return Outcome("accepted")


def reject_request(account: Account, release: Release, *, actor: Account, reason: str) -> Outcome:
    """Refuse the person's waiting application, or else end the grants that they hold.

    Raises Refusal INVALID (no reason), WRONG_STATE (the application asks for other releases too), NOT_FOUND, and all
    that `claim`, `decide` and `revoke` raise.
    """
    application = selectors.waiting_application(account, release)
    grants = [
        *selectors.open_grants(account, release),
        *selectors.grants_set_back(account, release),
    ]
    if application is None and not grants:
        if selectors.rejected_request(account, release):
            raise _already(account, release, "rejected")
        raise _none_waits(account, release)
    _reason(reason)
    if application is None:
        _each(grants, lambda pk: revoke(pk, actor=actor, reason=reason), actor=actor)
        return Outcome("rejected")
    return _refuse(application, release, bool(grants), actor=actor, reason=reason)


def _refuse(
    application: Application, release: Release, keeps_access: bool, *, actor: Account, reason: str
) -> Outcome:
    seen = read_now(application.pk)
    with recorded(application, "reject", actor=actor):
        _claimed(application.pk, actor=actor)
        if others := _others(application, release):
            raise Refusal(
                Code.WRONG_STATE,
                f"{application.reference} asks for {', '.join(others)} too, and a refusal would "
                "refuse all of it.",
                "Decide it on its page, or accept the releases that you mean.",
                url=application.get_absolute_url(),
            )
        decide(application.pk, actor=actor, seen=seen, approve=False, reason=reason)
    warning = "They hold a grant from before; cancel or reject once more to end it."
    return Outcome("rejected", warning if keeps_access else "")


def set_back(account: Account, release: Release, *, actor: Account) -> Outcome:
    """Take access away until somebody accepts or rejects the request anew: the grants are suspended.

    Managers only, as each suspension is. Raises Refusal NOT_FOUND (pending already, no request), WRONG_STATE (refused:
    only the applicant's appeal reopens that).
    """
    if grants := list(selectors.open_grants(account, release)):
        _each(grants, lambda pk: _set_back(pk, actor=actor), actor=actor)
        return Outcome("pending")
    waits = selectors.waiting_application(account, release)
    if waits or selectors.grants_set_back(account, release).exists():
        raise _already(account, release, "pending")
    if found := selectors.rejected_request(account, release):
        raise _was_rejected(found, "set back to pending")
    raise _none_waits(account, release)


def _set_back(grant_id: int, *, actor: Account) -> Grant:
    return suspend(grant_id, actor=actor, reason=SET_BACK, pending_again=True)


def grant_access(account: Account, release: Release, *, actor: Account) -> Outcome:
    """Accept what waits. Nobody gets a grant without an application and an accepted licence.

    Raises Refusal INVALID (has access already), WRONG_STATE (did not apply), and all that `accept_request` raises.
    """
    waits = selectors.waiting_application(account, release)
    if waits or selectors.grants_set_back(account, release).exists():
        return accept_request(account, release, actor=actor)
    if selectors.open_grants(account, release).exists():
        raise Refusal(
            Code.INVALID,
            f"{account.handle} has access to {release.repo_id} already.",
            "Nothing is left to do.",
        )
    if selectors.rejected_request(account, release) or _returned_or_suspended(account, release):
        raise _none_waits(account, release)
    raise Refusal(
        Code.WRONG_STATE,
        f"{account.handle} did not apply for {release.repo_id}, and nobody gets a grant here "
        "without an application and a licence that they accepted.",
        "Send them the release's page; accept the request once it is in the pending list.",
        url=release.get_absolute_url(),
    )


def _claimed(application_id: int, *, actor: Account) -> None:
    """Claimed by the actor, inside the caller's transaction. Raises what `claim` raises."""
    if locked(application_id).claimed_by_id != actor.pk:
        claim(application_id, actor=actor)


def _each(grants: Iterable[Grant], one: Callable[[int], Grant], *, actor: Account) -> None:
    """All of a person's grants for a release or none; a denial outlives the rollback."""
    chosen = list(grants)
    with recorded(chosen[0], "hub", actor=actor):
        for grant in chosen:
            one(grant.pk)


def _others(application: Application, release: Release) -> list[str]:
    asked = application.releases.exclude(pk=release.pk).order_by("repo_id")
    return list(asked.values_list("repo_id", flat=True))


def _not_withdrawn(release: Release) -> None:
    """As the hub answers for a repo that takes no requests."""
    if release.status == Release.Status.WITHDRAWN:
        raise Refusal(
            Code.INVALID,
            f"{release.repo_id} was withdrawn by its publisher: it is not gated but closed.",
            "Reject the request with that reason.",
        )


def _reason(text: str) -> None:
    if not text.strip():
        why = "A refusal needs a reason, told to the applicant."
        raise Refusal(
            Code.INVALID,
            why,
            "Pass it as `rejection_reason` (in JSON `rejectionReason`).",
            fields={"rejectionReason": [why]},
        )


def _already(account: Account, release: Release, status: str) -> Refusal:
    return Refusal(
        Code.NOT_FOUND,
        f"The request of {account.handle} for {release.repo_id} is in the {status} list already.",
        "Nothing is left to do.",
    )


def _none_waits(account: Account, release: Release) -> Refusal:
    """Why there is nothing to accept, reject or cancel."""
    if application := selectors.returned_application(account, release):
        return Refusal(
            Code.WRONG_STATE,
            f"{application.reference} was returned to {account.handle} for correction.",
            "It is pending again once they submit it.",
            url=application.get_absolute_url(),
        )
    if _suspended(account, release):
        return Refusal(
            Code.WRONG_STATE,
            f"The grant of {account.handle} for {release.repo_id} was suspended by a manager.",
            "A manager reinstates or revokes it on the grant's page.",
        )
    if found := selectors.rejected_request(account, release):
        return _was_rejected(found, "accepted")
    return Refusal(
        Code.NOT_FOUND,
        f"{account.handle} has no request for {release.repo_id}.",
        "The pending list shows what waits.",
    )


def _was_rejected(found: selectors.AccessRequest, what: str) -> Refusal:
    done = f"The grant from {found.request_id} was revoked" if found.grant else None
    return Refusal(
        Code.WRONG_STATE,
        f"{done or f'{found.request_id} was refused'}; that decision stands and cannot be {what}.",
        "They can apply again."
        if found.grant
        else "They can appeal, once, to another reviewer, or apply again.",
        url=found.application.get_absolute_url(),
    )


def _returned_or_suspended(account: Account, release: Release) -> bool:
    return selectors.returned_application(account, release) is not None or _suspended(
        account, release
    )


def _suspended(account: Account, release: Release) -> bool:
    return Grant.objects.filter(
        account=account, release=release, status=Grant.Status.SUSPENDED
    ).exists()
