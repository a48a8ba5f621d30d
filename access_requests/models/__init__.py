from access_requests.models.application import (
    OPEN_STATES,
    QUEUE_STATES,
    Application,
    LicenceAcceptance,
    Message,
    Review,
    State,
)
from access_requests.models.form import Form
from access_requests.models.grant import Grant, Tier

__all__ = [
    "OPEN_STATES",
    "QUEUE_STATES",
    "Application",
    "Form",
    "Grant",
    "LicenceAcceptance",
    "Message",
    "Review",
    "State",
    "Tier",
]
