"""What a line that is cut at random bytes costs the download script, beside a line that is not.

    python benchmarks/script_on_a_bad_line.py [--cuts 200] [--files 8] [--size 4000000] [--seed 1]

The script runs under bash against the site on uvicorn, through a proxy that cuts the connection at random bytes of
random answers, half of them with a reset, and counts what it passes on. Uses a new database
beside that of DATABASE_URL.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["WEIGHBRIDGE_HOME"] = tempfile.mkdtemp(prefix="wb-bench-")
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
os.environ.setdefault("WEIGHBRIDGE_LOG_LEVEL", "ERROR")

import django

django.setup()
import uvicorn  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402

from portal.accounts.models import Account  # noqa: E402
from portal.catalog.models import Family, Licence, LicenceVersion, Release  # noqa: E402
from portal.handler import SiteHandler  # noqa: E402
from tests.distribution.cutting import Line, line_to  # noqa: E402
from tests.distribution.random_cuts import RandomCuts, release_of  # noqa: E402
from tests.distribution.scripting import script_of  # noqa: E402
from tests.live import free_port  # noqa: E402

HOME = settings.HOME
CHUNK = 64 * 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("cuts", 200), ("files", 8), ("size", 4_000_000), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    # A database in a file, as sites have: one in memory locks whole tables.
    own = HOME / "bench.sqlite3" if connection.vendor == "sqlite" else f"wb_bench_{os.getpid()}"
    connection.settings_dict["TEST"]["NAME"] = str(own)
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    server, thread = serve()
    try:
        account = Account.objects.create_user("bench@lab.test", "x", name="Bench")
        folder = release_of(
            account, release(), HOME / "weights", files=asked.files, size=asked.size
        )
        with line_to(settings.BASE_URL) as line:
            settings.BASE_URL = line.url
            measure(account, folder, line, asked)
    finally:
        server.should_exit = True
        thread.join(10)
        connection.creation.destroy_test_db(name, verbosity=0)


def serve() -> tuple[uvicorn.Server, threading.Thread]:
    port = free_port()
    settings.BASE_URL = f"http://127.0.0.1:{port}"
    settings.ALLOWED_HOSTS = ["*"]
    config = uvicorn.Config(SiteHandler(), port=port, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return server, thread


def release() -> Release:
    licence = Licence.objects.create(slug="research", name="Research licence")
    LicenceVersion.objects.create(licence=licence, number=1, text="# For research")
    family = Family.objects.create(slug="llama", name="LLaMA", publisher="meta", licence=licence)
    return Release.objects.create(
        family=family,
        repo_id="meta/llama-7b",
        slug="llama-7b",
        name="LLaMA 7B",
        model_parallel=1,
    )


def measure(account: Account, folder: Path, line: Line, asked: argparse.Namespace) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    smooth = timed(account, folder, HOME / "smooth")
    line.exchanges.clear()
    cuts = RandomCuts(line, cuts=asked.cuts, files=asked.files, size=asked.size, seed=asked.seed)
    rough = timed(account, folder, HOME / "rough")
    again = line.again()
    assert cuts.made == asked.cuts, f"{cuts.made} cuts found something to cut"
    assert again <= CHUNK
    most = max(line.most_often(name) for name in line.fetched())
    print(f"{connection.vendor}, {len(list(folder.iterdir()))} files, {size:,} bytes\n")
    print("| what | result | beside |")
    print("|---|---|---|")
    print(f"| cuts, of them resets | {cuts.made} | {len(cuts.abrupt)} |")
    print("| files whole, by SHA-256 and byte for byte | all | |")
    print(f"| bytes over the line a second time | {again:,} | {again / CHUNK:.4f} of one chunk |")
    print(f"| of all bytes | {again / size:.2%} | |")
    print(f"| times that one byte came, at most | {most} | |")
    print(f"| requests | {len(line.exchanges)} | |")
    print(f"| time | {rough:.1f} s | {smooth:.1f} s without cuts |")


def timed(account: Account, folder: Path, here: Path) -> float:
    script = script_of(account, here)
    began = time.perf_counter()
    done = script.run(seconds=1800)
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for path in folder.iterdir():
        assert (script.release / path.name).read_bytes() == path.read_bytes(), path
    assert not [path for path in script.got() if path.endswith(".part")]
    return took


if __name__ == "__main__":
    main()
