"""Names that managers give to revisions."""

import re

from distribution.folders import SEGMENT
from distribution.models import Revision, Tag
from distribution.selectors import HEAD, MAIN, SHORTEST_PREFIX
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.services import record
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

DIGESTLIKE = re.compile(rf"[0-9a-f]{{{SHORTEST_PREFIX},40}}")


def check_name(name: str) -> None:
    """Raise the Refusal INVALID unless the name can be a tag's: it must not be taken for the branch
    or for a digest.
    """
    if name in (MAIN, HEAD) or DIGESTLIKE.fullmatch(name) or not SEGMENT.fullmatch(name):
        raise Refusal(
            Code.INVALID,
            f"{name!r} cannot be a tag.",
            f"Use letters, digits and _ . + - as in v1.0; not {MAIN!r} or {HEAD!r}, nor what looks like a digest.",
        )


def give(name: str, release: Release, revision: Revision, actor: Account | None) -> None:
    """Name the revision; the caller holds the release's row. Again for the same revision it changes
    nothing. Raises the Refusal CONFLICT where the name is another revision's.
    """
    tag, created = Tag.objects.get_or_create(
        release=release, name=name, defaults={"revision": revision, "created_by": actor}
    )
    if tag.revision_id != revision.pk:
        raise Refusal(
            Code.CONFLICT,
            f"{name} of {release.repo_id} is revision {tag.revision.digest[:12]} already.",
            "A tag is never moved: choose another name.",
        )
    if created:
        record(Verb.RELEASE_TAGGED, release, actor=actor, digest=revision.digest, tag=name)
