"""The review desk: applications, grants, forms, agreements."""

from access_requests.admin import (
    acceptances,
    applications,
    coapplicants,
    forms,
    grants,
    licences,
    policy,
    renewals,
    second_looks,
)

__all__ = [
    "acceptances",
    "applications",
    "coapplicants",
    "forms",
    "grants",
    "licences",
    "policy",
    "renewals",
    "second_looks",
]
