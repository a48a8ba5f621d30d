"""The only writers of applications, grants and forms. One act, one function, one transaction."""

from access_requests.services.acts import unknown_action
from access_requests.services.appeals import appeal
from access_requests.services.applying import (
    bring_up_to_date,
    save_draft,
    start,
    submit,
    withdraw,
)
from access_requests.services.assigning import advise, ask, assign, recuse, remind, share_out
from access_requests.services.attachments import attach, detach
from access_requests.services.blocks import block, change_block
from access_requests.services.coapplicants import (
    admit,
    decline,
    invite,
    invite_again,
    invited,
    join,
    remove,
)
from access_requests.services.conversation import note, write
from access_requests.services.granting import (
    accept_licence,
    expire_grants,
    reinstate,
    revoke,
    suspend,
)
from access_requests.services.keeping import (
    approve_renewal,
    ask_renewal,
    close_out,
    refuse_renewal,
    remind_holders,
)
from access_requests.services.licences import describe_licence, publish_version
from access_requests.services.questions import change_form, make_form
from access_requests.services.reviewing import claim, decide, release, return_for_correction
from access_requests.services.searching import search_document

__all__ = [
    "accept_licence",
    "admit",
    "advise",
    "appeal",
    "approve_renewal",
    "ask",
    "ask_renewal",
    "assign",
    "attach",
    "block",
    "bring_up_to_date",
    "change_block",
    "change_form",
    "claim",
    "close_out",
    "decide",
    "decline",
    "describe_licence",
    "detach",
    "expire_grants",
    "invite",
    "invite_again",
    "invited",
    "join",
    "make_form",
    "note",
    "publish_version",
    "recuse",
    "refuse_renewal",
    "reinstate",
    "release",
    "remind",
    "remind_holders",
    "remove",
    "return_for_correction",
    "revoke",
    "save_draft",
    "search_document",
    "share_out",
    "start",
    "submit",
    "suspend",
    "unknown_action",
    "withdraw",
    "write",
]
