"""What a reviewer is shown of an application, as one opaque value that a decision brings back.

The value is a digest for each part of the page, so that a mismatch can say what changed. It is keyed: an applicant who
could compute it might look for two texts with one digest.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils.crypto import salted_hmac

from access_requests import evidence
from access_requests.models import Application, CoApplicant, Grant, Renewal
from access_requests.selectors import answers_on_the_table, grants_from
from access_requests.selectors.people import IN
from access_requests.workflow import State

LENGTH = 16  # hexadecimal digits of a part's digest
MOST = 200  # characters that a version can have; no real one comes near
# Counts what becomes of others from the same institution. It says nothing for or against, and changes whenever one of
# them is decided on.
ASIDE = frozenset({"institution"})
# The parts, in the order of the value, as a refusal names them.
PARTS: Mapping[str, str] = {
    "submission": "it was submitted again",
    "answers": "the answers",
    "affiliation": "the affiliation",
    "releases": "the releases asked for",
    "people": "who applies with them, or who vouches",
    "conversation": "the conversation",
    "colleagues": "what colleagues said",
    "appeal": "the appeal",
    "evidence": "the evidence",
}


RENEWAL_PARTS: Mapping[str, str] = {
    "report": "the report of use",
    "approval": "the first of two approvals",
    "status": "whether the grant is open, and why",
    "terms": "what the grant covers, and until when",
}

PLACE_PARTS: Mapping[str, str] = {
    "person": "who the person is",
    "approval": "the first of two approvals",
    "terms": "what the applicant holds by the application",
}


@dataclass(frozen=True)
class Snapshot:
    """An application and the evidence beside it, as they were when they were read."""

    parts: Mapping[str, str]
    checks: list[dict[str, Any]]

    @cached_property
    def version(self) -> str:
        return "-".join(self.parts[part] for part in PARTS)


def snapshot_of(application: Application, checks: list[dict[str, Any]] | None = None) -> Snapshot:
    """What is there of the application now. `checks`: its evidence, where it was gathered already."""
    checks = evidence.snapshot(application) if checks is None else checks
    return Snapshot({**parts_of(application), "evidence": _digest(_judged(checks))}, checks)


def version_of(application: Application, checks: list[dict[str, Any]] | None = None) -> str:
    return snapshot_of(application, checks).version


def parts_of(application: Application) -> dict[str, str]:
    """The digests of all but the evidence, which takes time. Reads what the caller has prefetched."""
    applicant, drafting = application.applicant, application.state == State.RETURNED
    table = answers_on_the_table(application)
    said = [(one.pk, one.advice) for one in application.opinions.all() if one.advice]
    values: dict[str, Any] = {
        "submission": application.acceptance_id,
        "answers": [application.form_id, table.answers, None if drafting else table.before],
        "affiliation": [application.affiliation, applicant.name, applicant.email],
        "releases": sorted(release.pk for release in application.releases.all()),
        "people": [
            sorted(one.pk for one in application.coapplicants.all() if one.status in IN),
            [(one.pk, one.status) for one in application.witnesses.all() if one.asked_at],
            sorted(one.pk for one in application.waivers.all()),
        ],
        "conversation": [one.pk for one in application.messages.all()],
        "colleagues": [said, [one.pk for one in application.notes.all()]],
        "appeal": application.appeal,
    }
    return {part: _digest(value) for part, value in values.items()}


def parts_of_renewal(renewal: Renewal, grant: Grant) -> dict[str, str]:
    """The digests of what a reviewer is shown who decides on a renewal."""
    values: dict[str, Any] = {
        "report": [renewal.used_for, renewal.publications, renewal.derivatives],
        "approval": [renewal.first_approval_by_id, renewal.first_approval_until],
        "status": [grant.status, grant.status_reason, grant.status_changed_at],
        "terms": [grant.tier, grant.ends_at, grant.acceptance_id, grant.release.status],
    }
    return {part: _digest(value) for part, value in values.items()}


def version_of_renewal(renewal: Renewal) -> str:
    return "-".join(parts_of_renewal(renewal, renewal.grant).values())


def parts_of_place(member: CoApplicant) -> dict[str, str]:
    """The digests of what a reviewer is shown who decides on a late co-applicant."""
    person = member.account  # None before the invitation is accepted
    held = grants_from(member.application).order_by("pk")
    values: dict[str, Any] = {
        "person": [
            member.affiliation,
            person and (person.name, person.email),
            member.acceptance_id,
        ],
        "approval": [member.first_approval_by_id, member.first_approval_at],
        "terms": [(one.pk, one.status, one.tier, one.ends_at) for one in held],
    }
    return {part: _digest(value) for part, value in values.items()}


def version_of_place(member: CoApplicant) -> str:
    return "-".join(parts_of_place(member).values())


def differences(seen: str, now: Mapping[str, str], parts: Mapping[str, str] = PARTS) -> list[str]:
    """The parts that differ, in words; all of them for what is no version of ours."""
    told = seen.split("-")
    if len(told) != len(parts):
        return list(parts.values())
    return [
        words for (part, words), one in zip(parts.items(), told, strict=True) if one != now[part]
    ]


def _judged(checks: list[dict[str, Any]]) -> list[Any]:
    """Not when it was looked up, nor in which list: what came of it."""
    return [
        [one["key"], one["result"], one["finding"]] for one in checks if one["key"] not in ASIDE
    ]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    digest = salted_hmac("access_requests.versions", text, algorithm="sha256")
    return digest.hexdigest()[:LENGTH]
