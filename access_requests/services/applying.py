"""What an applicant does: start, save, submit, withdraw."""

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from access_requests import selectors, words
from access_requests.answers import clean_answers
from access_requests.carrying import carry
from access_requests.drafts import version_of
from access_requests.models import Application, Form, Review, State
from access_requests.questions import DEFAULT_QUESTIONS
from access_requests.services.acts import act
from access_requests.services.licences import accept
from access_requests.services.preparing import index
from access_requests.services.questions import make_form
from access_requests.services.searching import search_document
from access_requests.services.witnesses import ask_all, cancel_witnesses, check_named
from access_requests.workflow import EDITABLE_STATES, Action
from portal.accounts.models import Account, Affiliation
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Family, Release
from portal.mail.services import send
from portal.refusals import Code, Refusal


def start(
    *,
    actor: Account,
    releases: Iterable[Release],
    answers: dict[str, Any] | None = None,
    form: Form | None = None,
    base: str | None = None,
) -> Application:
    """A draft for releases of one family; the person's open application of that family if there is
    one.

    Answers given for an open one that may still be changed are saved to it, as `save_draft` does
    with `form` and `base`. Raises Refusal INVALID (no release, of several families, answers that
    do not fit), WITHDRAWN, BLOCKED, TOO_EARLY or CONFLICT.
    """
    chosen = list(releases)
    family = _one_family(chosen)
    _none_withdrawn(chosen)
    existing = selectors.open_application(actor, family)
    if existing is None:
        selectors.check_may_apply(actor, family)
        try:
            return _create(actor, family, chosen, answers)
        except IntegrityError:  # a second click was quicker: that one is the application
            existing = selectors.open_application(actor, family)
            if existing is None:
                raise
    if answers is not None and existing.state in EDITABLE_STATES:
        return save_draft(
            existing.pk, actor=actor, releases=chosen, answers=answers, form=form, base=base
        )
    return existing


@transaction.atomic
def _create(
    actor: Account, family: Family, releases: list[Release], answers: dict[str, Any] | None
) -> Application:
    form = _saved_form(family)
    cleaned = _given(_typed(form, answers or {}, {}))
    application = Application.objects.create(
        applicant=actor, family=family, form=form, answers=cleaned
    )
    application.releases.set(releases)
    record(
        Verb.APPLICATION_STARTED,
        application,
        actor=actor,
        family=family.slug,
        releases=[release.repo_id for release in releases],
    )
    return application


def _saved_form(family: Family) -> Form:
    form = selectors.current_form(family)
    return form if form.pk else make_form(family, DEFAULT_QUESTIONS)


def save_draft(
    application_id: int,
    *,
    actor: Account,
    releases: Iterable[Release] | None = None,
    answers: dict[str, Any] | None = None,
    form: Form | None = None,
    base: str | None = None,
) -> Application:
    """Save what is written so far. Answers and releases that are not given stay as they are.

    `form` holds the questions that were on the page: a draft of an older form moves to it, with
    every answer that fits. `base` is the version of the draft that was on the page
    (`drafts.version_of`). Raises Refusal INVALID naming each answer that does not fit, or CONFLICT
    where the draft was changed elsewhere since; then nothing is changed.
    """
    with act(application_id, Action.SAVE, actor=actor) as (application, _):
        before, changed_at = version_of(application), application.updated_at
        if form is not None:
            _move(application, form)
        if answers is not None:
            cleaned = _typed(application.form, answers, application.answers)
            application.answers = _given({**application.answers, **cleaned})
        application.save(update_fields=["form", "answers", "carried", "updated_at"])
        if releases is not None:
            chosen = list(releases)
            if _one_family(chosen) != application.family:
                raise _several_families()
            _none_withdrawn(chosen)
            application.releases.set(chosen)
        # A save of what is there already is no conflict: it was a second click.
        if base is not None and base != before and version_of(application) != before:
            raise Refusal(
                Code.CONFLICT,
                "This draft was changed in another window or by a program since this page was "
                "opened.",
                "Compare both texts and choose; nothing of either is lost.",
                since=changed_at,
                url=reverse("access_requests:edit", args=[application.pk]),
            )
    return application


def _move(application: Application, form: Form) -> None:
    """To a newer form of the family; what was submitted stays on its form.

    What is new, what changed and what is no longer asked stays written down in `carried` until the
    draft is submitted.
    """
    old = application.form
    if application.submitted_at or form.family_id != old.family_id or form.version <= old.version:
        return
    carried = carry(old, application.answers, form)
    application.form = form
    application.answers = _given(carried.answers)
    application.carried = carried.told(application.carried, source=f"version {old.version}")


