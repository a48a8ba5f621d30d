"""The review desk: applications, grants, forms, agreements."""

from access_requests.admin import (
    acceptances,
    applications,
    coapplicants,
    forms,
    grants,
    licences,
    lists,
    policy,
    renewals,
    rules,
    second_looks,
)

__all__ = [
    "acceptances",
    "applications",
    "coapplicants",
    "forms",
    "grants",
    "licences",
    "lists",
    "policy",
    "renewals",
    "rules",
    "second_looks",
]
