"""Check downloaded weights against the signed manifest of a Weighbridge site.

    pip install cryptography
    python verify_manifest.py PUBLIC_KEY [FOLDER]

FOLDER (here, if not given) holds manifest.json, manifest.json.sig and the files. PUBLIC_KEY is what the site
shows on the release's page: take it from there, not from whoever hands you the files.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check_signature(manifest, signature, public_key):
    """signature: the text of a minisign file, whose second and fourth lines are signatures."""
    _, first, comment, second = signature.splitlines()
    key, first = base64.b64decode(public_key), base64.b64decode(first)
    if key[:10] != first[:10]:
        raise ValueError(f"it was made with another key ({first[2:10][::-1].hex()})")
    ed25519 = Ed25519PublicKey.from_public_bytes(key[10:])
    ed25519.verify(first[10:], manifest)
    comment = comment.removeprefix("trusted comment: ")
    ed25519.verify(base64.b64decode(second), first[10:] + comment.encode())
    return comment


def check_file(folder, entry, chunk_size):
    """What is wrong with the file, in words; "" where nothing is."""
    path = folder / entry["path"]
    if not path.is_file():
        return "missing"
    if path.stat().st_size != entry["size"]:
        return f"has {path.stat().st_size} bytes instead of {entry['size']}"
    bad = []
    with path.open("rb") as file:
        for number, expected in enumerate(entry["chunks"]):
            if hashlib.sha256(file.read(chunk_size)).hexdigest() != expected:
                bad.append(str(number))
    return f"is damaged in chunk {', '.join(bad)} of {len(entry['chunks'])}" if bad else ""


def main(public_key, folder="."):
    folder = Path(folder)
    try:
        manifest = (folder / "manifest.json").read_bytes()
        signature = (folder / "manifest.json.sig").read_text()
        comment = check_signature(manifest, signature, public_key)
        content = json.loads(manifest)
    except (InvalidSignature, ValueError, OSError) as error:
        sys.exit(f"NOT PROVEN: {error or 'the signature is wrong'}")
    print(f"the manifest is genuine: {comment}")
    faults = {
        entry["path"]: fault
        for entry in content["files"]
        if (fault := check_file(folder, entry, content["chunk_size"]))
    }
    for path, fault in faults.items():
        print(f"{path} {fault}")
    if faults:
        sys.exit(1)
    print(f"all {len(content['files'])} files verified")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
