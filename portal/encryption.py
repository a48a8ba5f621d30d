"""Encryption of secrets that the database holds and the site has to read again.

The keys are derived from SECRET_KEY and its fallbacks, so that a copy of the database alone opens nothing.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


def encrypt(text: str, *, purpose: str) -> str:
    """Encrypt with the key of `purpose`; what one purpose encrypts, another does not decrypt."""
    return _keys(purpose).encrypt(text.encode()).decode()


def decrypt(token: str, *, purpose: str) -> str | None:
    """The text; None when SECRET_KEY changed and the one before is not among the fallbacks."""
    try:
        return _keys(purpose).decrypt(token.encode()).decode()
    except InvalidToken:
        return None


def _keys(purpose: str) -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    derived = [hashlib.sha256(f"weighbridge.{purpose}:{key}".encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
