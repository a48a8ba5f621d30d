"""A migrated database that each test process copies: the migrations run once, not once a process.

The copy is an ordinary test database of Django's: `migrate` runs on it, finds every migration applied, and makes the
content types, permissions and groups of the code as it stands.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection

ROOT = Path(__file__).parent.parent
APPS = ("portal", "access_requests", "distribution", "inference_sandbox")
CACHE = ROOT / ".pytest_cache" / "databases"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Let pytest-django make the test database from the template."""
    name = f"weighbridge_template_{digest()}"
    if connection.vendor == "sqlite":
        shutil.copyfile(sqlite_template(name), connection.settings_dict["TEST"]["NAME"])
    else:
        make_postgresql_template(name)
        connection.settings_dict["TEST"]["TEMPLATE"] = name


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The copy on SQLite is there already; it goes with the folder of the test process."""
    return connection.vendor == "sqlite"


def digest() -> str:
    """Changes with all that the migrated schema comes from: migrations, what they run, and the packages."""
    files = [
        *(file for app in APPS for file in sorted((ROOT / app).rglob("migrations/*.py"))),
        ROOT / "portal/audit/triggers.py",
        ROOT / "access_requests/search_index.py",
        ROOT / "requirements/base.txt",
    ]
    content = b"".join(str(file).encode() + file.read_bytes() for file in files)
    return hashlib.sha256(content).hexdigest()[:16]


@contextmanager
def lock() -> Iterator[None]:
    """One process makes the template; the others wait for it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sqlite_template(name: str) -> Path:
    template = CACHE / f"{name}.sqlite3"
    with lock():
        if not template.exists():
            draft = template.with_suffix(".draft")
            draft.unlink(missing_ok=True)
            migrate(f"sqlite:///{draft}")
            draft.rename(template)
    return template


def make_postgresql_template(name: str) -> None:
    given = connection.settings_dict
    address = f"{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT'] or 5432}"
    with lock(), psycopg.connect(f"postgresql://{address}/postgres", autocommit=True) as server:
        known = "SELECT 1 FROM pg_database WHERE datname = %s"
        if server.execute(known, [name]).fetchone():
            return
        draft = f"{name}_{os.getpid()}"
        server.execute(f'CREATE DATABASE "{draft}"')
        migrate(f"postgres://{address}/{draft}")
        if not server.execute(known, [name]).fetchone():  # by another checkout, meanwhile
            server.execute(f'ALTER DATABASE "{draft}" RENAME TO "{name}"')
        else:
            server.execute(f'DROP DATABASE "{draft}"')


def migrate(url: str) -> None:
    """In a process of its own, so that nothing here holds a connection to the template."""
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "portal.settings"}
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"the template database could not be migrated:\n{done.stderr}"
