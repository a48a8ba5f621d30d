"""Opening a link: what it says is checked, the grant is asked again, and every request becomes a
row.
"""

import logging
from dataclasses import dataclass
from ipaddress import ip_network

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from access_requests.models import Grant, Tier
from access_requests.selectors import asks_for_grant, check_grant, grant_from, grants_behind
from distribution import links, networks, ranges, selectors
from distribution.models import Artifact, Download, LinkTerms
from distribution.ranges import Span
from distribution.services import quotas
from distribution.stores import get_store
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.prepared import ask, inserting
from portal.refusals import Code, Refusal

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What matters of a request on a link; header values as they came, "" where they did not."""

    method: str
    range: str = ""
    if_range: str = ""
    if_none_match: str = ""
    if_modified_since: str = ""
    of_branch: bool = False  # the address names a branch, which can go back to an older revision
    ip: str = ""
    user_agent: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class Opened:
    """A link that opens. span: the part that was asked for (None: the whole). has_it: the asker
    has these bytes. The part is None too where the store would give the whole.
    """

    download: Download
    artifact: Artifact
    span: Span | None
    has_it: bool

    @property
    def resumes(self) -> bool:
        """Whether the link may be opened again for the rest."""
        return self.download.terms is None or self.download.terms.uses is None

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
        artifact = _admit(token, filename, row, ask.ip)
        opened = _asked(row, artifact, ask)
        _serve_and_count(opened, sends_bytes=ask.method == "GET" and not opened.has_it)
    except Refusal as refusal:
        _deny(row, refusal)
        raise
    return opened


def finish(download: Download, bytes_sent: int) -> None:
    """A transfer that we served is over, whole or not. Where the grant stopped it, `code` says why."""
    with transaction.atomic():
        quotas.settle(download, bytes_sent)
        if download.code:
            assert download.grant is not None
            record(
                Verb.DOWNLOAD_STOPPED,
                download,
                actor=None,
                code=download.code,
                grant=download.grant_id,
                release=download.grant.release_id,
                bytes=bytes_sent,
            )


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
        network=networks.network_of(ask.ip),
        user_agent=ask.user_agent.replace("\0", "")[:200],
        request_id=ask.request_id,
    )


def refused_among(rows: list[Download]) -> dict[int, Refusal]:
    """Of transfers that run, those that their grant or release does not open any more, or whose
    files were taken down; by the row's id.
    """
    refused: dict[int, Refusal] = {}
    grants = {grant.pk: grant for grant in grants_behind({row.grant_id or 0 for row in rows})}
    revisions = selectors.revisions_behind({row.artifact_id or 0 for row in rows})
    for row in rows:
        grant, revision = grants.get(row.grant_id or 0), revisions.get(row.artifact_id or 0)
        if grant is None or revision is None:
            continue
        try:
            check_grant(grant, tier=Tier.WEIGHTS)
            selectors.require_published(grant.release)
            selectors.require_up(revision)
        except Refusal as refusal:
            refused[row.pk] = refusal
    return refused


def _admit(token: str, filename: str, row: Download, ip: str) -> Artifact:
    """The artifact that this link opens now; puts what is known onto the row on the way."""
    claim = links.read(token)
    *granted, artifacts = ask(
        *asks_for_grant(claim.grant_id), selectors.asks_for_artifact(claim.artifact_id)
    )
    grant, artifact = grant_from(*granted), next(iter(artifacts), None)
    if grant is None or artifact is None or artifact.revision.release_id != grant.release_id:
        raise links.not_ours()
    row.grant, row.artifact = grant, artifact
    links.require_name(filename, artifact)
    # The grant first: to the holder of a revoked grant a fresh link is no way out.
    check_grant(grant, tier=Tier.WEIGHTS)
    selectors.require_published(grant.release)
    selectors.require_up(artifact.revision)
    claim.require_fresh(files_url=selectors.files_url(grant.release))
    if claim.terms_id is not None:
        _check_terms(claim.terms_id, row, ip)
    _require_stored(artifact)
    return artifact


def _check_terms(terms_id: int, row: Download, ip: str) -> None:
    terms = LinkTerms.objects.filter(pk=terms_id, grant=row.grant, artifact=row.artifact).first()
    if terms is None:
        raise links.not_ours()
    row.terms = terms
    terms.require_unused()  # also where nothing is counted: HEAD shows no more than GET would
    if terms.network and not networks.is_in(ip, ip_network(terms.network)):
        raise Refusal(
            Code.WRONG_NETWORK,
            f"This link opens from the network {terms.network} alone, and you came from another one.",
            "Open it from there, or get a link of your own for this network.",
            url=selectors.files_url(row.grant.release) if row.grant else "",
        )


def _asked(row: Download, artifact: Artifact, ask: Ask) -> Opened:
    tag = ranges.etag(artifact.sha256)
    if ask.if_none_match:
        has_it = ranges.not_modified(ask.if_none_match, tag)
    else:
        has_it = ranges.not_modified_since(
            ask.if_modified_since, artifact.revision.created_at, may_go_back=ask.of_branch
        )
    span = None
    if ask.method == "GET" and not has_it:  # a range means something to GET alone
        span = ranges.span(ask.range, ask.if_range, size=artifact.size, tag=tag)
        if span and not _binds_range(artifact, ask):
            span = None  # the address opens the whole file, so that is what is counted
    return Opened(row, artifact, span, has_it)


def _binds_range(artifact: Artifact, ask: Ask) -> bool:
    """Whether no more than the range leaves: we or the proxy send it, or the store's address has it in its
    signature. A store may read If-Range otherwise than we do, and send the file.
    """
    store = get_store()
    if store.local_path(artifact.store_key) is not None:
        return True
    return store.binds_range and not ask.if_range


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


def _serve_and_count(opened: Opened, *, sends_bytes: bool) -> None:
    for _ in range(3):  # a second time, and a third where midnight falls in between
        try:
            return _serve(opened, sends_bytes=sends_bytes)
        except quotas.NotCountedYet:
            grant = opened.download.grant
            assert grant is not None
            quotas.begin_counting(grant, opened.artifact)
    raise quotas.NotCountedYet


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
    elif settings.SENDFILE_LOCATION:
        row.outcome = Download.Outcome.HANDED_OVER
    row.first_byte, row.bytes_asked = opened.start, opened.length
    use = quotas.charge(row, artifact, counted=row.outcome == Download.Outcome.SERVED)
    ask(*use, inserting(row))
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
