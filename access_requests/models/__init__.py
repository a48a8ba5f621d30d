from access_requests.models.application import (
    WAITS,
    Application,
    LicenceAcceptance,
    Message,
    Review,
)
from access_requests.models.attachment import Attachment
from access_requests.models.desk import Note, Opinion, Recusal
from access_requests.models.evidence import (
    AnswerBand,
    EvidenceList,
    Institution,
    InstitutionDomain,
    InstitutionName,
    ListedEntry,
    ListedName,
    ListedPair,
    OrcidRecord,
)
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
from access_requests.models.rule import AutomaticRule
from access_requests.models.second_look import SecondLook
from access_requests.models.witness import Waiver, Witness
from access_requests.workflow import OPEN_STATES, QUEUE_STATES, State

__all__ = [
    "DEFAULT_TARGET_DAYS",
    "OPEN_STATES",
    "QUEUE_STATES",
    "WAITS",
    "AnswerBand",
    "Application",
    "Attachment",
    "AutomaticRule",
    "Block",
    "BlockedAddress",
    "CloseOut",
    "CoApplicant",
    "DecisionPolicy",
    "EvidenceList",
    "Form",
    "Grant",
    "Institution",
    "InstitutionDomain",
    "InstitutionName",
    "LicenceAcceptance",
    "ListedEntry",
    "ListedName",
    "ListedPair",
    "Message",
    "Note",
    "Opinion",
    "OrcidRecord",
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
