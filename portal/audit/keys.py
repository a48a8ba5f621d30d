"""The key that signs the seals, and the keys that are trusted to have signed them.

The key comes from WEIGHBRIDGE_AUDIT_KEY, or is made on the first sealing and kept in HOME. It is read when it is
needed, so that processes that never seal need neither.
"""

import hashlib
import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings


def _secret() -> bytes:
    if settings.AUDIT_KEY:
        return bytes.fromhex(settings.AUDIT_KEY)
    path = settings.HOME / "audit_key"
    if not path.exists():
        settings.HOME.mkdir(parents=True, exist_ok=True)
        # Written whole under another name first: whoever finds the file finds all of it.
        draft = path.with_name(f"audit_key.{os.getpid()}.new")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(os.urandom(32).hex() + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:  # another process of the same first start was quicker
            pass
        finally:
            draft.unlink()
    return bytes.fromhex(path.read_text().strip())


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
