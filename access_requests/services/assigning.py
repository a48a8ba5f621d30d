"""Who reviews what: assigned by name or by load, asked for advice, recused, reminded."""

from collections.abc import Iterable

from django.db.models import Count, Q
from django.utils import timezone

from access_requests import selectors, workflow
from access_requests.models import Application, Opinion, Recusal, Review, State
from access_requests.services.acts import Denial, act, locked, recorded, required_text
from access_requests.services.deciding import check_seen, read_where
from access_requests.versions import Snapshot
from access_requests.workflow import AWAITED_IN, QUEUE_STATES, UNCLAIMED_STATES, Action, Role
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.services import send
from portal.refusals import Code, Refusal


def assign(application_id: int, *, actor: Account, reviewer: Account) -> Application:
    """Give the claim to a named reviewer: a manager any, a claimant their own.

    Raises Refusal INVALID when that person may not act on it.
    """
    with act(application_id, Action.ASSIGN, actor=actor) as (application, to):
        _check_colleague(application, reviewer)
        hand_to(application, to, reviewer, actor=actor)
    return application


def hand_to(application: Application, to: State, reviewer: Account, *, actor: Account) -> None:
    """Inside the caller's transaction: the claim is the reviewer's, who is told by mail."""
    application.reviews.filter(outcome=Review.Outcome.OPEN).update(
        outcome=Review.Outcome.HANDED_ON, closed_at=timezone.now()
    )
    application.state = to
    application.claimed_by = reviewer
    application.claimed_at = timezone.now()
    application.save(update_fields=["state", "claimed_by", "claimed_at", "updated_at"])
    if to in QUEUE_STATES:  # when it is with the applicant, the review begins as it comes back
        Review.objects.create(application=application, reviewer=reviewer)
    record(Verb.APPLICATION_ASSIGNED, application, actor=actor, reviewer=reviewer.pk)
    if reviewer != actor:
        send("application_assigned", to=reviewer, application=application, actor=actor)


def share_out(application_ids: Iterable[int], *, actor: Account) -> list[Application]:
    """Assign each unclaimed application to the reviewer with the fewest open ones; for managers.

    Those that are claimed, that nobody may review, or that the manager may not act on, are passed over.
    """
    _managers_only(actor, "share applications out")
    done = []
    for pk in sorted(application_ids):
        with recorded(Application(pk=pk), "share_out", actor=actor):
            application = locked(pk)
            reviewer = _least_loaded(application)
            if application.state not in UNCLAIMED_STATES or reviewer is None:
                continue
            to = workflow.TRANSITIONS[State(application.state), Action.ASSIGN].to
            if selectors.role_in(actor, application) == Role.MANAGER:
                hand_to(application, to, reviewer, actor=actor)
                done.append(application)
    return done


def _least_loaded(application: Application) -> Account | None:
    """By open claims; equals by who was given one the longest time ago."""
    named = selectors.colleagues(application).filter(groups__name=roles.Role.REVIEWER.value)
    people = Account.objects.filter(pk__in=named.values("pk"))
    held = Q(claimed_applications__state__in=[State.IN_REVIEW, State.IN_APPEAL, State.RETURNED])
    loaded = people.annotate(load=Count("claimed_applications", filter=held, distinct=True))
    return loaded.order_by("load", "pk").first()


def remind(application_ids: Iterable[int], *, actor: Account) -> int:
    """A mail to whom each application waits for: the applicant, or the claimant. How many went."""
    _managers_only(actor, "send reminders")
    sent = 0
    for pk in sorted(application_ids):
        with recorded(Application(pk=pk), "remind", actor=actor):
            sent += _remind(locked(pk), actor)
    return sent


def _remind(application: Application, actor: Account) -> int:
    if application.state == State.RETURNED:
        to, template = application.applicant, "application_reminder"
    elif application.state in QUEUE_STATES and application.claimed_by:
        to, template = application.claimed_by, "application_reminder_at_the_desk"
    else:
        return 0
    send(template, to=to, sender=actor, application=application)
    record(Verb.APPLICATION_REMINDED, application, actor=actor, account=to.pk)
    return 1


def _managers_only(actor: Account, what: str) -> None:
    if not roles.is_manager(actor):
        raise Refusal(Code.NOT_ALLOWED, f"Managers {what}.", "Ask a manager of this site.")


