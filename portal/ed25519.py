"""Ed25519 keys of the site: given by a setting, or made once and kept in a file."""

import hashlib
import secrets
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from portal.kept import kept_secret


def private_key(given: str, kept: Path) -> Ed25519PrivateKey:
    """The key of 64 hex digits that is given; where none is, the one in the file `kept`."""
    text = given or kept_secret(kept, partial(secrets.token_hex, 32))
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))


def public_hex(key: Ed25519PrivateKey) -> str:
    """Its public half: 32 bytes as 64 hex digits."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def key_id(public: str) -> str:
    """The short name of a public key: 16 hex digits of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]
