"""Check the proof of one event of a Weighbridge audit log, without its database.

    pip install cryptography
    python verify_event.py PROOF.json [PUBLIC_KEY]

PUBLIC_KEY is what the site shows on /audit/: take it from there, not from whoever hands you the proof.
"""

import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaf, position, size, path):
    """RFC 9162, 2.1.3.2: the root that the path leads to, if it fits a tree of that size."""
    last = size - 1
    for step in path:
        if last == 0:
            raise ValueError("the path is too long")
        if position % 2 or position == last:
            leaf = sha256(b"\x01", step, leaf)
            while position % 2 == 0 and position:
                position, last = position // 2, last // 2
        else:
            leaf = sha256(b"\x01", leaf, step)
        position, last = position // 2, last // 2
    if last:
        raise ValueError("the path is too short")
    return leaf


def check(proof, public_key):
    seal, path = proof["seal"], [bytes.fromhex(step) for step in proof["path"]]
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(
        bytes.fromhex(proof["signature"]), canonical(seal)
    )
    if not 0 <= proof["position"] < seal["count"]:
        raise ValueError("the seal has no such position")
    leaf = sha256(b"\x00", canonical(proof["event"]))
    if root(leaf, proof["position"], seal["count"], path).hex() != seal["root"]:
        raise ValueError("the event is not the one that was sealed")


if __name__ == "__main__":
    try:
        with open(sys.argv[1]) as file:
            proof = json.load(file)
        check(proof, sys.argv[2] if len(sys.argv) > 2 else proof["public_key"])
    except (InvalidSignature, ValueError, KeyError, TypeError, IndexError, OSError) as error:
        sys.exit(f"NOT PROVEN: {error or 'the signature is wrong'}")
    seal = proof["seal"]
    print(
        f"proven: in seal {seal['number']} of {seal['sealed_at']}, signed by key {seal['key_id']}"
    )
    print(json.dumps(proof["event"], indent=2))
    if len(sys.argv) < 3:
        print(f"The key came with the proof. Compare it with the site's own: {proof['public_key']}")
