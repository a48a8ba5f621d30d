"""Refusals: one exception, one list of codes, for every door.

A refusal always says its cause and the way out. The codes are part of the API and listed in docs/reference/refusals.md.
"""

from datetime import datetime
from enum import StrEnum


class Code(StrEnum):
    """The cause, for programs. The value never changes once released."""

    NOT_SIGNED_IN = "not_signed_in"
    SCOPE_MISSING = "scope_missing"
    SECOND_FACTOR_NEEDED = "second_factor_needed"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    NOT_GRANTED = "not_granted"
    NOT_PUBLISHED = "not_published"
    WITHDRAWN = "withdrawn"
    TAKEN_DOWN = "taken_down"
    NOT_RUNNABLE = "not_runnable"
    TIER_TOO_LOW = "tier_too_low"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    LICENCE_CHANGED = "licence_changed"
    SIGNATURE_INVALID = "signature_invalid"
    WRONG_NETWORK = "wrong_network"
    USED_UP = "used_up"
    QUOTA_EXHAUSTED = "quota_exhausted"
    RATE_LIMITED = "rate_limited"
    WRONG_STATE = "wrong_state"
    CONFLICT = "conflict"
    CHANGED = "changed"
    INVALID = "invalid"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    TOO_LONG = "too_long"
    TOO_LARGE = "too_large"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_EARLY = "too_early"
    BLOCKED = "blocked"
    EVIDENCE_MISSING = "evidence_missing"
    UNAVAILABLE = "unavailable"


STATUS = {
    Code.NOT_SIGNED_IN: 401,
    Code.NOT_FOUND: 404,
    Code.NOT_RUNNABLE: 409,
    Code.WRONG_STATE: 409,
    Code.CONFLICT: 409,
    Code.CHANGED: 409,
    Code.EVIDENCE_MISSING: 409,
    Code.INVALID: 400,
    Code.TOO_LONG: 400,
    Code.RANGE_NOT_SATISFIABLE: 416,
    Code.TOO_LARGE: 413,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.NOT_ACCEPTABLE: 406,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.QUOTA_EXHAUSTED: 429,
    Code.RATE_LIMITED: 429,
    Code.UNAVAILABLE: 503,
}  # every other code is 403

TITLE = {
    Code.NOT_SIGNED_IN: "You are not signed in",
    Code.SCOPE_MISSING: "This token may not do that",
    Code.SECOND_FACTOR_NEEDED: "Your role needs a second factor",
    Code.NOT_ALLOWED: "You may not do that",
    Code.NOT_FOUND: "There is nothing here",
    Code.NOT_GRANTED: "You have no grant for this release",
    Code.NOT_PUBLISHED: "The weights are not published here",
    Code.WITHDRAWN: "This release was withdrawn",
    Code.TAKEN_DOWN: "These files were taken down",
    Code.NOT_RUNNABLE: "The sandbox cannot run this",
    Code.TIER_TOO_LOW: "Your grant does not cover downloads",
    Code.EXPIRED: "Expired",
    Code.REVOKED: "Your grant was revoked",
    Code.SUSPENDED: "Your grant is suspended",
    Code.LICENCE_CHANGED: "The licence has changed",
    Code.SIGNATURE_INVALID: "This link is not one of ours",
    Code.WRONG_NETWORK: "This link is for another network",
    Code.USED_UP: "This link is used up",
    Code.QUOTA_EXHAUSTED: "Quota exhausted",
    Code.RATE_LIMITED: "Too many requests",
    Code.WRONG_STATE: "Not possible in this state",
    Code.CONFLICT: "Somebody was quicker",
    Code.CHANGED: "Changed since you opened it",
    Code.INVALID: "That input does not fit",
    Code.RANGE_NOT_SATISFIABLE: "That range is not in the file",
    Code.TOO_LONG: "Too long",
    Code.TOO_LARGE: "Too large",
    Code.METHOD_NOT_ALLOWED: "Method not allowed",
    Code.NOT_ACCEPTABLE: "Not acceptable",
    Code.UNSUPPORTED_MEDIA_TYPE: "Unsupported media type",
    Code.TOO_EARLY: "Not yet",
    Code.BLOCKED: "Closed to you",
    Code.EVIDENCE_MISSING: "An answer is still missing",
    Code.UNAVAILABLE: "Not available right now",
}


class Refusal(Exception):
    """A door stays shut. Raised by services and selectors; every face renders it in its own way.

    code: the cause, for programs.
    detail: the cause, one sentence for a person.
    way_out: what to do now, one sentence.
    since: from when the cause holds, where that is known.
    url: a page of ours where the way out begins (a path), where there is one.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        way_out: str,
        *,
        since: datetime | None = None,
        url: str = "",
        fields: dict[str, list[str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.way_out = way_out
        self.since = since
        self.url = url
        self.fields = fields or {}
        self.headers = headers or {}

    @property
    def status(self) -> int:
        return STATUS.get(self.code, 403)

    @property
    def title(self) -> str:
        return TITLE[self.code]

    @property
    def text(self) -> str:
        """Cause, since when, and the way out, in one line for a person."""
        since = f" (since {self.since:%Y-%m-%d %H:%M} UTC)" if self.since else ""
        return " ".join(f"{self.detail}{since} {self.way_out}".split())

    def problem(self, request_id: str) -> dict[str, object]:
        """The body of application/problem+json (RFC 9457)."""
        body: dict[str, object] = {
            "type": f"about:blank#{self.code}",
            "title": self.title,
            "status": self.status,
            "code": str(self.code),
            "detail": self.detail,
            "way_out": self.way_out,
            "request_id": request_id,
        }
        if self.since:
            body["since"] = self.since.isoformat()
        if self.url:
            body["url"] = self.url
        if self.fields:
            body["fields"] = self.fields
        return body

    def line(self, request_id: str) -> str:
        """One readable line, for curl."""
        return f"{self.code}: {self.text} [request {request_id}]\n"
