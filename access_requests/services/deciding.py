"""The frame of every decision: it is about what was on the screen, and its evidence is gathered before the lock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from access_requests import selectors, versions
from access_requests.models import Application, State
from access_requests.services.acts import act
from access_requests.versions import Snapshot
from access_requests.workflow import Action, actions_for
from portal.accounts.models import Account
from portal.refusals import Code, Refusal

Checks = list[dict[str, Any]]


@contextmanager
def deciding(
    application_id: int, action: Action, *, actor: Account, seen: str | Snapshot
) -> Iterator[tuple[Application, State, Checks]]:
    """`act` for a decision, with the evidence to keep.

    `seen`: the version that was on the screen, or a snapshot that the caller read just now and decides on.
    Raises what `act` raises, and Refusal CHANGED saying what is otherwise than on the screen.
    """
    read = (
        seen
        if isinstance(seen, Snapshot)
        else read_where(
            application_id,
            lambda found: (
                action in actions_for(State(found.state), selectors.role_in(actor, found))
            ),
        )
    )
    with act(application_id, action, actor=actor) as (application, to):
        check_seen(application, seen, read)
        assert read is not None
        yield application, to, read.checks


def read_now(application_id: int) -> Snapshot:
    """For who decides without a screen: an automatic rule, and a hub client. Outside of any transaction."""
    return versions.snapshot_of(selectors.read_case(Application.objects.get(pk=application_id)))


def check_seen(application: Application, seen: str | Snapshot, read: Snapshot | None) -> None:
    """On the locked row: what was seen is what was read, and what was read is still so. Raises Refusal CHANGED."""
    if read is None:
        raise _changed(application, [])
    now = {**versions.parts_of(application), "evidence": read.parts["evidence"]}
    version = seen.version if isinstance(seen, Snapshot) else seen
    told = [*versions.differences(version, now), *versions.differences(read.version, now)]
    if told:
        raise _changed(application, list(dict.fromkeys(told)))


def check_parts(
    what: str, seen: str | None, now: Mapping[str, str], parts: Mapping[str, str]
) -> None:
    """The same for a smaller page, on locked rows. `seen`: None for a caller without a page. Raises Refusal CHANGED."""
    if seen is not None and (told := versions.differences(seen, now, parts)):
        raise Refusal(
            Code.CHANGED,
            f"{what} changed since you opened it: {', '.join(told)}.",
            "Nothing was decided. Read it as it is now, and decide again; what you typed is still here.",
        )


def read_where(application_id: int, may: Callable[[Application], bool]) -> Snapshot | None:
    """Before the lock. Nothing for whom the act will refuse: evidence costs dozens of queries."""
    application = Application.objects.filter(pk=application_id).first()
    if application is None or not may(application):
        return None
    return versions.snapshot_of(selectors.read_case(application))


def _changed(application: Application, told: list[str]) -> Refusal:
    what = ", ".join(told) if len(told) < len(versions.PARTS) else ""
    return Refusal(
        Code.CHANGED,
        f"{application.reference} changed since you opened it"
        f"{f': {what}' if what else ', or the form carries no version of it'}.",
        "Nothing was decided. Read it as it is now, and decide again; what you typed is still here.",
        url=application.get_absolute_url(),
    )
