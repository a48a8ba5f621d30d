"""What happens to an application after its submission, before a reviewer opens it."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from access_requests import evidence, orcid_api
from access_requests.models import AnswerBand, Application, OrcidRecord, State
from access_requests.names import name_key
from access_requests.services.rules import apply_rules
from access_requests.workflow import QUEUE_STATES
from portal.accounts.models import ORCID_FORM
from portal.queue import enqueue_on_commit

log = logging.getLogger(__name__)
KEEPS = timedelta(days=7)  # a public record is not looked up again before
INDEX_BATCH = 100  # applications written at once: a second of work, for which others wait
SWEEP_AFTER = timedelta(minutes=2)  # the task that was queued has that long


def index(application: Application) -> None:
    """Keep what evidence finds it by, inside the caller's transaction, and queue the rest.

    Saves its own fields.
    """
    keep_index(application)
    application.prepared_at = None
    application.save(update_fields=["institution_key", "ror", "prepared_at", "updated_at"])
    from access_requests import tasks

    enqueue_on_commit(tasks.prepare_review, application.pk)


def keep_index(application: Application) -> None:
    """The institution's key and ROR id (not saved), and the fingerprint of its long answers."""
    _name_institution(application)
    application.answer_bands.all().delete()
    AnswerBand.objects.bulk_create(evidence.fingerprint(application))


def _name_institution(application: Application) -> None:
    application.institution_key = name_key(application.affiliation.get("institution", ""))
    application.ror = evidence.ror_of(application)


def prepare_review(application_id: int) -> None:
    """Look up what takes time, and then ask the rules. Doing it again does nothing more."""
    application = Application.objects.filter(pk=application_id, prepared_at=None).first()
    if application is None or application.submitted_at is None:
        return
    look_up_orcid(application.affiliation.get("orcid", ""))
    apply_rules(application_id)
    # What was submitted again meanwhile, or appealed, has a preparation of its own before it.
    same = {"acceptance": application.acceptance_id, "appealed_at": application.appealed_at}
    Application.objects.filter(pk=application_id, **same).update(prepared_at=timezone.now())


def prepare_left_over() -> int:
    """What a broker that was down, or a worker that died, left unprepared: first submissions, and later ones.

    The newest first, so that some that can never be prepared hold up no other.
    """
    left = Application.objects.filter(
        prepared_at=None,
        state__in=QUEUE_STATES,
        updated_at__lt=timezone.now() - SWEEP_AFTER,
    )
    ids = list(left.order_by("-updated_at").values_list("pk", flat=True)[:200])
    for pk in ids:
        try:
            prepare_review(pk)
        except Exception:  # one that cannot be prepared holds up no other
            log.exception("Application %s could not be prepared", pk)
    return len(ids)


def look_up_orcid(orcid: str) -> OrcidRecord | None:
    """The public record, from the last days or asked for now. No request where none is set up."""
    if not settings.ORCID_API or not ORCID_FORM.match(orcid):
        return None
    now = timezone.now()
    kept = OrcidRecord.objects.filter(pk=orcid).first()
    if kept and not kept.problem and kept.looked_up_at > now - KEEPS:
        return kept
    # Slow, and outside of any transaction.
    try:
        person, problem = orcid_api.look_up(settings.ORCID_API, orcid), ""
    except orcid_api.LookUpFailed as failure:
        person, problem = None, str(failure)
    found, _ = OrcidRecord.objects.update_or_create(
        orcid=orcid,
        defaults={
            "found": person is not None,
            "name": person.name if person else "",
            "other_names": person.other_names if person else [],
            "employers": person.employers if person else [],
            "problem": problem,
            "looked_up_at": now,
        },
    )
    return found


def index_again(applications: "QuerySet[Application]") -> int:
    """Keep anew what evidence finds them by: after an upgrade, or when a list was loaded. How many.

    By the batch, each read and written on its own: one long reading would keep SQLite from
    tidying up behind it, and its log would grow to many times the database.
    """
    count, last = 0, 0
    rows = applications.select_for_update(of=("self",)).order_by("pk")
    while True:
        with transaction.atomic():
            batch = list(rows.filter(pk__gt=last).select_related("applicant", "form")[:INDEX_BATCH])
            _index_again(batch)
        if not batch:
            return count
        count, last = count + len(batch), batch[-1].pk


def _index_again(batch: list[Application]) -> None:
    before = {one.pk: (one.institution_key, one.ror) for one in batch}
    for application in batch:
        _name_institution(application)
    changed = [one for one in batch if before[one.pk] != (one.institution_key, one.ror)]
    bands = [band for application in batch for band in evidence.fingerprint(application)]
    AnswerBand.objects.filter(application__in=batch).delete()
    AnswerBand.objects.bulk_create(bands)
    Application.objects.bulk_update(changed, ["institution_key", "ror"])


def to_index() -> "QuerySet[Application]":
    """Every application that reviewers know of."""
    return Application.objects.exclude(submitted_at=None).exclude(state=State.DRAFT)
