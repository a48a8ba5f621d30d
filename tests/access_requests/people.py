"""What the tests of this floor share: answers, and people who can apply."""

from typing import Any

from access_requests import services
from portal.accounts.models import Account, Affiliation
from portal.audit.models import Event, Verb
from portal.mail.models import OutgoingMail
from tests.people import person

ANSWERS: dict[str, Any] = {
    "research_purpose": "How do small models represent negation?",
    "intended_use": "Probing of hidden states on our own cluster.",
    "sharing": "outputs",
}


def applicant(name: str, **affiliation: Any) -> Account:
    """A person with an affiliation, who can apply."""
    account = person(name)
    values = {
        "category": "academia",
        "institution": "University of Testing",
        "country": "NL",
        "position": "Postdoc",
        **affiliation,
    }
    Affiliation.objects.create(account=account, **values)
    return account


def seen_now(application_id: int) -> str:
    """The version that a reviewer's page would carry now."""
    return services.read_now(application_id).version


def verbs(subject: Any) -> list[str]:
    """What the audit log says of one thing, oldest first."""
    events = Event.objects.filter(
        subject_type=subject._meta.label_lower, subject_id=str(subject.pk)
    )
    return [str(verb) for verb in events.order_by("id").values_list("verb", flat=True)]


def denials(subject: Any) -> list[Event]:
    found = Event.objects.filter(verb=Verb.APPLICATION_DENIED, subject_id=str(subject.pk))
    return list(found.filter(subject_type=subject._meta.label_lower).order_by("id"))


def mails_to(account: Account) -> list[str]:
    """The templates of the mails written to a person, oldest first."""
    return list(
        OutgoingMail.objects.filter(to=account.email)
        .order_by("id")
        .values_list("template", flat=True)
    )
