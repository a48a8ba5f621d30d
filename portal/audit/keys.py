"""The key that signs the seals, and the keys that are trusted to have signed them.

The key comes from WEIGHBRIDGE_AUDIT_KEY, or is made on the first sealing and kept in HOME. It is read when it is
needed, so that processes that never seal need neither.
"""

import hashlib
import secrets
from functools import partial

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

from portal.kept import kept_secret


def _secret() -> bytes:
    if settings.AUDIT_KEY:
        return bytes.fromhex(settings.AUDIT_KEY)
    kept = kept_secret(settings.HOME / "audit_key", partial(secrets.token_hex, 32))
    return bytes.fromhex(kept)


def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(_secret())


def public_key() -> str:
    """The key that checks today's seals: 32 bytes as 64 hex digits."""
    return signing_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def key_id(public: str) -> str:
    """The short name of a public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def trusted() -> dict[str, str]:
    """Key id → public key, of today's key and of those before it."""
    return {key_id(public): public for public in (*settings.AUDIT_FORMER_KEYS, public_key())}


def signed_by(public: str, signature: str, message: bytes) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
