"""Detached Ed25519 signatures over manifests, in the form of minisign, which people have already.

The key comes from WEIGHBRIDGE_MANIFEST_KEY, or is made on the first use and kept in HOME. A manifest
is signed when it is asked for, so a new key signs all of them at once.
"""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

from portal.ed25519 import key_id, private_key, public_hex

ALGORITHM = b"Ed"  # Ed25519 over the message itself, not over a hash of it


def public_key() -> str:
    """The key as minisign takes it behind `-P`: algorithm, id and 32 bytes, in base 64."""
    return _base64(ALGORITHM + _number() + bytes.fromhex(public_hex(_key())))


def public_key_id() -> str:
    """16 hex digits; minisign shows them in capitals."""
    return key_id(public_hex(_key()))


def public_key_file() -> str:
    """The two lines that minisign takes behind `-p`."""
    comment = f"manifest key {public_key_id().upper()} of {settings.BASE_URL}"
    return f"untrusted comment: {comment}\n{public_key()}\n"


def public_key_pem() -> str:
    """The same key as openssl takes it: what stands between the first and last line of a PEM file."""
    der = _key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return _base64(der)


def signature(message: bytes) -> bytes:
    """The bare 64 bytes over exactly these bytes."""
    return _key().sign(message)


def sign(message: bytes, comment: str) -> str:
    """The four lines of a signature file over exactly these bytes. comment: one line; it is signed
    too.
    """
    key = _key()
    signature = key.sign(message)
    seal = key.sign(signature + comment.encode())
    return (
        f"untrusted comment: signature by key {public_key_id().upper()} of {settings.BASE_URL}\n"
        f"{_base64(ALGORITHM + _number() + signature)}\n"
        f"trusted comment: {comment}\n"
        f"{_base64(seal)}\n"
    )


def _key() -> Ed25519PrivateKey:
    return private_key(settings.MANIFEST_KEY, settings.HOME / "manifest_key")


def _number() -> bytes:
    # minisign reads these eight bytes as a number, the lowest first.
    return bytes.fromhex(public_key_id())[::-1]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
