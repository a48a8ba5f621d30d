"""Which database schema a demo's home was made with.

Until the first release the migrations are restarted now and then; a database of before cannot be migrated.
"""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APPS = ("portal", "access_requests", "distribution", "inference_sandbox")
STAMP = "schema"
DATABASE = "weighbridge.sqlite3"


def digest() -> str:
    """Of the first migration of each app, which never changes once a version is released."""
    files = [file for app in APPS for file in sorted((ROOT / app).rglob("0001_initial.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_from_older_version(home: Path) -> bool:
    """Whether `home` holds a database that this version's migrations cannot continue."""
    stamp = home / STAMP
    if stamp.exists():
        return stamp.read_text().strip() != digest()
    database = home / DATABASE
    return (
        database.exists() and database.stat().st_size > 0
    )  # an empty one: nothing was migrated yet


def write_stamp(home: Path) -> None:
    (home / STAMP).write_text(f"{digest()}\n")
