"""A new licence version that suspends is so at the download at its next use."""

from access_requests.services import accept_licence, publish_version
from distribution.models import Artifact
from distribution.services import issue_link
from portal.accounts.models import Account
from portal.catalog.models import LicenceVersion
from tests.distribution.asking import ask
from tests.distribution.weights import granted


def test_a_link_given_before_opens_nothing_from_the_moment_a_version_suspends(
    alice: Account, manager: Account, shard: Artifact
) -> None:
    release = shard.revision.release
    grant = granted(alice, release)
    url = issue_link(shard, grant=grant, actor=alice).url
    assert ask(url).status == 200
    publish_version(
        release.family.licence_id,
        actor=manager,
        text="A new text.",
        standing=LicenceVersion.Standing.SUSPEND,
    )
    refused = ask(url)
    assert (refused.status, refused.headers["X-Error-Code"]) == (403, "licence_changed")
    accept_licence(grant.pk, actor=alice, typed_name=alice.name)
    assert ask(url).status == 200
