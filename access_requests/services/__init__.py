"""The only writers of applications, grants and forms. One act, one function, one transaction."""

from access_requests.services.acts import no_such_application, unknown_action
from access_requests.services.appeals import appeal
from access_requests.services.applying import (
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
from access_requests.services.deciding import read_now
from access_requests.services.filters import remove_filter, save_filter
from access_requests.services.granting import (
    accept_licence,
    expire_grants,
    reinstate,
    revoke,
    suspend,
)
from access_requests.services.hub import (
    Outcome,
    accept_request,
    grant_access,
    only_for_reviewers,
    reject_request,
    set_back,
)
from access_requests.services.keeping import (
    approve_renewal,
    ask_renewal,
    close_out,
    refuse_renewal,
    remind_holders,
)
from access_requests.services.licences import describe_licence, publish_version
from access_requests.services.lists import load_list
from access_requests.services.preparing import (
    index_again,
    look_up_orcid,
    prepare_left_over,
    prepare_review,
    to_index,
)
from access_requests.services.questions import change_form, make_form
from access_requests.services.reviewing import claim, decide, release, return_for_correction
from access_requests.services.rules import apply_rules, write_rule
from access_requests.services.searching import search_document
from access_requests.services.second_looks import decline_look, look_again
from access_requests.services.testimony import (
    answered_behind,
    confirm,
    decline_reference,
    follow_up_witnesses,
    give_reference,
    reading_behind,
)
from access_requests.services.witnesses import ask_again, go_without, name_witness

__all__ = [
    "Outcome",
    "accept_licence",
    "accept_request",
    "admit",
    "advise",
    "answered_behind",
    "appeal",
    "apply_rules",
    "approve_renewal",
    "ask",
    "ask_again",
    "ask_renewal",
    "assign",
    "attach",
    "block",
    "change_block",
    "change_form",
    "claim",
    "close_out",
    "confirm",
    "decide",
    "decline",
    "decline_look",
    "decline_reference",
    "describe_licence",
    "detach",
    "expire_grants",
    "follow_up_witnesses",
    "give_reference",
    "go_without",
    "grant_access",
    "index_again",
    "invite",
    "invite_again",
    "invited",
    "join",
    "load_list",
    "look_again",
    "look_up_orcid",
    "make_form",
    "name_witness",
    "no_such_application",
    "note",
    "only_for_reviewers",
    "prepare_left_over",
    "prepare_review",
    "publish_version",
    "read_now",
    "reading_behind",
    "recuse",
    "refuse_renewal",
    "reinstate",
    "reject_request",
    "release",
    "remind",
    "remind_holders",
    "remove",
    "remove_filter",
    "return_for_correction",
    "revoke",
    "save_draft",
    "save_filter",
    "search_document",
    "set_back",
    "share_out",
    "start",
    "submit",
    "suspend",
    "to_index",
    "unknown_action",
    "withdraw",
    "write",
    "write_rule",
]
