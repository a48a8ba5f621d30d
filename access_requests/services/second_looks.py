"""Some decisions, drawn at random, are looked at again by somebody who does not know them."""

from django.utils import timezone
from django.utils.crypto import salted_hmac

from access_requests import selectors
from access_requests.models import Application, Recusal, Review, SecondLook
from access_requests.services.acts import Denial, recorded, required_text
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.services import send
from portal.refusals import Code, Refusal

ANSWERS = (SecondLook.Outcome.APPROVE, SecondLook.Outcome.REFUSE, SecondLook.Outcome.RETURN)


def draw(application: Application) -> SecondLook | None:
    """In the decision's transaction: whether it is looked at again, and by whom.

    Not on an appeal: it is a second look already.
    """
    percent = selectors.second_look_percent(application)
    if not percent or application.appealed_at:
        return None
    review = application.reviews.filter(
        outcome__in=[Review.Outcome.APPROVED, Review.Outcome.REFUSED]
    ).latest("closed_at")
    reviewer = selectors.second_looker(application) if _lot(review) < percent else None
    record(
        Verb.SECOND_LOOK_DRAWN,
        application,
        actor=None,
        percent=percent,
        lot=_lot(review),
        reviewer=reviewer.pk if reviewer else None,
    )
    if reviewer is None:
        return None
    look = SecondLook.objects.create(
        review=review, application=application, reviewer=reviewer, seen=_as_it_is(application)
    )
    send("second_look_asked", to=reviewer, look=look, application=application)
    return look


def _lot(review: Review) -> int:
    """0 to 99, from the site's key: nobody can choose it or guess it, and it can be computed again."""
    digest = salted_hmac("access_requests.second_look", str(review.pk), algorithm="sha256")
    return int(digest.hexdigest(), 16) % 100


def _as_it_is(application: Application) -> dict[str, object]:
    return {
        "answers": application.answers,
        "affiliation": application.affiliation,
        "releases": [release.name for release in application.releases.all()],
    }


def look_again(look_id: int, *, actor: Account, outcome: str, reason: str) -> SecondLook:
    """Say what one would have decided, once. Nothing changes for the applicant."""
    with recorded(SecondLook(pk=look_id), "second_look", actor=actor):
        look = _own(look_id, actor)
        if outcome not in ANSWERS:
            text = "Choose approve, refuse or return."
            raise Refusal(Code.INVALID, text, "Choose one.", fields={"outcome": [text]})
        reason = required_text(reason, field="reason", why="Say in a sentence why.")
        _close(look, outcome=outcome, reason=reason)
        record(Verb.SECOND_LOOK_GIVEN, look, actor=actor, outcome=str(outcome))
    return look


def decline_look(look_id: int, *, actor: Account, reason: str) -> SecondLook:
    """Declare a conflict of interest: another reviewer is asked, where there is one."""
    with recorded(SecondLook(pk=look_id), "second_look", actor=actor):
        look = _own(look_id, actor)
        reason = required_text(reason, field="conflict", why="Say what the conflict is.")
        Recusal.objects.create(application=look.application, reviewer=actor, reason=reason)
        record(Verb.APPLICATION_RECUSED, look.application, actor=actor)
        other = selectors.second_looker(look.application)
        if other is None or other == actor:
            _close(look, outcome=SecondLook.Outcome.RECUSED, reason="")
            return look
        look.reviewer = other
        look.save(update_fields=["reviewer"])
        send("second_look_asked", to=other, look=look, application=look.application)
    return look


def _own(look_id: int, actor: Account) -> SecondLook:
    """The locked row. Raises Denial NOT_FOUND for another person's, Refusal WRONG_STATE."""
    look = SecondLook.objects.select_for_update().filter(pk=look_id, reviewer=actor).first()
    if look is None:
        raise Denial(Code.NOT_FOUND, "You are asked for no such second look.", "See your list.")
    if look.outcome != SecondLook.Outcome.OPEN:
        raise Refusal(
            Code.WRONG_STATE,
            "You gave this second look already.",
            "It stands as you gave it.",
            since=look.answered_at,
        )
    return look


def _close(look: SecondLook, *, outcome: str, reason: str) -> None:
    look.outcome = outcome
    look.reason = reason
    look.answered_at = timezone.now()
    look.save(update_fields=["outcome", "reason", "answered_at"])
