"""What may become of an application and of a grant, and by whom. Two tables, no side effects."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.db import models


class State(models.TextChoices):
    DRAFT = "draft", "Draft"
    SUBMITTED = "submitted", "Waiting for a reviewer"
    RETURNED = "returned", "Returned for correction"
    IN_REVIEW = "in_review", "In review"
    APPROVED = "approved", "Approved"
    REFUSED = "refused", "Refused"
    WITHDRAWN = "withdrawn", "Withdrawn"
    APPEALED = "appealed", "Appeal waiting for another reviewer"
    IN_APPEAL = "in_appeal", "Appeal in review"


APPEAL_STATES = frozenset({State.APPEALED, State.IN_APPEAL})
UNCLAIMED_STATES = frozenset({State.SUBMITTED, State.APPEALED})
QUEUE_STATES = frozenset({State.SUBMITTED, State.IN_REVIEW}) | APPEAL_STATES
AWAITED_IN = QUEUE_STATES | {State.RETURNED}  # what others are asked for still counts
OPEN_STATES = frozenset({State.DRAFT, State.RETURNED}) | QUEUE_STATES
DECIDED_STATES = frozenset({State.APPROVED, State.REFUSED})
EDITABLE_STATES = frozenset({State.DRAFT, State.RETURNED})


class Action(StrEnum):
    SAVE = "save"
    SUBMIT = "submit"
    WITHDRAW = "withdraw"
    CLAIM = "claim"
    RELEASE = "release"  # give a claim back
    RETURN = "return"  # for correction
    APPROVE = "approve"
    REFUSE = "refuse"
    ENDORSE = "endorse"  # the first of two approvals
    APPEAL = "appeal"  # against a refusal, once
    WRITE = "write"  # a message to the other side
    ASSIGN = "assign"  # the claim to a named reviewer
    APPROVE_BY_RULE = "approve_by_rule"  # an automatic rule, for the sandbox
    ASK = "ask"  # a colleague for a review or a second decision
    RECUSE = "recuse"  # for a conflict of interest


class Role(StrEnum):
    """What a person is to one application. The applicant is never anything else."""

    APPLICANT = "applicant"
    CLAIMANT = "claimant"  # the reviewer who claimed it
    REVIEWER = "reviewer"  # another reviewer
    MANAGER = "manager"  # another manager
    BARRED = "barred"  # a reviewer with a conflict of interest, or where another has to decide
    RULE = "rule"  # the account of an automatic rule, with which nobody signs in
    STRANGER = "stranger"


@dataclass(frozen=True)
class Transition:
    """Where an action leads, and who may take it.

    `unclaimed`: where it leads when nobody holds the claim.
    """

    to: State
    who: frozenset[Role]
    unclaimed: State | None = None


APPLICANT = frozenset({Role.APPLICANT})
CLAIMANT = frozenset({Role.CLAIMANT})
CLAIMANT_OR_MANAGER = frozenset({Role.CLAIMANT, Role.MANAGER})
ANY_REVIEWER = frozenset({Role.REVIEWER, Role.MANAGER})
THE_DESK = ANY_REVIEWER | CLAIMANT
MANAGER = frozenset({Role.MANAGER})
RULE = frozenset({Role.RULE})

TRANSITIONS: Mapping[tuple[State, Action], Transition] = {
    (State.DRAFT, Action.SAVE): Transition(State.DRAFT, APPLICANT),
    (State.DRAFT, Action.SUBMIT): Transition(State.SUBMITTED, APPLICANT),
    (State.DRAFT, Action.WITHDRAW): Transition(State.WITHDRAWN, APPLICANT),
    (State.SUBMITTED, Action.WITHDRAW): Transition(State.WITHDRAWN, APPLICANT),
    (State.SUBMITTED, Action.CLAIM): Transition(State.IN_REVIEW, ANY_REVIEWER),
    (State.IN_REVIEW, Action.WITHDRAW): Transition(State.WITHDRAWN, APPLICANT),
    (State.IN_REVIEW, Action.RELEASE): Transition(State.SUBMITTED, CLAIMANT_OR_MANAGER),
    (State.IN_REVIEW, Action.RETURN): Transition(State.RETURNED, CLAIMANT),
    (State.IN_REVIEW, Action.APPROVE): Transition(State.APPROVED, CLAIMANT),
    (State.IN_REVIEW, Action.REFUSE): Transition(State.REFUSED, CLAIMANT),
    (State.SUBMITTED, Action.APPROVE_BY_RULE): Transition(State.APPROVED, RULE),
    (State.RETURNED, Action.SAVE): Transition(State.RETURNED, APPLICANT),
    # The reviewer who asked for the correction keeps the case, unless it was given back meanwhile.
    (State.RETURNED, Action.SUBMIT): Transition(State.IN_REVIEW, APPLICANT, State.SUBMITTED),
    (State.RETURNED, Action.WITHDRAW): Transition(State.WITHDRAWN, APPLICANT),
    (State.RETURNED, Action.RELEASE): Transition(State.RETURNED, CLAIMANT_OR_MANAGER),
    # Two approvals: the first sends it back to the queue, where its giver cannot take it again.
    (State.IN_REVIEW, Action.ENDORSE): Transition(State.SUBMITTED, CLAIMANT),
    (State.IN_APPEAL, Action.ENDORSE): Transition(State.APPEALED, CLAIMANT),
    # One appeal, decided by somebody else; taken back, the refusal stands.
    (State.REFUSED, Action.APPEAL): Transition(State.APPEALED, APPLICANT),
    (State.APPEALED, Action.WITHDRAW): Transition(State.REFUSED, APPLICANT),
    (State.APPEALED, Action.CLAIM): Transition(State.IN_APPEAL, ANY_REVIEWER),
    (State.IN_APPEAL, Action.WITHDRAW): Transition(State.REFUSED, APPLICANT),
    (State.IN_APPEAL, Action.RELEASE): Transition(State.APPEALED, CLAIMANT_OR_MANAGER),
    (State.IN_APPEAL, Action.APPROVE): Transition(State.APPROVED, CLAIMANT),
    (State.IN_APPEAL, Action.REFUSE): Transition(State.REFUSED, CLAIMANT),
    # Assigning is claiming for somebody else: managers, and whoever hands their own claim on.
    (State.SUBMITTED, Action.ASSIGN): Transition(State.IN_REVIEW, MANAGER),
    (State.APPEALED, Action.ASSIGN): Transition(State.IN_APPEAL, MANAGER),
    (State.IN_REVIEW, Action.ASSIGN): Transition(State.IN_REVIEW, CLAIMANT_OR_MANAGER),
    (State.IN_APPEAL, Action.ASSIGN): Transition(State.IN_APPEAL, CLAIMANT_OR_MANAGER),
    (State.IN_REVIEW, Action.ASK): Transition(State.IN_REVIEW, CLAIMANT),
    (State.IN_APPEAL, Action.ASK): Transition(State.IN_APPEAL, CLAIMANT),
    # Whatever its state, these two leave it as it is.
    **{
        (state, Action.WRITE): Transition(state, APPLICANT | THE_DESK)
        for state in (State.RETURNED, *sorted(QUEUE_STATES))
    },
    **{
        (state, Action.RECUSE): Transition(state, THE_DESK)
        for state in (State.RETURNED, *sorted(QUEUE_STATES))
    },
}
TERMINAL = frozenset(State) - {state for state, _ in TRANSITIONS}


class IllegalStep(Exception):
    """The table has no such step."""


class WrongState(IllegalStep):
    """Nobody may do that in this state."""


class WrongRole(IllegalStep):
    """Somebody may do that, but not this person."""


def step(state: State, action: Action, role: Role, *, claimed: bool = True) -> State:
    """The state that `action` leads to. Raises WrongRole or WrongState.

    A role that may take the action in no state at all is WrongRole in every state: it learns
    nothing of the state.
    """
    ever = {who for (_, known), way in TRANSITIONS.items() if known == action for who in way.who}
    # Another reviewer may become the claimant, so for them it is the state that forbids it.
    roles = {role, Role.CLAIMANT} if role in ANY_REVIEWER else {role}
    if not roles & ever:
        raise WrongRole(f"{role} may never {action}")
    way = TRANSITIONS.get((state, action))
    if way is None:
        raise WrongState(f"{action} is not possible from {state}")
    if role not in way.who:
        raise WrongRole(f"{role} may not {action} from {state}")
    return way.unclaimed if way.unclaimed and not claimed else way.to


def actions_for(state: State, role: Role) -> frozenset[Action]:
    """What the person may do now: the buttons of a page."""
    return frozenset(
        action for (known, action), way in TRANSITIONS.items() if known == state and role in way.who
    )


class GrantStatus(models.TextChoices):
    ACTIVE = "active", "active"
    SUSPENDED = "suspended", "suspended"
    REVOKED = "revoked", "revoked"


class GrantAction(StrEnum):
    REVOKE = "revoke"
    SUSPEND = "suspend"
    REINSTATE = "reinstate"


GRANT_TRANSITIONS: Mapping[tuple[GrantStatus, GrantAction], GrantStatus] = {
    (GrantStatus.ACTIVE, GrantAction.REVOKE): GrantStatus.REVOKED,
    (GrantStatus.ACTIVE, GrantAction.SUSPEND): GrantStatus.SUSPENDED,
    (GrantStatus.SUSPENDED, GrantAction.REVOKE): GrantStatus.REVOKED,
    (GrantStatus.SUSPENDED, GrantAction.REINSTATE): GrantStatus.ACTIVE,
}


def grant_step(status: GrantStatus, action: GrantAction) -> GrantStatus:
    """The status that `action` leads to; a manager's matter. Raises WrongState."""
    to = GRANT_TRANSITIONS.get((status, action))
    if to is None:
        raise WrongState(f"{action} is not possible for a grant that is {status}")
    return to


def grant_actions_for(status: GrantStatus) -> frozenset[GrantAction]:
    return frozenset(action for (known, action) in GRANT_TRANSITIONS if known == status)
