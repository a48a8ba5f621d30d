"""Secrets of subscriptions, and signatures as Standard Webhooks 1.0 describes them."""

import base64
import hmac
import secrets
from collections.abc import Iterable

from portal.encryption import decrypt, encrypt

PREFIX = "whsec_"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def boxed(secret: str) -> str:
    """As it is kept."""
    return encrypt(secret, purpose="webhooks")


def opened(box: str) -> str | None:
    """The secret; None when SECRET_KEY changed and the one before is not among the fallbacks."""
    return decrypt(box, purpose="webhooks")


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def headers(
    message_id: str, timestamp: int, body: bytes, secrets_now: Iterable[str]
) -> dict[str, str]:
    """For the day after a rotation there are two secrets, and a signature with each."""
    signatures = [signature(secret, message_id, timestamp, body) for secret in secrets_now]
    return {
        "Content-Type": "application/json",
        "User-Agent": "Weighbridge-Webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
