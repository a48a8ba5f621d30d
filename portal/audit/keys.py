"""The key that signs the seals, and the keys that are trusted to have signed them.

The key comes from WEIGHBRIDGE_AUDIT_KEY, or is made on the first sealing and kept in HOME. It is read when it is
needed, so that processes that never seal need neither.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from portal.ed25519 import key_id, private_key, public_hex

__all__ = ["key_id", "public_key", "signed_by", "signing_key", "trusted"]


def signing_key() -> Ed25519PrivateKey:
    return private_key(settings.AUDIT_KEY, settings.HOME / "audit_key")


def public_key() -> str:
    """The key that checks today's seals: 32 bytes as 64 hex digits."""
    return public_hex(signing_key())


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
