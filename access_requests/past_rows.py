"""The answers about the past as plain values, for REST and for files; and the files themselves."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from access_requests.models import Grant, Tier
from access_requests.selectors.past_decisions import Decision, Row, rows_then
from portal.accounts.models import Account
from portal.refusals import Code, Refusal

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


def _jsonl(rows: list[Values]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _csv(rows: list[Values]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        deciders = "; ".join(f"{one['account']} {one['name']}" for one in row["decided_by"])
        writer.writerow(_cell(v) for v in {**row, "decided_by": deciders}.values())
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """A name that a spreadsheet would run as a formula is shown as a name."""
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else value


CSV_HEAD = (",".join(COLUMNS) + "\r\n").encode()
KINDS: dict[str, tuple[str, bytes, Callable[[list[Values]], bytes]]] = {
    "jsonl": ("application/x-ndjson", b"", _jsonl),
    "csv": ("text/csv; charset=utf-8", CSV_HEAD, _csv),
}


def export(
    grants: "QuerySet[Grant]", at: datetime, kind: str, *, tier: Tier, only_open: bool
) -> StreamingHttpResponse:
    """The whole answer as a file, page by page. Raises Refusal NOT_FOUND for another kind."""
    if kind not in KINDS:
        raise Refusal(Code.NOT_FOUND, f"There is no export as {kind}.", "Choose jsonl or csv.")
    content_type, head, write = KINDS[kind]

    def page(after: int) -> tuple[list[Values], int | None]:
        rows, more = rows_then(grants, at, tier=tier, only_open=only_open, after=after)
        return [values(row) for row in rows], more

    async def stream() -> AsyncIterator[bytes]:
        yield head
        after: int | None = 0
        while after is not None:
            rows, after = await sync_to_async(page)(after)
            yield write(rows)

    response = StreamingHttpResponse(stream(), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="access-{at:%Y%m%d-%H%M}.{kind}"'
    response["Cache-Control"] = "no-store"
    return response
