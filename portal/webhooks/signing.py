"""Secrets of subscriptions, and signatures as Standard Webhooks 1.0 describes them."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

PREFIX = "whsec_"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def boxed(secret: str) -> str:
    """As it is kept."""
    return _box().encrypt(secret.encode()).decode()


def opened(box: str) -> str | None:
    """The secret; None when SECRET_KEY changed and the one before is not among the fallbacks."""
    try:
        return _box().decrypt(box.encode()).decode()
    except InvalidToken:
        return None


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = [hashlib.sha256(b"weighbridge.webhooks:" + key.encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])


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
