from access_requests.models.application import (
    Application,
    LicenceAcceptance,
    Message,
    Review,
)
from access_requests.models.attachment import Attachment
from access_requests.models.desk import Note, Opinion, Recusal
from access_requests.models.form import Form
from access_requests.models.grant import Grant, Tier
from access_requests.models.keeping import CloseOut, Reminder, Renewal
from access_requests.models.people import CoApplicant
from access_requests.models.policy import (
    DEFAULT_TARGET_DAYS,
    Block,
    BlockedAddress,
    DecisionPolicy,
    ReasonTemplate,
    ReviewTarget,
    SavedFilter,
)
from access_requests.models.second_look import SecondLook
from access_requests.models.witness import Waiver, Witness
from access_requests.workflow import OPEN_STATES, QUEUE_STATES, State

__all__ = [
    "DEFAULT_TARGET_DAYS",
    "OPEN_STATES",
    "QUEUE_STATES",
    "Application",
    "Attachment",
    "Block",
    "BlockedAddress",
    "CloseOut",
    "CoApplicant",
    "DecisionPolicy",
    "Form",
    "Grant",
    "LicenceAcceptance",
    "Message",
    "Note",
    "Opinion",
    "ReasonTemplate",
    "Recusal",
    "Reminder",
    "Renewal",
    "Review",
    "ReviewTarget",
    "SavedFilter",
    "SecondLook",
    "State",
    "Tier",
    "Waiver",
    "Witness",
]
