"""Who has to vouch for an application, how far that is, and what those people read."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from access_requests.models import Application, DecisionPolicy, Waiver, Witness
from access_requests.questions import asked as asked_questions
from access_requests.questions import hidden
from access_requests.selectors.applications import answers_on_the_table, role_in
from access_requests.selectors.people import mailboxes_in
from access_requests.selectors.policy import policies_of
from access_requests.workflow import (
    AWAITED_IN,
    DECIDED_STATES,
    EDITABLE_STATES,
    QUEUE_STATES,
    THE_DESK,
)
from portal.accounts import roles
from portal.accounts.addresses import mailbox
from portal.accounts.models import Account
from portal.catalog.models import LicenceVersion, Release
from portal.refusals import Code, Refusal

Kind, Status = Witness.Kind, Witness.Status
TAKES_WITNESSES = EDITABLE_STATES | QUEUE_STATES  # people can be named
OUT = (Status.REPLACED, Status.CANCELLED)
AGAIN = (Status.ASKED, Status.LAPSED, Status.BOUNCED)  # the mail can be sent once more


def kinds_asked(releases: Iterable[Release]) -> list[Witness.Kind]:
    """Who has to vouch where these releases are asked for."""
    policies = policies_of(releases)
    asks = {
        Kind.OFFICIAL: any(policy.asks_official for policy in policies),
        Kind.REFEREE: any(policy.asks_referee for policy in policies),
    }
    return [kind for kind in Kind if asks[kind]]


def kinds_missing(
    application: Application, releases: Iterable[Release] | None = None
) -> list[Witness.Kind]:
    """Whose answer these releases of the application (all, if not given) still need."""
    asked = kinds_asked(application.releases.all() if releases is None else releases)
    if not asked:
        return []
    there = _answered_by_others(application)
    there |= {one.kind for one in application.waivers.all()}
    return [kind for kind in asked if kind not in there]


def _answered_by_others(application: Application) -> set[str]:
    """The kinds that were answered by somebody who is not, by now, one of those who apply."""
    answered = [one for one in application.witnesses.all() if one.status == Status.ANSWERED]
    erased = application.applicant.erased_at  # then one address stands in place of all
    own = mailboxes_in(application) if answered and not erased else set()
    return {one.kind for one in answered if mailbox(one.email) not in own}


def check_evidence(application: Application, releases: Iterable[Release]) -> None:
    """Raises Refusal EVIDENCE_MISSING while somebody who has to vouch did not."""
    if not (missing := kinds_missing(application, releases)):
        return
    who = " and ".join(f"a {kind.label}" for kind in missing)
    way_out = (
        "Refuse with that reason; a new application names that person."
        if application.state in DECIDED_STATES
        else "Wait for it, send the mail again, return or refuse the application; or a manager "
        "goes without it, with a written reason, under “People who vouch”."
    )
    raise Refusal(
        Code.EVIDENCE_MISSING,
        f"These releases ask for {who}, and the answer is not there.",
        way_out,
        fields={"releases": [f"Missing: {', '.join(str(kind.label) for kind in missing)}."]},
    )


def kinds_unnamed(application: Application) -> list[Witness.Kind]:
    """For which nobody was named yet, so that the application cannot be submitted."""
    asked = kinds_asked(application.releases.all())
    if not asked:
        return []
    named = set(application.witnesses.exclude(status__in=OUT).values_list("kind", flat=True))
    named |= set(application.waivers.values_list("kind", flat=True))
    return [kind for kind in asked if kind not in named]


def outstanding() -> Q:
    """Applications in the queue that somebody who has to vouch did not answer for yet."""
    queue = Application.objects.filter(state__in=QUEUE_STATES)
    answered = Witness.objects.filter(status=Status.ANSWERED)
    waiting = Q()
    for kind, asks in ((Kind.OFFICIAL, "asks_official"), (Kind.REFEREE, "asks_referee")):
        policies = DecisionPolicy.objects.filter(**{asks: True}).values("release")
        lack = (
            Q(releases__in=policies)
            & ~Q(pk__in=answered.filter(kind=kind).values("application"))
            & ~Q(pk__in=Waiver.objects.filter(kind=kind).values("application"))
        )
        waiting |= Q(pk__in=queue.filter(lack).values("pk"))
    return waiting


@dataclass(frozen=True)
class Vouching:
    """How far one kind of vouching is. It holds no word of what was answered."""

    kind: Witness.Kind
    witness: Witness | None  # the newest who was named
    waived: bool
    may_name: bool
    may_send_again: bool

    @property
    def label(self) -> str:
        return str(self.kind.label)

    @property
    def is_awaited(self) -> bool:
        return not self.waived and bool(self.witness and self.witness.status == Status.ASKED)

    @property
    def needs_naming(self) -> bool:
        """Whether nothing happens before the applicant names somebody, or asks again."""
        over = (Status.DECLINED, Status.LAPSED, Status.BOUNCED, Status.CANCELLED)
        gone = self.witness is None or self.witness.status in over
        return self.may_name and not self.waived and gone

    @property
    def state(self) -> str:
        """For programs and for a tag: `missing`, `waived`, `reminded`, or the status."""
        if self.waived:
            return "waived"
        if self.witness is None:
            return "missing"
        reminded = self.witness.reminded_at and self.witness.status == Status.ASKED
        return "reminded" if reminded else self.witness.status

    @property
    def words(self) -> str:
        """For the applicant."""
        if self.waived:
            return "The reviewers go on without it."
        if self.witness is None:
            return "Nobody is named yet."
        return _words(self.witness)


def _words(one: Witness) -> str:
    closed = f"{one.closed_at:%-d %B %Y}" if one.closed_at else ""
    match one.status:
        case Status.NAMED:
            return f"{one.name} is asked by mail when you submit."
        case Status.ASKED:
            assert one.asked_at
            assert one.expires_at
            reminded = f", reminded on {one.reminded_at:%-d %B}" if one.reminded_at else ""
            return (
                f"Asked on {one.asked_at:%-d %B %Y}{reminded}. "
                f"The link in the mail works until {one.expires_at:%-d %B %Y}."
            )
        case Status.ANSWERED:
            return f"Answered on {closed}. What was answered is for the reviewers alone."
        case Status.DECLINED:
            return f"Declined on {closed}. Name another person."
        case Status.LAPSED:
            return "No answer in 30 days. Have the mail sent again, or name another person."
        case Status.BOUNCED:
            return "The mail could not be delivered. Name another person, or correct the address."
    return "No longer asked."


def vouching_of(application: Application) -> list[Vouching]:
    """For each kind that the releases ask for, or that somebody was named for."""
    asked = kinds_asked(application.releases.all())
    people = [one for one in application.witnesses.all() if one.status != Status.REPLACED]
    waived = {one.kind for one in application.waivers.all()}
    open_ = application.state in TAKES_WITNESSES
    found = []
    for kind in Kind:
        named = [one for one in people if one.kind == kind]
        last = named[-1] if named else None
        if kind not in asked and last is None:
            continue
        found.append(
            Vouching(
                kind,
                last,
                kind in waived,
                may_name=open_
                and kind in asked
                and kind not in waived
                and not (last and last.status == Status.ANSWERED),
                may_send_again=application.state in AWAITED_IN
                and kind not in waived
                and bool(last and last.status in AGAIN),
            )
        )
    return found


def waits_for(application: Application, vouching: Sequence[Vouching]) -> str:
    """“your referee, Ada Byron, asked on 3 November 2026”; empty when it waits for nobody."""
    if application.state not in QUEUE_STATES:
        return ""
    told = []
    for one in vouching:
        if one.is_awaited and one.witness and one.witness.asked_at:
            told.append(
                f"your {one.label}, {one.witness.name}, asked on {one.witness.asked_at:%-d %B %Y}"
            )
    return "; and for ".join(told)


def may_go_without(account: Account, application: Application) -> bool:
    """Managers, where they could act on the application: not their own, not recused."""
    return roles.is_manager(account) and role_in(account, application) in THE_DESK


def people_named(application: Application) -> "QuerySet[Witness]":
    """For reviewers: everybody who was named, those replaced too."""
    return application.witnesses.exclude(status=Status.NAMED)


@dataclass(frozen=True)
class Reading:
    """What a witness reads. `digest` tells whether it is still what was on their screen."""

    witness: Witness
    application: Application
    releases: Sequence[Release]
    version: LicenceVersion
    research: tuple[str, str] | None  # the question and the answer that a referee is asked about

    @property
    def digest(self) -> str:
        read: list[Any] = [
            self.application.applicant.name,
            self.application.affiliation,
            [release.repo_id for release in self.releases],
            self.version.sha256,
            self.research,
        ]
        return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def reading_of(witness: Witness) -> Reading:
    application = witness.application
    assert application.acceptance is not None, "nobody is asked before the submission"
    return Reading(
        witness,
        application,
        list(application.releases.order_by("position", "pk")),
        application.acceptance.licence_version,
        described_research(application),
    )


def described_research(application: Application) -> tuple[str, str] | None:
    """The first long text that the form asks for and that is answered, as the reviewers read it."""
    answers = answers_on_the_table(application).answers
    unasked = hidden(application.form.questions, answers)
    for question in asked_questions(application.form.questions):
        text = answers.get(question["key"])
        if question["type"] == "long_text" and question["key"] not in unasked and text:
            return question["label"], str(text)
    return None


def described_question(application: Application) -> str:
    """The label of that question, to tell the applicant what the referee reads."""
    long = [q["label"] for q in asked_questions(application.form.questions) if _is_long(q)]
    return long[0] if long else ""


def _is_long(question: Any) -> bool:
    return bool(question["type"] == "long_text")
