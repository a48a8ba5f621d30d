"""The whole site, running: web, workers, Beat, Redis, store, real weights, as `script/demo` starts it."""

import atexit
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings

ROOT = Path(__file__).parent.parent
PASSWORD = "weighbridge-demo"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Site:
    """A running demo: its address, its state, and the supervisor's process."""

    url: str
    home: Path
    process: subprocess.Popen[str]

    def manage(self, *arguments: str) -> str:
        """What `script/manage …` prints, on this site."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment(self.home),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def token(self, email: str, *scopes: str) -> str:
        return self.manage(
            "create_token", email, *(part for scope in scopes for part in ("--scope", scope))
        )

    def group(self) -> list[int]:
        """The ids of all processes that carry this site's home in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    variables = (entry / "environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                if f"WEIGHBRIDGE_HOME={self.home}".encode() in variables:
                    found.append(int(entry.name))
        return found


def environment(home: Path, **more: str) -> dict[str, str]:
    """The caller's environment without what the test run itself set: the site stands on its own feet."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WEIGHBRIDGE_", "DJANGO_"))
    }
    for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL"):
        ours.pop(name, None)
    return {**ours, **servers(home), "WEIGHBRIDGE_HOME": str(home), **more}


def servers(home: Path) -> dict[str, str]:
    """Where the test run was given servers, the site runs on them too: in a database of its own."""
    given = settings.DATABASES["default"]
    if not given["ENGINE"].endswith("postgresql"):
        return {}
    # Named by the whole path: several test processes have a folder of the same name.
    name = f"wb_site_{hashlib.sha256(str(home).encode()).hexdigest()[:16]}"
    address = f"{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT'] or 5432}"
    made = home / "database-made"
    if not made.exists():  # what a killed run of the tests left there is not this site's
        with psycopg.connect(f"postgresql://{address}/postgres", autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{name}"')
        made.touch()
        atexit.register(drop_database, address, name)  # the site may be started again until then
    return {"DATABASE_URL": f"postgres://{address}/{name}", "REDIS_URL": settings.REDIS_URL}


def drop_database(address: str, name: str) -> None:
    with psycopg.connect(f"postgresql://{address}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def start(home: Path, port: int | None = None) -> Site:
    """Start the demo on `home` and wait for its `ready` line."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment(home, WEIGHBRIDGE_PORT=str(port)),
        stdout=subprocess.PIPE,
        stderr=(home / "demo.err").open("a"),
        text=True,
    )
    assert process.stdout
    line = process.stdout.readline()
    ready = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)\n", line)
    if not ready:
        process.terminate()
        raise AssertionError(f"the demo said {line!r}: {(home / 'demo.err').read_text()[-3000:]}")
    return Site(ready[1], home, process)


def start_again(site: Site) -> None:
    """After it was stopped, at the same address: for all who use it."""
    site.process = start(site.home, urlsplit(site.url).port).process


def stop(site: Site, number: int = signal.SIGINT) -> int:
    """Ctrl-C, unless another signal is given; returns the exit status."""
    site.process.send_signal(number)
    return site.process.wait(30)


def wait_gone(site: Site, seconds: float = 15) -> list[int]:
    """The processes of the site that are still there after it should have stopped."""
    deadline = time.monotonic() + seconds
    while (left := site.group()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One running site for all tests that walk through it."""
    running = start(tmp_path_factory.mktemp("site"))
    yield running
    stop(running, signal.SIGTERM)
    assert wait_gone(running) == []
