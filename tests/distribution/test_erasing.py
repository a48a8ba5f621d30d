"""Downloads of an erased person: what and when stays, from where does not."""

from datetime import timedelta

from django.utils import timezone

from access_requests.models import Grant, LicenceAcceptance
from distribution.models import Artifact, Download
from portal.accounts import erasing, own_data
from portal.accounts.models import Account, Erasure
from portal.catalog.models import Release
from tests.people import person


def downloaded(account: Account, release: Release, artifact: Artifact) -> Download:
    """Under a grant that has ended since."""
    version = release.family.licence.current
    acceptance = LicenceAcceptance.objects.create(
        account=account, licence_version=version, typed_name="", text_sha256=version.sha256
    )
    now = timezone.now()
    grant = Grant.objects.create(
        account=account, release=release, acceptance=acceptance, starts_at=now, ends_at=now
    )
    return Download.objects.create(
        grant=grant,
        artifact=artifact,
        outcome=Download.Outcome.SERVED,
        method="GET",
        bytes_asked=7,
        network="192.0.2.0/24",
        user_agent="curl/8 of alice",
        request_id="alice-1",
    )


def test_one_is_told_of_ones_own_downloads(
    alice: Account, release: Release, shard: Artifact
) -> None:
    downloaded(alice, release, shard)
    bob = person("bob")
    (row,) = own_data.own_data(alice)["downloads"]
    assert (row["artifact__path"], row["network"]) == ("consolidated.00.pth", "192.0.2.0/24")
    assert own_data.own_data(bob)["downloads"] == []


def erased(account: Account) -> None:
    """As if a week had gone by."""
    Erasure.objects.create(
        account=account, asked_by=account, due_at=timezone.now() - timedelta(seconds=1)
    )
    erasing.erase(account.pk)


def test_where_from_is_forgotten_and_what_is_kept(
    alice: Account, release: Release, shard: Artifact
) -> None:
    hers = downloaded(alice, release, shard)
    others = downloaded(person("bob"), release, shard)
    erased(alice)
    hers.refresh_from_db()
    others.refresh_from_db()
    assert (hers.network, hers.user_agent, hers.request_id) == ("", "", "")
    assert (hers.artifact, hers.bytes_asked, hers.outcome) == (shard, 7, "served")
    assert (others.network, others.user_agent) == ("192.0.2.0/24", "curl/8 of alice")