def recuse(application_id: int, *, actor: Account, reason: str) -> Application:
    """Declare a conflict of interest: a claim goes back, and the person acts on it no more."""
    with act(application_id, Action.RECUSE, actor=actor) as (application, _):
        reason = required_text(reason, field="reason", why="Say what the conflict is.")
        if selectors.role_in(actor, application) == Role.CLAIMANT:
            _drop_claim(application)
        Recusal.objects.create(application=application, reviewer=actor, reason=reason)
        record(Verb.APPLICATION_RECUSED, application, actor=actor)
    return application


def _drop_claim(application: Application) -> None:
    application.state = workflow.step(State(application.state), Action.RELEASE, Role.CLAIMANT)
    application.claimed_by = None
    application.claimed_at = None
    application.save(update_fields=["state", "claimed_by", "claimed_at", "updated_at"])
    application.reviews.filter(outcome=Review.Outcome.OPEN).update(
        outcome=Review.Outcome.RECUSED, closed_at=timezone.now()
    )


def ask(
    application_id: int,
    *,
    actor: Account,
    reviewer: Account,
    kind: Opinion.Kind = Opinion.Kind.REVIEW,
    question: str = "",
) -> Opinion:
    """Ask a named colleague for a review, or for the second decision.

    After a request for the second decision two people have to approve; the first approval hands
    the application to that colleague. Raises Refusal INVALID, CONFLICT (asked already).
    """
    with act(application_id, Action.ASK, actor=actor) as (application, _):
        _check_colleague(application, reviewer)
        if reviewer == actor:
            raise _not_this_person("Ask somebody else than yourself.")
        if application.opinions.filter(
            reviewer=reviewer, kind=kind, advice=Opinion.Advice.OPEN
        ).exists():
            raise Refusal(
                Code.CONFLICT, f"{reviewer} was asked already.", "Wait for the answer, or write."
            )
        made = Opinion.objects.create(
            application=application,
            kind=kind,
            asked_by=actor,
            reviewer=reviewer,
            question=question.strip(),
        )
        record(Verb.OPINION_ASKED, application, actor=actor, reviewer=reviewer.pk, kind=str(kind))
        send("opinion_asked", to=reviewer, sender=actor, application=application, opinion=made)
    return made


def advise(
    application_id: int, *, actor: Account, seen: str | Snapshot, advice: str, answer: str
) -> Opinion:
    """Answer a request for a review, once, while it is not decided. `seen`: as in `decide`."""
    read = read_where(
        application_id, lambda found: selectors.opinion_asked_of(actor, found) is not None
    )
    with recorded(Application(pk=application_id), "advise", actor=actor):
        application = locked(application_id)
        found = selectors.opinion_asked_of(actor, application)
        if found is None:
            _check_not_over(application, actor)
            raise Denial(
                Code.NOT_FOUND, "Nobody waits for your advice on this one.", "See your queue."
            )
        check_seen(application, seen, read)
        if advice not in (Opinion.Advice.APPROVE, Opinion.Advice.REFUSE, Opinion.Advice.UNSURE):
            text = "Choose approve, refuse or unsure."
            raise Refusal(Code.INVALID, text, "Choose one.", fields={"advice": [text]})
        found.advice = advice
        found.answer = required_text(answer, field="answer", why="Say in a sentence why.")
        found.answered_at = timezone.now()
        found.save(update_fields=["advice", "answer", "answered_at"])
        record(Verb.OPINION_GIVEN, application, actor=actor, advice=str(advice))
        send("opinion_given", to=found.asked_by, application=application, opinion=found)
    return found


def _check_not_over(application: Application, actor: Account) -> None:
    """Advice that comes after the decision is none. Raises Refusal WRONG_STATE for who was asked."""
    asked = application.opinions.filter(
        reviewer=actor, kind=Opinion.Kind.REVIEW, advice=Opinion.Advice.OPEN
    )
    if application.state not in AWAITED_IN and asked.exists():
        raise Refusal(
            Code.WRONG_STATE,
            f"{application.reference} is “{application.get_state_display()}”: your advice cannot "
            "change that any more.",
            "Nothing is left to do; see its page for the decision.",
            since=application.decided_at,
            url=application.get_absolute_url(),
        )


def _check_colleague(application: Application, reviewer: Account) -> None:
    if not selectors.colleagues(application).filter(pk=reviewer.pk).exists():
        raise _not_this_person(f"{reviewer} may not act on this application.")


def _not_this_person(text: str) -> Refusal:
    return Refusal(
        Code.INVALID,
        text,
        "Choose another colleague; those with a conflict of interest are not offered.",
        fields={"reviewer": [text]},
    )
