"""Signed links: `/download/<token>/<filename>`, with no query for a mail client to break.

The token says grant, artifact and expiry, each in base 62, under HMAC-SHA256:
`3.1f.1tXabc.<signature>`. It opens nothing by itself: whoever serves it asks the grant again. Keys
rotate through SECRET_KEY_FALLBACKS.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from distribution.models import Artifact
from portal.refusals import Code, Refusal

SALT = "distribution.link"
MAX_TOKEN = 200  # characters; ours have about 60
# What a mail client or a sentence leaves behind a pasted link. None of them can end the name of a
# file of ours.
PASTED = ".,;:!?)>]}'\""


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


def url(grant_id: int, artifact: Artifact, *, expires_at: datetime) -> str:
    """The absolute address of a link; its expiry counts in whole seconds."""
    signed = token(grant_id, artifact, expires_at=expires_at)
    return settings.BASE_URL + reverse("distribution:download", args=[signed, artifact.path])


def token(grant_id: int, artifact: Artifact, *, expires_at: datetime) -> str:
    """What `read` reads."""
    numbers = (grant_id, artifact.pk, int(expires_at.timestamp()))
    return _signer().sign(".".join(map(signing.b62_encode, numbers)))


def read(token: str) -> Claim:
    """What the token says, if it is one of ours to the last character. Raises the Refusal
    SIGNATURE_INVALID.
    """
    if len(token) > MAX_TOKEN or not token.isascii():
        raise not_ours()
    try:
        grant_id, artifact_id, seconds = map(signing.b62_decode, _signer().unsign(token).split("."))
        return Claim(grant_id, artifact_id, datetime.fromtimestamp(seconds, UTC))
    except (signing.BadSignature, ValueError, OverflowError):
        raise not_ours()


def names(filename: str, artifact: Artifact) -> bool:
    """Whether the last part of the address is the artifact's own name, but for punctuation
    pasted behind it.
    """
    return filename == artifact.path or filename.rstrip(PASTED) == artifact.path


def not_ours() -> Refusal:
    return Refusal(
        Code.SIGNATURE_INVALID,
        "This link was altered, cut short, or is not one of ours.",
        "Copy it again as a whole, or get a fresh one on the files page of the release.",
        url=reverse("catalog:releases"),
    )


def _signer() -> signing.Signer:
    # Made at each use, not once: it holds the keys, and they can change under a test or a reload.
    return signing.Signer(sep=".", salt=SALT, algorithm="sha256")
