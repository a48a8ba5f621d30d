"""Opening a link: what it says is checked, the grant is asked again, and every request becomes a
row.
"""

import logging
from dataclasses import dataclass
from ipaddress import ip_address

from django.db import transaction
from django.utils import timezone

from access_requests.models import Grant, Tier
from access_requests.selectors import check_grant
from distribution import links, ranges, selectors
from distribution.models import Artifact, Download
from distribution.ranges import Span
from distribution.stores import get_store
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.refusals import Code, Refusal

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What matters of a request on a link; header values as they came, "" where they did not."""

    method: str
    range: str = ""
    if_range: str = ""
    if_none_match: str = ""
    ip: str = ""
    user_agent: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class Opened:
    """A link that opens. span: the part that was asked for (None: the whole). has_it: the asker
    has these bytes.
    """

    download: Download
    artifact: Artifact
    span: Span | None
    has_it: bool

    @property
    def start(self) -> int:
        return self.span.start if self.span else 0

    @property
    def length(self) -> int:
        return self.span.length if self.span else self.artifact.size


def open_link(token: str, filename: str, ask: Ask) -> Opened:
    """Check everything that a request on a link must pass, and write its row, served or denied.

    Raises Refusal. Call it outside a transaction: the row of a denial has to stay.
    """
    row = _row(ask)
    try:
        artifact = _admit(token, filename, row)
        tag = ranges.etag(artifact.sha256)
        has_it = bool(ask.if_none_match) and ranges.not_modified(ask.if_none_match, tag)
        span = None
        if ask.method == "GET" and not has_it:  # a range means something to GET alone
            span = ranges.span(ask.range, ask.if_range, size=artifact.size, tag=tag)
    except Refusal as refusal:
        _deny(row, refusal)
        raise
    opened = Opened(row, artifact, span, has_it)
    _serve(opened, sends_bytes=ask.method == "GET" and not has_it)
    return opened


def finish(download: Download, bytes_sent: int) -> None:
    """A transfer that we served is over, whole or not."""
    download.bytes_sent, download.finished_at = bytes_sent, timezone.now()
    download.save(update_fields=["bytes_sent", "finished_at"])


def deny(
    ask: Ask, refusal: Refusal, *, grant: Grant | None, artifact: Artifact | None, actor: Account
) -> None:
    """Write down that a person's program was refused at a door that needs no link."""
    row = _row(ask)
    row.grant, row.artifact = grant, artifact
    _deny(row, refusal, actor=actor)


def _row(ask: Ask) -> Download:
    return Download(
        method=ask.method[:8],
        ip=_address(ask.ip),
        user_agent=ask.user_agent.replace("\0", "")[:200],
        request_id=ask.request_id,
    )


def _admit(token: str, filename: str, row: Download) -> Artifact:
    """The artifact that this link opens now; puts what is known onto the row on the way."""
    claim = links.read(token)
    grant = (
        Grant.objects.select_related(
            "account", "release__family__licence", "acceptance__licence_version"
        )
        .filter(pk=claim.grant_id)
        .first()
    )
    artifact = Artifact.objects.select_related("revision").filter(pk=claim.artifact_id).first()
    if grant is None or artifact is None or artifact.revision.release_id != grant.release_id:
        raise links.not_ours()
    row.grant, row.artifact = grant, artifact
    if not links.names(filename, artifact):
        raise links.not_ours()
    # The grant first: to the holder of a revoked grant a fresh link is no way out.
    check_grant(grant, tier=Tier.WEIGHTS)
    selectors.require_published(grant.release)
    selectors.require_up(artifact.revision)
    claim.require_fresh(files_url=selectors.files_url(grant.release))
    _require_stored(artifact)
    return artifact


def _require_stored(artifact: Artifact) -> None:
    """A directory can lose a file, and is quick to ask; S3 says so itself when it is asked for
    the bytes.
    """
    path = get_store().local_path(artifact.store_key)
    if path is not None and not (path.is_file() and path.stat().st_size == artifact.size):
        log.error(
            "%s of revision %s is missing from the store: %s",
            artifact.path,
            artifact.revision.digest,
            path,
        )
        raise Refusal(
            Code.UNAVAILABLE,
            "The store does not have this file at the moment; it was logged.",
            "Try again later; your grant and your link stay good.",
        )


@transaction.atomic
def _deny(row: Download, refusal: Refusal, *, actor: Account | None = None) -> None:
    row.outcome, row.code, row.finished_at = (
        Download.Outcome.DENIED,
        str(refusal.code),
        timezone.now(),
    )
    row.save()
    record(
        Verb.DOWNLOAD_DENIED,
        row,
        actor=actor,
        code=row.code,
        grant=row.grant_id,
        artifact=row.artifact_id,
        release=row.grant.release_id if row.grant else None,
    )


@transaction.atomic
def _serve(opened: Opened, *, sends_bytes: bool) -> None:
    """The row of an opened link; an event where bytes leave."""
    row, artifact = opened.download, opened.artifact
    row.outcome = Download.Outcome.SERVED
    if not sends_bytes:
        row.bytes_sent, row.finished_at = 0, timezone.now()
        row.save()
        return
    if get_store().local_path(artifact.store_key) is None:
        row.outcome = Download.Outcome.REDIRECTED
    row.first_byte, row.bytes_asked = opened.start, opened.length
    row.save()
    assert row.grant is not None
    record(
        Verb.DOWNLOAD_STARTED,
        row,
        actor=row.grant.account,
        grant=row.grant_id,
        artifact=row.artifact_id,
        release=row.grant.release_id,
        first_byte=row.first_byte,
        bytes=row.bytes_asked,
    )


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:  # a unix socket, or a proxy that hides it
        return None
