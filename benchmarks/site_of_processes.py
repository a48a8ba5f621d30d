"""A whole site of real processes for the benchmarks that need one: a database, SeaweedFS as its store, a web process.

Importing it sets the environment and Django up. The database is a new one beside that of DATABASE_URL.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.distribution.s3_server import BUCKET, Weed  # noqa: E402
from tests.live import free_port  # noqa: E402

HOME = Path(tempfile.mkdtemp(prefix="wb-bench-"))
WEED, PORT = Weed(HOME), free_port()
os.environ |= {
    "WEIGHBRIDGE_HOME": str(HOME),
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    "WEIGHBRIDGE_LOG_LEVEL": "ERROR",
    "WEIGHBRIDGE_SECRET_KEY": "benchmark" * 6,
    "WEIGHBRIDGE_BASE_URL": f"http://127.0.0.1:{PORT}",
    "WEIGHBRIDGE_ALLOWED_HOSTS": "127.0.0.1,testserver",
    "WEIGHBRIDGE_STORE": f"s3://{BUCKET}/bench",
    "WEIGHBRIDGE_S3_ENDPOINT": WEED.s3.endpoint,
    "WEIGHBRIDGE_S3_ACCESS_KEY": WEED.s3.access_key,
    "WEIGHBRIDGE_S3_SECRET_KEY": WEED.s3.secret_key,
    "WEIGHBRIDGE_SANDBOX_CACHE": str(HOME / "cache"),
}
if "REDIS_URL" not in os.environ:
    from tests.embedded import start_redis

    os.environ["REDIS_URL"] = start_redis()

import django  # noqa: E402

django.setup()
from django.db import connection  # noqa: E402

from portal.catalog.models import Family, Licence, LicenceVersion, Release  # noqa: E402


@dataclass
class Part:
    """A process that is killed and started again."""

    begin: Callable[[], "subprocess.Popen[bytes]"]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.process = self.begin()

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def python(*words: str) -> "subprocess.Popen[bytes]":
    """A process of the site; what it says is in `processes.log`."""
    with (HOME / "processes.log").open("ab") as log:
        command = (sys.executable, *words)
        return subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=log, stderr=log)


def web() -> "subprocess.Popen[bytes]":
    options = ("--port", str(PORT), "--no-access-log", "--lifespan", "off")
    return python("-m", "uvicorn", "portal.asgi:application", *options)


def worker(slug: str, *, tasks: int = 4) -> "subprocess.Popen[bytes]":
    """The engine of a release. tasks: requests that it takes from the queue at once."""
    options = ("-P", "threads", "-c", str(tasks), "-Q", f"model.{slug}", "--without-mingle")
    name = f"bench-{time.monotonic_ns()}@%h"
    return python("-m", "celery", "-A", "portal", "worker", *options, "-n", name, "-l", "ERROR")


@contextmanager
def database() -> Iterator[None]:
    """A new one, for this process and those that it starts."""
    own = HOME / "bench.sqlite3" if connection.vendor == "sqlite" else f"wb_bench_{os.getpid()}"
    connection.settings_dict["TEST"]["NAME"] = str(own)
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    server = os.environ.get("DATABASE_URL", "")
    place = (
        f"sqlite:///{own}"
        if connection.vendor == "sqlite"
        else f"{server.rpartition('/')[0]}/{own}"
    )
    os.environ["DATABASE_URL"] = place
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def releases(*slugs: str) -> None:
    """Announced ones, of one family."""
    licence = Licence.objects.create(slug="research", name="Research licence")
    LicenceVersion.objects.create(licence=licence, number=1, text="# For research")
    family = Family.objects.create(slug="llama", name="LLaMA", publisher="meta", licence=licence)
    for slug in slugs:
        Release.objects.create(
            family=family, repo_id=f"meta/{slug}", slug=slug, name=slug, model_parallel=1,
        )  # fmt: skip
