"""The only writers of applications, grants and forms. One act, one function, one transaction."""

from access_requests.services.acts import unknown_action
from access_requests.services.applying import (
    bring_up_to_date,
    save_draft,
    start,
    submit,
    withdraw,
)
from access_requests.services.attachments import attach, detach
from access_requests.services.granting import (
    accept_licence,
    expire_grants,
    reinstate,
    revoke,
    suspend,
)
from access_requests.services.questions import change_form, make_form
from access_requests.services.reviewing import claim, decide, release, return_for_correction

__all__ = [
    "accept_licence",
    "attach",
    "bring_up_to_date",
    "change_form",
    "claim",
    "decide",
    "detach",
    "expire_grants",
    "make_form",
    "reinstate",
    "release",
    "return_for_correction",
    "revoke",
    "save_draft",
    "start",
    "submit",
    "suspend",
    "unknown_action",
    "withdraw",
]
