"""Links that a mail carries to one person: signed, single-use, expiring.

The token says which row it is for and which mail it came in (`nonce`). The row decides whether it
still opens anything: its nonce changes with each mail sent again, and goes when the link is used.
"""

from datetime import datetime

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from portal.refusals import Code, Refusal

MAX_TOKEN = 200  # characters; ours have about 75


def url(kind: str, pk: int, nonce: str) -> str:
    """The absolute address. `kind` is the name of its view, and part of what is signed."""
    token = _signer(kind).sign(f"{signing.b62_encode(pk)}.{nonce}")
    return settings.BASE_URL + reverse(f"access_requests:{kind}", args=[token])


def read(kind: str, token: str) -> tuple[int, str]:
    """(pk, nonce) of a token that is ours to the last character. Raises SIGNATURE_INVALID."""
    if len(token) > MAX_TOKEN or not token.isascii():
        raise _not_ours()
    try:
        pk, nonce = _signer(kind).unsign(token).split(".")
        number = signing.b62_decode(pk)
    except (signing.BadSignature, ValueError):
        raise _not_ours() from None
    if not 0 < number < 2**63 or not nonce:
        raise _not_ours()
    return number, nonce


def require_fresh(nonce: str, *, current: str, expires_at: datetime) -> None:
    """Raise EXPIRED when the link was used, replaced by a newer mail, or its time is over."""
    if not current or not constant_time_compare(nonce, current):
        raise Refusal(
            Code.EXPIRED,
            "This link was used already, or a newer mail replaced it.",
            "Use the newest mail; if it was you who used it, nothing is left to do.",
        )
    if expires_at <= timezone.now():
        raise Refusal(
            Code.EXPIRED,
            "This link has expired.",
            "Ask the person who named you to have the mail sent again.",
            since=expires_at,
        )


def _not_ours() -> Refusal:
    return Refusal(
        Code.SIGNATURE_INVALID,
        "This link was altered, cut short, or is not one of ours.",
        "Copy it again as a whole from the mail.",
    )


def _signer(kind: str) -> signing.Signer:
    return signing.Signer(sep="~", salt=f"access_requests.{kind}", algorithm="sha256")
