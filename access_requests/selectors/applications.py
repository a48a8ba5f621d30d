"""Reads of applications: who may see which."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet, prefetch_related_objects
from django.http import Http404

from access_requests.models import (
    Application,
    Attachment,
    AutomaticRule,
    CoApplicant,
    Form,
    LicenceAcceptance,
    Message,
    Note,
    Opinion,
    Recusal,
    Review,
    Waiver,
)
from access_requests.questions import DEFAULT_QUESTIONS
from access_requests.selectors.people import is_in
from access_requests.selectors.policy import why_barred
from access_requests.selectors.second_looks import check_not_blind, open_look
from access_requests.workflow import EDITABLE_STATES, OPEN_STATES, Role, State
from portal.accounts import roles
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from portal.refusals import Code, Refusal


def role_in(account: Account, application: Application) -> Role:
    """What the person is to this application. An applicant is never its reviewer."""
    if application.applicant_id == account.pk:
        return Role.APPLICANT
    if not account.is_active and AutomaticRule.objects.filter(account=account).exists():
        return Role.RULE
    if application.submitted_at is None or not roles.is_reviewer(account):
        return Role.STRANGER
    if is_in(account, application):  # a co-applicant reviews it no more than the applicant does
        return Role.STRANGER
    if why_barred(account, application):
        return Role.BARRED
    if application.claimed_by_id == account.pk:
        return Role.CLAIMANT
    return Role.MANAGER if roles.is_manager(account) else Role.REVIEWER


def why_not_decider(account: Account, *, holder: Account, application: Application | None) -> str:
    """Why this person may not decide on the holder's access by the application; empty when they may."""
    if account.pk == holder.pk:
        return "Nobody decides on their own access."
    if application is None:
        return "" if roles.is_reviewer(account) else "Reviewers decide on access."
    if application.applicant_id == account.pk or is_in(account, application):
        return "You are part of this application."
    role = role_in(account, application)
    if role == Role.STRANGER:
        return "Reviewers decide on access."
    return why_barred(account, application) if role == Role.BARRED else ""


def with_parts(applications: "QuerySet[Application]") -> "QuerySet[Application]":
    """With what every page and every answer of the API shows."""
    releases = Release.objects.select_related("family", "decision_policy")
    return applications.select_related(
        "applicant",
        "family",
        "family__licence",
        "family__review_target",
        "form",
        "claimed_by",
        "decided_by",
    ).prefetch_related(Prefetch("releases", queryset=releases))


def read_case(application: Application) -> Application:
    """With all that gathered around it, read once for a page that shows it and for the evidence beside it.

    Not under a lock: an act writes some of it, and would not see what it wrote.
    """
    prefetch_related_objects(
        [application],
        Prefetch(
            "acceptance", LicenceAcceptance.objects.select_related("licence_version__licence")
        ),
        Prefetch("coapplicants", CoApplicant.objects.select_related("account")),
        Prefetch("messages", Message.objects.select_related("author")),
        Prefetch("notes", Note.objects.select_related("author")),
        Prefetch("opinions", Opinion.objects.select_related("reviewer", "asked_by")),
        Prefetch("recusals", Recusal.objects.select_related("reviewer")),
        Prefetch("reviews", Review.objects.select_related("reviewer")),
        Prefetch("waivers", Waiver.objects.select_related("decided_by")),
        "second_looks",
        "witnesses",
    )
    return application


def submitted() -> "QuerySet[Application]":
    """What reviewers may know of: everything that was ever submitted.

    A draft is its writer's own.
    """
    return with_parts(Application.objects.exclude(submitted_at=None))


def applications_of(account: Account) -> "QuerySet[Application]":
    """One's own, newest first."""
    return with_parts(account.applications.all())


def application_for(account: Account, pk: int) -> Application:
    """One's own application, or for reviewers any that was submitted.

    Raises Http404 for all others, Refusal while the person owes it a second look.
    """
    visible = Q(applicant=account)
    if roles.is_reviewer(account):
        visible |= Q(submitted_at__isnull=False)
    found = with_parts(Application.objects.filter(visible)).filter(pk=pk).first()
    if found is None:
        raise Http404("no such application, or none that this person may know of")
    if found.applicant_id != account.pk:
        check_not_blind(account, found.pk)
    return found


def attachment_for(account: Account, public_id: UUID) -> Attachment:
    """A file of one's own application, or for reviewers one that its answers on the table name.

    Raises Http404 for all others.
    """
    found = Attachment.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404("no such file")
    if look := open_look(account, found.application_id):
        if found.answer() not in look.seen["answers"].values():
            raise Http404("a file that was not handed in")
        return found
    application = application_for(account, found.application_id)
    if application.applicant_id != account.pk:
        table = answers_on_the_table(application)
        answers = [*table.answers.values(), *(table.before or {}).values()]
        if found.answer() not in answers:
            raise Http404("a file that was not handed in")
    return found


def startable_from(account: Account, family: Family) -> Application | None:
    """The person's last application whose answers a new one of the family can start from: of this
    family if there is one.
    """
    done = account.applications.select_related("family", "form").exclude(answers={})
    closed = done.exclude(state__in=OPEN_STATES)
    return closed.filter(family=family).first() or done.exclude(family=family).first()


@dataclass(frozen=True)
class OnTheTable:
    """The answers that a reviewer reads: never ones that the applicant is still typing."""

    answers: Mapping[str, Any]
    before: Mapping[str, Any] | None  # as they were when returned, once they came back corrected
    affiliation_before: Mapping[str, Any] | None = None  # likewise


def last_return(application: Application) -> Message | None:
    """The last return for correction: what to mend, and the answers as they were."""
    returns = [one for one in application.messages.all() if one.is_return]
    return returns[-1] if returns else None


def answers_on_the_table(application: Application) -> OnTheTable:
    returned = last_return(application)
    if returned is None:
        return OnTheTable(application.answers, None)
    if application.state in EDITABLE_STATES:
        return OnTheTable(returned.answers_before, None)
    return OnTheTable(
        application.answers, returned.answers_before, returned.affiliation_before or None
    )


def open_application(account: Account, family: Family) -> Application | None:
    """The one application of that family that is not decided yet."""
    return account.applications.filter(family=family, state__in=OPEN_STATES).first()


def refused_last(account: Account, family: Family) -> Application | None:
    """The person's last application of the family, where it was refused: a new one begins with its
    answers.
    """
    last = account.applications.select_related("family", "form").filter(family=family).first()
    return last if last and last.state == State.REFUSED else None


def current_form(family: Family) -> Form:
    """The newest form of the family; one with the default questions, not saved, when it has
    none.
    """
    newest = family.forms.order_by("-version").first()
    return newest or Form(family=family, version=1, questions=DEFAULT_QUESTIONS)


def newer_form(application: Application) -> Form | None:
    """The newest form, where a draft that nobody has seen still answers an older one."""
    newest = current_form(application.family)
    moves = newest.pk and newest.version > application.form.version
    return newest if moves and not application.submitted_at else None


def releases_named(names: list[str]) -> list[Release]:
    """The releases of these slugs or repo ids.

    Raises Refusal INVALID naming those that do not exist.
    """
    found = Release.objects.select_related("family").filter(
        Q(slug__in=names) | Q(repo_id__in=names)
    )
    releases = list(found)
    known = {name for release in releases for name in (release.slug, release.repo_id)}
    if missing := [name for name in names if name not in known]:
        text = f"There is no release {', '.join(missing)}."
        raise Refusal(
            Code.INVALID,
            text,
            "The catalogue lists what there is.",
            url="/releases/",
            fields={"releases": [text]},
        )
    return releases
