from access_requests.models.application import (
    Application,
    LicenceAcceptance,
    Message,
    Review,
)
from access_requests.models.form import Form
from access_requests.models.grant import Grant, Tier
from access_requests.models.keeping import CloseOut, Reminder, Renewal
from access_requests.models.people import CoApplicant
from access_requests.workflow import OPEN_STATES, QUEUE_STATES, State

__all__ = [
    "OPEN_STATES",
    "QUEUE_STATES",
    "Application",
    "CloseOut",
    "CoApplicant",
    "Form",
    "Grant",
    "LicenceAcceptance",
    "Message",
    "Reminder",
    "Renewal",
    "Review",
    "State",
    "Tier",
]
