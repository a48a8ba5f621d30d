"""The table: every state, every action, every role."""

from itertools import product

import pytest

from access_requests.workflow import (
    TERMINAL,
    TRANSITIONS,
    Action,
    GrantAction,
    GrantStatus,
    Role,
    State,
    WrongRole,
    WrongState,
    actions_for,
    grant_actions_for,
    grant_step,
    step,
)

A, C, R, M = Role.APPLICANT, Role.CLAIMANT, Role.REVIEWER, Role.MANAGER
# Written out once more by hand, in another form than the table, so that a slip in it is seen.
LEGAL = {
    ("draft", "save", A): "draft",
    ("draft", "submit", A): "submitted",
    ("draft", "withdraw", A): "withdrawn",
    ("submitted", "withdraw", A): "withdrawn",
    ("submitted", "claim", R): "in_review",
    ("submitted", "claim", M): "in_review",
    ("in_review", "withdraw", A): "withdrawn",
    ("in_review", "release", C): "submitted",
    ("in_review", "release", M): "submitted",
    ("in_review", "return", C): "returned",
    ("in_review", "approve", C): "approved",
    ("in_review", "refuse", C): "refused",
    ("submitted", "approve_by_rule", Role.RULE): "approved",
    ("returned", "save", A): "returned",
    ("returned", "submit", A): "in_review",
    ("returned", "withdraw", A): "withdrawn",
    ("returned", "release", C): "returned",
    ("returned", "release", M): "returned",
    ("in_review", "endorse", C): "submitted",
    ("in_appeal", "endorse", C): "appealed",
    ("refused", "appeal", A): "appealed",
    ("appealed", "withdraw", A): "refused",
    ("appealed", "claim", R): "in_appeal",
    ("appealed", "claim", M): "in_appeal",
    ("in_appeal", "withdraw", A): "refused",
    ("in_appeal", "release", C): "appealed",
    ("in_appeal", "release", M): "appealed",
    ("in_appeal", "approve", C): "approved",
    ("in_appeal", "refuse", C): "refused",
    ("submitted", "assign", M): "in_review",
    ("appealed", "assign", M): "in_appeal",
    ("in_review", "assign", C): "in_review",
    ("in_review", "assign", M): "in_review",
    ("in_appeal", "assign", C): "in_appeal",
    ("in_appeal", "assign", M): "in_appeal",
    ("in_review", "ask", C): "in_review",
    ("in_appeal", "ask", C): "in_appeal",
    **{
        (state, act, role): state
        for state in ("submitted", "in_review", "returned", "appealed", "in_appeal")
        for act, roles in (("write", (A, C, R, M)), ("recuse", (C, R, M)))
        for role in roles
    },
}


@pytest.mark.parametrize(("state", "action", "role"), list(product(State, Action, Role)))
def test_the_table_allows_just_what_is_written_here(
    state: State, action: Action, role: Role
) -> None:
    expected = LEGAL.get((str(state), str(action), role))
    if expected:
        assert step(state, action, role) == expected
        assert action in actions_for(state, role)
    else:
        with pytest.raises((WrongRole, WrongState)):
            step(state, action, role)
        assert action not in actions_for(state, role)


def test_a_corrected_application_whose_claim_was_given_back_waits_for_any_reviewer() -> None:
    assert step(State.RETURNED, Action.SUBMIT, A, claimed=False) == State.SUBMITTED


def test_an_approval_and_a_withdrawal_are_final_and_a_refusal_knows_only_the_appeal() -> None:
    assert {State.APPROVED, State.WITHDRAWN} == TERMINAL
    assert [act for state, act in TRANSITIONS if state == State.REFUSED] == [Action.APPEAL]


@pytest.mark.parametrize("role", [Role.STRANGER, Role.BARRED])
def test_a_stranger_and_a_barred_reviewer_may_nothing(role: Role) -> None:
    assert not any(role in way.who for way in TRANSITIONS.values())


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("action", [Action.CLAIM, Action.APPROVE, Action.REFUSE, Action.RETURN])
def test_an_applicant_is_told_the_same_in_every_state(state: State, action: Action) -> None:
    with pytest.raises(WrongRole):
        step(state, action, Role.APPLICANT)


GRANT_LEGAL = {
    ("active", "revoke"): "revoked",
    ("active", "suspend"): "suspended",
    ("suspended", "revoke"): "revoked",
    ("suspended", "reinstate"): "active",
}


@pytest.mark.parametrize(("status", "action"), list(product(GrantStatus, GrantAction)))
def test_the_grant_table_allows_just_what_is_written_here(
    status: GrantStatus, action: GrantAction
) -> None:
    expected = GRANT_LEGAL.get((str(status), str(action)))
    if expected:
        assert grant_step(status, action) == expected
    else:
        with pytest.raises(WrongState):
            grant_step(status, action)
    assert (action in grant_actions_for(status)) == bool(expected)
