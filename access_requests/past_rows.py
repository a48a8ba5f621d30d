"""The answers about the past as plain values, for REST and for files; and the files themselves."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from access_requests.models import Grant, Tier
from access_requests.selectors.past_decisions import Decision, Row, rows_then
from portal import exports
from portal.accounts.models import Account
from portal.refusals import Code

Values = dict[str, Any]


def values(row: Row) -> Values:
    """One line of the answer."""
    then, grant = row.then, row.then.grant
    return {
        "at": _time(then.at),
        "could": then.could,
        "why_not": why_not(row),
        "grant": grant.pk,
        "release": grant.release.repo_id,
        "release_status": str(grant.release.status),
        "account": grant.account_id,
        "name": grant.account.name,
        "email": grant.account.email,
        "tier": str(grant.tier),
        "starts_at": _time(grant.starts_at),
        "ends_at": _time(grant.ends_at),
        "licence": grant.acceptance.licence_version.licence.slug,
        "licence_version": grant.acceptance.licence_version.number,
        "text_sha256": grant.acceptance.text_sha256,
        "accepted_at": _time(grant.acceptance.accepted_at),
        "application": grant.application_id,
        "decided_at": _time(then.terms.at),
        "decided_by": [_person(person) for person in row.deciders],
        "event": then.terms.pk,
    }


def why_not(row: Row) -> str:
    """The code of the cause; empty where it opened."""
    if row.then.refusal:
        return str(row.then.refusal.code)
    return "" if row.then.is_published else str(Code.NOT_PUBLISHED)


def decision_values(decision: Decision) -> Values:
    renewal = decision.renewal
    return {
        "event": decision.event.pk,
        "verb": decision.event.verb,
        "at": _time(decision.event.at),
        "by": _person(decision.event.actor),
        "application": decision.application.reference if decision.application else None,
        "renewal": renewal.pk if renewal else None,
        "reviews": [
            {
                "by": _person(review.reviewer),
                "outcome": review.outcome,
                "at": _time(review.closed_at),
                "checklist": review.checklist,
                "evidence": review.evidence,
            }
            for review in decision.reviews
        ],
    }


def _person(person: Account | None) -> Values | None:
    return {"account": person.pk, "name": person.name} if person else None


def _time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


# ---- Files ---------------------------------------------------------------------------------------
COLUMNS = (
    *("at", "could", "why_not", "grant", "release", "release_status", "account", "name", "email"),
    *("tier", "starts_at", "ends_at", "licence", "licence_version", "text_sha256", "accepted_at"),
    *("application", "decided_at", "decided_by", "event"),
)


def export(
    grants: "QuerySet[Grant]", at: datetime, kind: str, *, tier: Tier, only_open: bool
) -> StreamingHttpResponse:
    """The whole answer as a file. Raises Refusal NOT_FOUND for another kind."""

    def page(after: int) -> tuple[list[Values], int | None]:
        rows, more = rows_then(grants, at, tier=tier, only_open=only_open, after=after)
        return [values(row) for row in rows], more

    name = f"access-{at:%Y%m%d-%H%M}"
    return exports.export(name, kind, head=COLUMNS, page=page, line=_line, cells=_cells)


def _line(row: Values) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode()


def _cells(row: Values) -> Iterable[Any]:
    deciders = "; ".join(f"{one['account']} {one['name']}" for one in row["decided_by"])
    return {**row, "decided_by": deciders}.values()
