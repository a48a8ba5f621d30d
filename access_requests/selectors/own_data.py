"""What this floor holds about a person, for that person: never what reviewers wrote among themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from access_requests.models import Message
from portal.accounts.models import Account

Told = Sequence[Mapping[str, Any]]


def applications(account: Account) -> Told:
    rows = account.applications.select_related("family").prefetch_related(
        "releases", "attachments", "messages"
    )
    return [
        {
            "reference": row.reference,
            "family": row.family.slug,
            "state": row.state,
            "releases": [release.repo_id for release in row.releases.all()],
            "answers": row.answers,
            "affiliation": row.affiliation,
            "submitted_at": row.submitted_at,
            "decided_at": row.decided_at,
            "reason": row.decision_reason,
            "appeal": row.appeal,
            "attachments": [
                {
                    "name": one.name,
                    "size": one.size,
                    "sha256": one.sha256,
                    "url": one.get_absolute_url(),
                }
                for one in row.attachments.all()
            ],
            "messages": [_message(one, account) for one in row.messages.all()],
        }
        for row in rows
    ]


def _message(message: Message, account: Account) -> dict[str, Any]:
    mine = message.author_id == account.pk
    return {"at": message.created_at, "by": "you" if mine else "a reviewer", "body": message.body}


def places(account: Account) -> Told:
    """As a co-applicant of others."""
    rows = account.joined_applications.values(
        "application", "status", "email", "affiliation", "joined_at", "reason"
    )
    return list(rows)


def agreements(account: Account) -> Told:
    rows = account.acceptances.values(
        *("accepted_at", "typed_name", "text_sha256"),
        *("licence_version__licence__slug", "licence_version__number", "licence_version__text"),
    )
    return list(rows)


def grants(account: Account) -> Told:
    rows = account.grants.select_related("release").prefetch_related("renewals")
    return [
        {
            "number": row.pk,
            "release": row.release.repo_id,
            "tier": row.tier,
            "status": row.status,
            "reason": row.status_reason,
            "starts_at": row.starts_at,
            "ends_at": row.ends_at,
            "reports_of_use": [
                {
                    "asked_at": one.asked_at,
                    "status": one.status,
                    "used_for": one.used_for,
                    "publications": one.publications,
                    "derivatives": one.derivatives,
                    "reason": one.reason,
                }
                for one in row.renewals.all()
            ],
        }
        for row in rows
    ]