def _typed(form: Form, answers: Any, before: dict[str, Any]) -> dict[str, Any]:
    """Clean answers of a draft, files left out: those come and go by `attach` and `detach`."""
    cleaned = clean_answers(form, answers, strict=False)
    for question in form.questions:
        if question["type"] != "attachment":
            continue
        given = cleaned.pop(question["key"], None)
        if given and given != before.get(question["key"]):
            text = "A file is not sent among the answers."
            raise Refusal(
                Code.INVALID,
                f"{question['label']}: {text}",
                "Send it to the application's attachments first.",
                fields={question["key"]: [text]},
            )
    return cleaned


def submit(
    application_id: int, *, actor: Account, typed_name: str, text_sha256: str | None = None
) -> Application:
    """Hand the application in, accepting the current licence by typing one's name.

    `text_sha256` is the digest of the licence text that was read, where the caller knows it.
    Raises Refusal: INVALID (affiliation, answers, name, nobody named to vouch), WITHDRAWN, LICENCE_CHANGED, WRONG_STATE
    (already submitted).
    """
    with act(application_id, Action.SUBMIT, actor=actor) as (application, to):
        selectors.check_not_blocked(actor, application.family)
        affiliation = _affiliation(application)
        application.answers = _given(
            clean_answers(application.form, application.answers, strict=True)
        )
        check_named(application)
        if not application.releases.exclude(status=Release.Status.WITHDRAWN).exists():
            raise _withdrawn(list(application.releases.all()))
        application.acceptance = accept(
            application.family.licence.current,
            actor=actor,
            typed_name=typed_name,
            text_sha256=text_sha256,
        )
        application.affiliation = affiliation.snapshot()
        application.category = application.affiliation["category"]
        application.carried = {}
        application.search_text = search_document(application)
        application.submitted_at = application.submitted_at or timezone.now()
        again = application.state == State.RETURNED
        application.state = to
        application.save(
            update_fields=[
                "answers",
                "carried",
                "acceptance",
                "affiliation",
                "category",
                "search_text",
                "submitted_at",
                "state",
                "updated_at",
            ]
        )
        record(Verb.APPLICATION_SUBMITTED, application, actor=actor, state=str(to), again=again)
        ask_all(application, actor=actor)
        index(application)
        _tell_of_submission(application, again=again)
    return application


def _tell_of_submission(application: Application, *, again: bool) -> None:
    send(
        "application_submitted",
        to=application.applicant,
        application=application,
        again=again,
        position=selectors.queue_position(application),
        times=selectors.time_to_decision(),
    )
    if application.claimed_by and application.state == State.IN_REVIEW:
        Review.objects.create(application=application, reviewer=application.claimed_by)
        send(
            "application_corrected",
            to=application.claimed_by,
            application=application,
            changed=words.corrections(application),
        )


def withdraw(application_id: int, *, actor: Account) -> Application:
    """Take the application back; a new one can be started at once."""
    with act(application_id, Action.WITHDRAW, actor=actor) as (application, to):
        was = application.state
        application.state = to
        application.save(update_fields=["state", "updated_at"])
        application.reviews.filter(outcome=Review.Outcome.OPEN).update(
            outcome=Review.Outcome.WITHDRAWN, closed_at=timezone.now()
        )
        cancel_witnesses(application, actor=actor)
        record(Verb.APPLICATION_WITHDRAWN, application, actor=actor, was=was)
        if application.submitted_at:
            send("application_withdrawn", to=application.applicant, application=application)
    return application


def _given(answers: dict[str, Any]) -> dict[str, Any]:
    """Without what was left empty, so that an answer cleared and an answer never given are one."""
    return {key: value for key, value in answers.items() if value not in (None, "", [])}


def _affiliation(application: Application) -> Affiliation:
    found = Affiliation.objects.filter(account=application.applicant).first()
    if found is None:
        back = reverse("access_requests:licence", args=[application.pk])
        raise Refusal(
            Code.INVALID,
            "Your affiliation is missing; reviewers read it first.",
            "Fill it in on your profile; your answers are kept.",
            url=f"{reverse('accounts:profile')}?next={back}",
        )
    return found


def _one_family(releases: list[Release]) -> Family:
    if not releases:
        text = "Choose at least one release."
        raise Refusal(
            Code.INVALID,
            text,
            "The catalogue lists what there is.",
            url=reverse("catalog:releases"),
            fields={"releases": [text]},
        )
    if len({release.family_id for release in releases}) > 1:
        raise _several_families()
    return releases[0].family


def _several_families() -> Refusal:
    text = "The releases of one application belong to one family, for they come under one licence."
    return Refusal(
        Code.INVALID, text, "Make one application for each family.", fields={"releases": [text]}
    )


def _none_withdrawn(releases: list[Release]) -> None:
    if gone := [release for release in releases if release.status == Release.Status.WITHDRAWN]:
        raise _withdrawn(gone)


def _withdrawn(gone: list[Release]) -> Refusal:
    names = ", ".join(release.name for release in gone)
    text = f"{names}: withdrawn by the publisher."
    return Refusal(
        Code.WITHDRAWN,
        text,
        "Choose other releases; your answers are kept.",
        url=reverse("catalog:releases"),
        fields={"releases": [text]},
    )
