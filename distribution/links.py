"""Signed links: `/download/<token>/<filename>`, with no query for a mail client to break.

The token says grant, artifact and expiry, each in base 62, under HMAC-SHA256:
`3.1f.1tXabc.<signature>`; a link with terms of its own (a network, a number of uses) names their row
as well: `3.1f.1tXabc.7.<signature>`. It opens nothing by itself: whoever serves it asks the grant
again. Keys rotate through SECRET_KEY_FALLBACKS.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from distribution import pasted
from distribution.models import Artifact
from portal.refusals import Code, Refusal

SALT = "distribution.link"
MAX_TOKEN = 200  # characters; ours have about 60
MOST_ID = 2**63 - 1  # of a row in the database


@dataclass(frozen=True)
class Link:
    """What a person or a program gets: the file's path in the release, and where to fetch it
    until when.
    """

    path: str
    url: str
    expires_at: datetime
    size: int
    sha256: str


@dataclass(frozen=True)
class Claim:
    """What a genuine token says. Whether it still opens anything is not said."""

    grant_id: int
    artifact_id: int
    expires_at: datetime
    terms_id: int | None = None

    def require_fresh(self, *, files_url: str) -> None:
        """Raise the Refusal EXPIRED once its time is over. files_url: where the way out begins."""
        if timezone.now() >= self.expires_at:
            raise Refusal(
                Code.EXPIRED,
                "This link has expired.",
                f"Open {settings.BASE_URL}{files_url} to get a fresh one; what you downloaded so "
                f"far stays good.",
                since=self.expires_at,
                url=files_url,
            )


def url(
    grant_id: int, artifact: Artifact, *, expires_at: datetime, terms_id: int | None = None
) -> str:
    """The absolute address of a link; its expiry counts in whole seconds."""
    signed = token(grant_id, artifact, expires_at=expires_at, terms_id=terms_id)
    return settings.BASE_URL + reverse("distribution:download", args=[signed, artifact.path])


def token(
    grant_id: int, artifact: Artifact, *, expires_at: datetime, terms_id: int | None = None
) -> str:
    """What `read` reads."""
    numbers = [grant_id, artifact.pk, int(expires_at.timestamp())]
    numbers += [] if terms_id is None else [terms_id]
    return _signer().sign(".".join(map(signing.b62_encode, numbers)))


def read(token: str) -> Claim:
    """What the token says, if it is one of ours; what pasting did to it is undone first. Raises the
    Refusal SIGNATURE_INVALID, which says what looks damaged.
    """
    claim = _genuine(token)
    if claim is None and (cleaned := pasted.clean(token)) != token:
        token, claim = cleaned, _genuine(cleaned)
    if claim is None:
        raise not_ours(pasted.damage(token))
    return claim


def _genuine(token: str) -> Claim | None:
    if len(token) > MAX_TOKEN or not token.isascii():
        return None
    try:
        numbers = [signing.b62_decode(part) for part in _signer().unsign(token).split(".")]
        grant_id, artifact_id, seconds, *terms = numbers
        if len(terms) > 1 or max(numbers) > MOST_ID:
            return None
        expires_at = datetime.fromtimestamp(seconds, UTC)
    except (signing.BadSignature, ValueError, OverflowError):
        return None
    return Claim(grant_id, artifact_id, expires_at, terms[0] if terms else None)


def require_name(filename: str, artifact: Artifact) -> None:
    """Raise the Refusal SIGNATURE_INVALID unless the last part of the address is the artifact's own name,
    but for what pasting did to it.
    """
    if artifact.path in pasted.readings(filename):
        return
    if not filename:
        raise not_ours(f"the name of the file at its end is missing (/{artifact.path})")
    raise not_ours(f"it is the link of {artifact.path}, and the end of it says otherwise")


def not_ours(damage: str = "") -> Refusal:
    """damage: what looks wrong, as a part of a sentence."""
    what = f" What looks wrong: {damage}." if damage else ""
    return Refusal(
        Code.SIGNATURE_INVALID,
        f"This link was altered, cut short, or is not one of ours.{what}",
        "Copy it again as a whole, or get a fresh one on the files page of the release.",
        url=reverse("catalog:releases"),
    )


def _signer() -> signing.Signer:
    # Made at each use, not once: it holds the keys, and they can change under a test or a reload.
    return signing.Signer(sep=".", salt=SALT, algorithm="sha256")
