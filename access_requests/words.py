"""What an applicant reads: where an application stands, what happens next, and its time line."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.urls import reverse

from access_requests import selectors
from access_requests.models import Application, Grant, State, Witness
from access_requests.questions import Question, asked, hidden, shown
from access_requests.workflow import APPEAL_STATES
from portal.audit.models import Event, Verb
from portal.refusals import Code

_YOU_ARE_TOLD = "You are told by mail when it is decided, or when something has to be mended first."
NEXT: Mapping[State, str] = {
    State.DRAFT: "Nobody but you has seen it. Finish your answers, read the licence, and submit.",
    State.SUBMITTED: f"A reviewer takes it when its turn comes. {_YOU_ARE_TOLD}",
    State.RETURNED: "Mend what the reviewer asks for and submit again. Your place is kept.",
    State.IN_REVIEW: f"A reviewer is reading it. {_YOU_ARE_TOLD}",
    State.APPROVED: "Open a release below: its page has your next step.",
    State.REFUSED: "If you can answer the reason, apply again: it says what is needed.",
    State.APPEALED: f"Somebody else than the first decider takes it next. {_YOU_ARE_TOLD}",
    State.IN_APPEAL: f"Somebody else than the first decider is reading it. {_YOU_ARE_TOLD}",
    State.WITHDRAWN: "You took it back. You can start a new one at any time.",
}
SECOND: Mapping[State, str] = {
    State.SUBMITTED: f"One reviewer has read it; a second person reads it next. {_YOU_ARE_TOLD}",
    State.IN_REVIEW: f"One reviewer has read it; a second person reads it now. {_YOU_ARE_TOLD}",
    State.APPEALED: f"One person has read your appeal; a second reads it next. {_YOU_ARE_TOLD}",
    State.IN_APPEAL: f"One person has read your appeal; a second reads it now. {_YOU_ARE_TOLD}",
}
TAGS: Mapping[State, str] = {
    State.DRAFT: "muted",
    State.SUBMITTED: "accent",
    State.RETURNED: "warn",
    State.IN_REVIEW: "accent",
    State.APPROVED: "ok",
    State.REFUSED: "bad",
    State.WITHDRAWN: "muted",
    State.APPEALED: "accent",
    State.IN_APPEAL: "accent",
}
# The applicant's words. Denied attempts of others are the auditors' matter and left out.
LINES: Mapping[str, str] = {
    Verb.APPLICATION_STARTED: "You started a draft.",
    Verb.APPLICATION_SUBMITTED: "You submitted it and accepted the licence.",
    Verb.APPLICATION_CLAIMED: "A reviewer took it.",
    Verb.APPLICATION_RELEASED: "The reviewer gave it back to the queue.",
    Verb.APPLICATION_RETURNED: "The reviewer asked you to mend something.",
    Verb.APPLICATION_APPROVED: "It was approved.",
    Verb.APPLICATION_REFUSED: "It was refused.",
    Verb.APPLICATION_WITHDRAWN: "You withdrew it.",
    Verb.APPLICATION_APPEALED: "You appealed; somebody else decides.",
    Verb.APPLICATION_ASSIGNED: "It was given to a reviewer.",
    Verb.APPLICATION_ENDORSED: "It went on to a second reviewer.",
    Verb.WITNESS_ANSWERED: "Your {kind} answered.",
    Verb.WITNESS_DECLINED: "Your {kind} declined.",
    Verb.WITNESS_REMINDED: "Your {kind} was reminded.",
    Verb.WITNESS_LAPSED: "Your {kind} did not answer in time.",
    Verb.WITNESS_BOUNCED: "Your {kind} could not be reached by mail.",
    Verb.WITNESS_ASKED: "Your {kind} was asked.",
    Verb.GRANT_REVOKED: "A grant was revoked.",
    Verb.GRANT_SUSPENDED: "A grant was suspended.",
    Verb.GRANT_REINSTATED: "A grant was reinstated.",
}

# The reviewers' words for the same events, and for those that only they see.
DONE: Mapping[str, str] = {
    Verb.APPLICATION_STARTED: "Draft started",
    Verb.APPLICATION_SUBMITTED: "Submitted",
    Verb.APPLICATION_CLAIMED: "Claimed",
    Verb.APPLICATION_RELEASED: "Given back to the queue",
    Verb.APPLICATION_RETURNED: "Returned for correction",
    Verb.APPLICATION_APPROVED: "Approved",
    Verb.APPLICATION_REFUSED: "Refused",
    Verb.APPLICATION_WITHDRAWN: "Withdrawn by the applicant",
    Verb.APPLICATION_ENDORSED: "Approved, the first of two",
    Verb.APPLICATION_APPEALED: "Appealed against by the applicant",
    Verb.APPLICATION_MESSAGED: "Message written",
    Verb.APPLICATION_NOTED: "Internal note written",
    Verb.APPLICATION_ASSIGNED: "Assigned",
    Verb.APPLICATION_RECUSED: "Conflict of interest declared",
    Verb.APPLICATION_REMINDED: "Reminder sent",
    Verb.OPINION_ASKED: "Colleague asked",
    Verb.OPINION_GIVEN: "Colleague answered",
    Verb.SECOND_LOOK_DRAWN: "Lot drawn for a second look",
    Verb.SECOND_LOOK_GIVEN: "Second look given",
    Verb.BLOCK_CHANGED: "Block list changed",
    Verb.RULE_CHANGED: "Automatic rule changed",
    Verb.EVIDENCE_LIST_LOADED: "Evidence list loaded",
    Verb.APPLICATION_DENIED: "Tried what is not allowed",
    Verb.MEMBER_INVITED: "Co-applicant invited",
    Verb.MEMBER_JOINED: "Co-applicant joined",
    Verb.MEMBER_ENDORSED: "Co-applicant approved, the first of two",
    Verb.MEMBER_ADMITTED: "Co-applicant admitted",
    Verb.MEMBER_DECLINED: "Co-applicant not admitted",
    Verb.MEMBER_REMOVED: "Co-applicant taken out",
    Verb.WITNESS_NAMED: "Named to vouch",
    Verb.WITNESS_ASKED: "Asked to vouch",
    Verb.WITNESS_REMINDED: "Reminded to vouch",
    Verb.WITNESS_ANSWERED: "Vouched",
    Verb.WITNESS_DECLINED: "Declined to vouch",
    Verb.WITNESS_LAPSED: "Did not vouch in time",
    Verb.WITNESS_BOUNCED: "Could not be reached to vouch",
    Verb.WITNESS_CANCELLED: "No longer asked to vouch",
    Verb.EVIDENCE_WAIVED: "Goes on without an answer",
    Verb.GRANT_ISSUED: "Grant issued",
    Verb.GRANT_REVOKED: "Grant revoked",
    Verb.GRANT_SUSPENDED: "Grant suspended",
    Verb.GRANT_REINSTATED: "Grant reinstated",
    Verb.GRANT_RENEWED: "Grant renewed",
    Verb.GRANT_EXPIRED: "Grant ended",
    Verb.GRANT_REMINDED: "Holder reminded of the end",
    Verb.GRANT_REACCEPTED: "New licence version accepted",
    Verb.GRANT_CLOSED_OUT: "Closed by the holder, copies destroyed",
    Verb.RENEWAL_ASKED: "Renewal asked for",
    Verb.RENEWAL_ENDORSED: "Renewal approved, the first of two",
    Verb.RENEWAL_REFUSED: "Renewal refused",
    Verb.LICENCE_ACCEPTED: "Licence accepted",
    Verb.LICENCE_PUBLISHED: "Licence version published",
    Verb.RELEASE_PUBLISHED: "Release published",
    Verb.RELEASE_WITHDRAWN: "Release withdrawn",
    Verb.RELEASE_RESTORED: "Release restored",
    Verb.RELEASE_ANNOUNCED: "Release announced again",
    Verb.RELEASE_TAGGED: "Revision named by a tag",
    Verb.REVISION_TAKEN_DOWN: "Revision taken down",
    Verb.REVISION_RESTORED: "Revision restored",
    Verb.SIGN_IN_LINKED: "Sign-in by ORCID linked",
    Verb.SIGN_IN_UNLINKED: "Sign-in by ORCID removed",
    Verb.ACCOUNT_CLOSED: "Account closed",
    Verb.ACCOUNT_OPENED: "Account opened again",
    Verb.ACCOUNT_ERASED: "Account erased",
    Verb.ERASURE_SCHEDULED: "Erasure asked for",
    Verb.ERASURE_TAKEN_BACK: "Erasure taken back",
    Verb.LICENCE_DESCRIBED: "Licence described anew",
    Verb.RELEASE_CHANGED: "Catalogue entry of the release changed",
    Verb.FAMILY_CHANGED: "Catalogue entry of the family changed",
    Verb.POLICY_CHANGED: "What managers set for decisions changed",
    Verb.WEBHOOK_MADE: "Webhook made",
    Verb.WEBHOOK_CHANGED: "Webhook changed",
    Verb.WEBHOOK_PAUSED: "Webhook paused",
    Verb.WEBHOOK_RESUMED: "Webhook resumed",
    Verb.WEBHOOK_SECRET_ROTATED: "Secret of a webhook rotated",
    Verb.WEBHOOK_REPLAYED: "Webhook delivered again",
    Verb.WEBHOOK_PINGED: "Webhook tested",
    Verb.WEBHOOK_FAILING: "Webhook fails for days",
    Verb.WEBHOOK_ENDED: "Webhook ended",
    Verb.LINK_ISSUED: "Download links given",
    Verb.LINK_DENIED: "Download links refused",
    Verb.QUOTA_SET: "Download quota set",
    Verb.SANDBOX_QUOTA_SET: "Sandbox quota set",
    Verb.ALARM_RAISED: "Download alarm raised",
    Verb.ALARM_DISMISSED: "Download alarm dismissed",
}
# Why a grant opens nothing now, in a word or two.
CLOSED: Mapping[str, str] = {
    Code.EXPIRED: "ended",
    Code.LICENCE_CHANGED: "new licence to accept",
    Code.NOT_GRANTED: "not begun",
    Code.NOT_PUBLISHED: "not published",
    Code.TIER_TOO_LOW: "sandbox only",
}


def next_of(application: Application) -> str:
    """What happens next, for its applicant."""
    state = State(application.state)
    if state in SECOND and selectors.endorsements(application):
        return SECOND[state]
    if state == State.REFUSED and application.appealed_at is not None:
        return "The appeal is over and the refusal stands. " + NEXT[state]
    return NEXT[state]


def done(verb: str) -> str:
    """`application.claimed` → “Claimed”; a verb without words of its own is spelt out."""
    return DONE.get(verb) or verb.replace(".", " ").replace("_", " ").capitalize()


def closed(code: str) -> str:
    return CLOSED.get(code) or code.replace("_", " ")


@dataclass(frozen=True)
class Line:
    """One line of the time line."""

    at: datetime
    text: str


@dataclass(frozen=True)
class Answered:
    """A question and its answer; `before` is the answer when it was returned, if it differs
    since.
    """

    label: str
    answer: str
    before: str = ""
    changed: bool = False
    href: str = ""  # of the attached file
    before_href: str = ""


def events(application: Application) -> "QuerySet[Event]":
    """The audit log about the application and its grants, oldest first."""
    grants = [str(pk) for pk in application.grants.values_list("pk", flat=True)]
    about = Q(subject_type=Application._meta.label_lower, subject_id=str(application.pk))
    about |= Q(subject_type=Grant._meta.label_lower, subject_id__in=grants)
    return Event.objects.filter(about).select_related("actor").order_by("id")


LATEST = 200  # events on a page; a grant that is used a lot has tens of thousands


def latest(found: "QuerySet[Event]") -> list[Event]:
    """The newest of them, oldest first."""
    return list(reversed(found.select_related("actor").order_by("-id")[:LATEST]))


def timeline(application: Application) -> list[Line]:
    lines = []
    for event in events(application).filter(verb__in=list(LINES)):
        text = LINES.get(event.verb)
        if event.verb == Verb.APPLICATION_SUBMITTED and event.data.get("again"):
            text = "You corrected it and submitted again."
        if event.verb == Verb.APPLICATION_APPROVED and "rule" in event.data:
            text = "An automatic rule approved it for the sandbox."
        if event.verb == Verb.APPLICATION_WITHDRAWN and event.data.get("was") in APPEAL_STATES:
            text = "You withdrew the appeal; the refusal stands."
        if text and "{kind}" in text:
            text = text.format(kind=Witness.Kind(event.data["kind"]).label)
        if text:
            lines.append(Line(event.at, text))
    return lines


def answered(
    application: Application,
    answers: Mapping[str, object] | None = None,
    before: Mapping[str, object] | None = None,
) -> list[Answered]:
    """The questions with `answers` (the application's own if not given), and what changed since
    `before`.
    """
    now = application.answers if answers is None else answers
    questions: list[Question] = application.form.questions
    unasked = hidden(questions, now)
    if before is not None:  # what was asked when it was returned is shown, for it changed
        unasked &= hidden(questions, before)
    return [
        _answered(question, now, before)
        for question in asked(questions)
        if question["key"] not in unasked
    ]


# What an application keeps of the affiliation (Affiliation.snapshot), as pages call it.
AFFILIATION: Mapping[str, str] = {
    "category": "Category",
    "institution": "Institution",
    "country": "Country",
    "position": "Position",
    "web_page": "Web page",
    "orcid": "ORCID iD",
}


def affiliated(application: Application, before: Mapping[str, str] | None = None) -> list[Answered]:
    """The affiliation as submitted, and what changed since `before`; without what is empty."""
    now = application.affiliation
    then = now if before is None else before
    rows = [(label, now.get(key, ""), then.get(key, "")) for key, label in AFFILIATION.items()]
    return [
        Answered(label, is_now, was, is_now != was) for label, is_now, was in rows if is_now or was
    ]


def corrections(application: Application) -> list[str]:
    """What a correction changed, by the names that pages give it."""
    table = selectors.answers_on_the_table(application)
    rows = affiliated(application, table.affiliation_before)
    if table.before is not None:
        rows = [*answered(application, table.answers, table.before), *rows]
    return [row.label for row in rows if row.changed]


def _answered(
    question: Question, answers: Mapping[str, object], before: Mapping[str, object] | None
) -> Answered:
    now = answers.get(question["key"])
    text, href = shown(question, now), _href(question, now)
    if before is None:
        return Answered(question["label"], text, href=href)
    old = before.get(question["key"])
    return Answered(
        question["label"], text, shown(question, old), old != now, href, _href(question, old)
    )


def _href(question: Question, answer: object) -> str:
    if question["type"] != "attachment" or not isinstance(answer, dict):
        return ""
    return reverse("access_requests:attachment", args=[answer["id"]])
