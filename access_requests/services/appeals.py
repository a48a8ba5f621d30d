"""One appeal against a refusal, decided by somebody else than the first decider."""

from django.db import IntegrityError, transaction
from django.utils import timezone

from access_requests.models import Application
from access_requests.services.acts import act, required_text
from access_requests.services.preparing import index
from access_requests.workflow import Action
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.services import send
from portal.refusals import Code, Refusal


def appeal(application_id: int, *, actor: Account, text: str) -> Application:
    """Ask for another reviewer's decision, once.

    Raises Refusal INVALID (no text), WRONG_STATE (appealed before), CONFLICT (a new application
    for the family is open).
    """
    with act(application_id, Action.APPEAL, actor=actor) as (application, to):
        text = required_text(text, field="appeal", why="Say why the refusal is mistaken.")
        if application.appealed_at:
            raise Refusal(
                Code.WRONG_STATE,
                f"You appealed for {application.reference} on "
                f"{application.appealed_at:%-d %B %Y}; there is one appeal.",
                "Its decision stands; you may apply again instead.",
                since=application.appealed_at,
                url=application.get_absolute_url(),
            )
        application.state = to
        application.appeal = text
        application.appealed_at = timezone.now()
        application.claimed_by = None
        application.claimed_at = None
        _save(application)
        index(application)
        record(Verb.APPLICATION_APPEALED, application, actor=actor)
        send("application_appealed", to=application.applicant, application=application)
    return application


def _save(application: Application) -> None:
    fields = ["state", "appeal", "appealed_at", "claimed_by", "claimed_at", "updated_at"]
    try:
        with transaction.atomic():
            application.save(update_fields=fields)
    except IntegrityError:  # the one open application of the family is another one
        raise Refusal(
            Code.CONFLICT,
            f"You have a newer application for {application.family.name} that is not decided.",
            "Withdraw that one to appeal, or go on with it.",
            url="/applications/",
        ) from None
