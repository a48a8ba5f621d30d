"""How much may leave under a grant, and what of it has.

One opening after the other for each grant: the row of the day is locked first, then the file's, then the link's terms.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from access_requests.models import Grant
from distribution import coverage
from distribution.models import Artifact, DayUse, Download, FileUse, LinkTerms, Quota
from distribution.sizes import human
from portal.accounts import roles
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.prepared import Asked, Prepared, ask, update, updating
from portal.refusals import Code, Refusal

# A transfer that we send says every 20 s that it goes on, and holds a place that long after it died.
LEASE = timedelta(seconds=60)
# One that another sends ends unseen. It holds a place as long as its bytes take on a fast line.
FAST = 100_000_000  # bytes a second
LONGEST = timedelta(minutes=2)
A_DAY = 24 * 3600  # seconds
_SOME_DAY = date(2000, 1, 1)
# What every opening asks, written once a process.
_QUOTAS = Prepared(
    lambda grant, release: Quota.objects.filter(Q(grant=grant) | Q(release=release)).order_by(),
    0,
    1,
)
_DAY = Prepared(
    lambda grant, day: (
        DayUse.objects.select_for_update().filter(grant=grant).filter(day=day).order_by()
    ),
    0,
    _SOME_DAY,
)
_USE = Prepared(
    lambda grant, file: (
        FileUse.objects.select_for_update().filter(grant=grant).filter(artifact=file).order_by()
    ),
    0,
    1,
)
_RUNNING = Prepared(
    lambda grant, now: (
        Download.objects.filter(grant=grant)
        .filter(busy_until__gt=now)
        .only("busy_until")
        .order_by()
    ),
    0,
    datetime(2000, 1, 1, tzinfo=UTC),
)


@dataclass(frozen=True)
class Limits:
    """None: no limit."""

    bytes_per_day: int | None
    copies: int | None
    transfers: int | None


def limits_of(grant: Grant) -> Limits:
    """What the grant may use: its own quota, the release's where it says nothing, then the site's."""
    return _limits_from(_QUOTAS.rows(grant.pk, grant.release_id))


def _limits_from(found: list[Quota]) -> Limits:
    sets = [quota.values() for quota in sorted(found, key=lambda quota: quota.grant_id is None)]
    sets.append({"bytes_per_day": None, "copies": None, "transfers": settings.DOWNLOAD_TRANSFERS})

    def first(name: str) -> int | None:
        return next((values[name] for values in sets if values[name] is not None), None)

    return Limits(first("bytes_per_day"), first("copies"), first("transfers"))


@transaction.atomic
def set_quota(
    *,
    actor: Account,
    release: Release | None = None,
    grant: Grant | None = None,
    bytes_per_day: int | None,
    copies: int | None,
    transfers: int | None,
) -> Quota:
    """A manager says how much may leave, for a release or for one grant; None: as the next one up has it.

    Raises the Refusal NOT_ALLOWED, or INVALID for a day's bytes that no file of the release fits into.
    """
    if not roles.is_manager(actor):
        raise Refusal(Code.NOT_ALLOWED, "Only managers set quotas.", "Ask a manager of this site.")
    assert (release is None) != (grant is None), "of a release or of a grant"
    about = grant or release
    assert about is not None
    _check_fits(bytes_per_day, grant.release_id if grant else about.pk)
    of: dict[str, Any] = {"grant": grant} if grant else {"release": release}
    quota = Quota.objects.select_for_update().filter(**of).first() or Quota(**of)
    before = quota.values()
    quota.bytes_per_day, quota.copies, quota.transfers = bytes_per_day, copies, transfers
    quota.set_by = actor
    quota.save()
    if before != quota.values():
        record(Verb.QUOTA_SET, about, actor=actor, before=before, after=quota.values())
    return quota


def _check_fits(bytes_per_day: int | None, release_id: int) -> None:
    files = Artifact.objects.filter(revision__release=release_id, revision__is_current=True)
    largest = files.aggregate(size=Max("size"))["size"] or 0
    if bytes_per_day is not None and bytes_per_day < largest:
        text = f"The largest file has {human(largest)}; nobody could ever fetch it whole."
        raise Refusal(Code.INVALID, text, "Allow at least that.", fields={"bytes_per_day": [text]})


class NotCountedYet(Exception):
    """The rows to count in are not there. The caller ends the transaction, for the row of a file may be locked and
    the day's must be the first; then it calls `begin_counting`, and charges again.
    """


def begin_counting(grant: Grant, artifact: Artifact) -> None:
    """Make the rows that `charge` counts in, outside its transaction."""
    today = timezone.now().date()
    DayUse.objects.bulk_create([DayUse(grant=grant, day=today)], ignore_conflicts=True)
    FileUse.objects.bulk_create([FileUse(grant=grant, artifact=artifact)], ignore_conflicts=True)


def charge(row: Download, artifact: Artifact, *, counted: bool) -> list[Asked[None]]:
    """Take the bytes that the row asks for from what its grant may use, inside the caller's transaction. What is
    to be written of it comes back, so that the caller sends it together with the row.

    counted: we send them ourselves; `settle` gives back what was not sent. Raises the Refusal QUOTA_EXHAUSTED
    or USED_UP, and NotCountedYet at the first opening of the day or of the file.
    """
    assert row.grant is not None
    assert row.first_byte is not None
    now = timezone.now()
    limits, day, use, running = _locked(row.grant, artifact, now)
    _check_places(running, limits, now)
    if row.terms_id:
        _use_link(row.terms_id)
    if use.begins_another(row.first_byte, row.bytes_asked, artifact.size, counted=counted):
        _check_copies(use, artifact, limits)
        use.begin_another()
    fresh = use.take(row.first_byte, row.bytes_asked)
    _check_bytes(day, coverage.total(fresh), limits, now)
    row.fresh, row.bytes_counted = fresh, coverage.total(fresh)
    use.note_whole(artifact.size)
    row.busy_until = now + (LEASE if counted else _time_of(row.bytes_asked))
    if not row.bytes_counted:
        return [updating(use, *use.CHANGING)]
    day.counted += row.bytes_counted
    return [updating(use, *use.CHANGING), updating(day, "counted")]


def _locked(
    grant: Grant, artifact: Artifact, now: datetime
) -> tuple[Limits, DayUse, FileUse, list[Download]]:
    """All that an opening has to know, and the transfers that run; the day is locked before anything is counted."""
    questions: list[Asked[Any]] = [
        _QUOTAS.of(grant.pk, grant.release_id),
        _DAY.of(grant.pk, now.date()),
        _USE.of(grant.pk, artifact.pk),
        _RUNNING.of(grant.pk, now),
    ]
    quotas, days, uses, running = ask(*questions)
    if not (days and uses):
        raise NotCountedYet
    return _limits_from(quotas), days[0], uses[0], running


@transaction.atomic
def settle(row: Download, sent: int) -> None:
    """A transfer that we sent is over, whole or not: what did not leave was not used."""
    assert row.grant is not None
    assert row.artifact is not None
    assert row.first_byte is not None
    place = (row.fresh, row.first_byte, row.bytes_asked, sent)
    row.bytes_sent, row.finished_at, row.busy_until = sent, timezone.now(), None
    if sent < row.bytes_asked:
        (day,), (use,) = ask(
            _DAY.of(row.grant_id, row.started_at.date()), _USE.of(row.grant_id, row.artifact_id)
        )
        lost = use.give_back(*place)
        use.note_whole(row.artifact.size)
        use.save()
        day.counted -= lost
        day.save(update_fields=["counted"])
        row.bytes_counted -= lost
    update(row, "bytes_sent", "bytes_counted", "finished_at", "busy_until", "code")


def hold_places(rows: list[Download]) -> None:
    """These transfers go on."""
    running = Download.objects.filter(pk__in=[row.pk for row in rows], finished_at=None)
    running.update(busy_until=timezone.now() + LEASE)


def _use_link(terms_id: int) -> None:
    terms = LinkTerms.objects.select_for_update().get(pk=terms_id)
    terms.require_unused()
    terms.openings += 1
    terms.save(update_fields=["openings"])


def _check_places(running: list[Download], limits: Limits, now: datetime) -> None:
    if limits.transfers is None:
        return
    until = sorted(row.busy_until for row in running if row.busy_until)
    if len(until) < limits.transfers:
        return
    wait = min(30, max(1, ceil((until[0] - now).total_seconds()))) if until else 30
    raise _exhausted(
        f"{len(until)} transfers run under your grant, and {limits.transfers} may at once.",
        f"Try again in {wait} s, when one of them may have ended.",
        wait,
    )


def _check_copies(use: FileUse, artifact: Artifact, limits: Limits) -> None:
    if limits.copies is not None and use.copies >= limits.copies:
        copies = "1 copy" if use.copies == 1 else f"{use.copies} copies"
        raise _exhausted(
            f"You had {copies} of {artifact.path}; your grant allows {limits.copies}.",
            "Ask a manager of this site to allow another.",
            A_DAY,
        )


def _check_bytes(day: DayUse, wanted: int, limits: Limits, now: datetime) -> None:
    if limits.bytes_per_day is None or day.counted + wanted <= limits.bytes_per_day:
        return
    left = max(0, limits.bytes_per_day - day.counted)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
    raise _exhausted(
        f"Your grant allows {human(limits.bytes_per_day)} a day; {human(left)} of today's are left, and this "
        f"needs {human(wanted)}.",
        "Come back after midnight UTC; what you downloaded so far stays good, and is not counted again.",
        ceil((midnight - now).total_seconds()),
    )


def _exhausted(detail: str, way_out: str, wait: int) -> Refusal:
    return Refusal(Code.QUOTA_EXHAUSTED, detail, way_out, headers={"Retry-After": str(wait)})


def _time_of(length: int) -> timedelta:
    return min(LONGEST, timedelta(seconds=length / FAST))
