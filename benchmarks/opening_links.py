"""How many links does one process open a second: verify, ask the grant, count the quota, write row and event, redirect?

    DATABASE_URL=postgres://… python benchmarks/opening_links.py [--seconds 20] [--rate 300]

A new database beside the one of DATABASE_URL, removed afterwards. One uvicorn process with the S3 store (the redirect's
address is signed here, no S3 server is asked); the requests come from another process over kept connections. First the
verification of tokens alone, then as many requests as it takes from a fixed number of clients, then a fixed rate whose
delays are counted from when each request was due.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ |= {
    "WEIGHBRIDGE_HOME": tempfile.mkdtemp(prefix="wb-bench-"),
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    "WEIGHBRIDGE_LOG_LEVEL": "WARNING",
    "WEIGHBRIDGE_STORE": "s3://bench",
    "WEIGHBRIDGE_S3_ENDPOINT": "http://127.0.0.1:9",
    "WEIGHBRIDGE_S3_ACCESS_KEY": "bench",
    "WEIGHBRIDGE_S3_SECRET_KEY": "bench-secret-bench-secret",
    "WEIGHBRIDGE_TRANSFERS": "100000",
}

import django  # noqa: E402

django.setup()
from django.db import connection  # noqa: E402

from benchmarks import fixtures_of_downloads as fixtures  # noqa: E402
from distribution import links  # noqa: E402
from distribution.models import Download  # noqa: E402
from distribution.services import issue_links  # noqa: E402
from portal.accounts.models import Account  # noqa: E402
from portal.audit.models import Event  # noqa: E402

PEOPLE, FILES, CLIENTS = 50, 20, 16
TICK = os.sysconf("SC_CLK_TCK")


def made() -> list[str]:
    """Paths of links: every file of the release for each of the people."""
    files = {f"part{n:02}.bin": (n * 1_000_003, f"{n:064x}") for n in range(1, FILES + 1)}
    revision = fixtures.published(files)
    paths = []
    for number in range(PEOPLE):
        account = Account.objects.create_user(f"p{number}@lab.test", "x", name="P")
        fixtures.granted(account, revision.release)
        paths += [
            link.url.split("/download")[1] for link in issue_links(revision.release, actor=account)
        ]
    return paths


def tokens_a_second(paths: list[str]) -> float:
    tokens = [path.split("/")[1] for path in paths]
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < 3:
        for token in tokens:
            links.read(token)
        count += len(tokens)
    return count / (time.perf_counter() - began)


async def client(port: int, queue: asyncio.Queue, delays: list[float]) -> None:
    """One kept connection that sends what is due; a delay counts from when it was due."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (job := await queue.get()) is not None:
        due, path = job
        writer.write(
            f"GET /download{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 302"), head[:200]
        if b"content-length: 0" not in head:
            raise AssertionError(head)
        delays.append(time.perf_counter() - (due or time.perf_counter()))
    writer.close()


async def load(
    port: int, paths: list[str], seconds: float, rate: float
) -> tuple[float, list[float]]:
    """rate 0: as fast as the clients get answers. Returns requests a second and the delays."""
    clients = CLIENTS if not rate else 64
    queue: asyncio.Queue = asyncio.Queue(maxsize=clients if not rate else 0)
    delays: list[float] = []
    chosen = random.Random(1)
    tasks = [asyncio.create_task(client(port, queue, delays)) for _ in range(clients)]
    began = time.perf_counter()
    number = 0
    while (now := time.perf_counter()) - began < seconds:
        if rate:
            due = began + number / rate
            if due > now:
                await asyncio.sleep(due - now)
            queue.put_nowait((due, chosen.choice(paths)))
        else:
            await queue.put((0.0, chosen.choice(paths)))
        number += 1
    for _ in tasks:
        await queue.put(None)
    await asyncio.gather(*tasks)
    return len(delays) / (time.perf_counter() - began), delays


def run(pipe, *arguments) -> None:
    pipe.send(asyncio.run(load(*arguments)))


def elsewhere(*arguments) -> tuple[float, list[float]]:
    """The load from a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run, args=(there, *arguments))
    process.start()
    there.close()  # so that its death ends the waiting
    result = here.recv()
    process.join()
    return result


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def percentile(values: list[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))] * 1000


def measure(seconds: float, rate: float) -> None:
    paths = made()
    verify = tokens_a_second(paths)
    database = connection.settings_dict
    url = f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"
    if connection.vendor == "sqlite":
        url = f"sqlite:///{database['NAME']}"
    port = 18_000 + os.getpid() % 1000
    command = [sys.executable, "-m", "uvicorn", "portal.asgi:application", "--port", str(port)]
    command += ["--no-access-log", "--lifespan", "off", "--log-level", "warning"]
    command += ["--http", "portal.sendfile:Protocol"]
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"DATABASE_URL": url})
    try:
        time.sleep(6)
        elsewhere(port, paths, 3, 0)  # warm
        before = Download.objects.count()
        used = cpu(server.pid)
        most, _ = elsewhere(port, paths, seconds, 0)
        per_core = (Download.objects.count() - before) / (cpu(server.pid) - used)
        used, began = cpu(server.pid), time.perf_counter()
        steady, delays = elsewhere(port, paths, seconds, rate)
        busy = (cpu(server.pid) - used) / (time.perf_counter() - began)
    finally:
        server.terminate()
        server.wait()
    rows = Download.objects.filter(outcome="redirected").count()
    assert Event.objects.filter(verb="download.started").count() == rows, (
        "every opening is an event"
    )
    report(verify, most, per_core, steady, delays, busy, rate)


def report(verify, most, per_core, steady, delays, busy, rate) -> None:
    print(f"{connection.vendor}, {PEOPLE} people, {FILES} files, one process of uvicorn\n")
    print("| what | result | asked for |")
    print("|---|---|---|")
    print(f"| verifying a token alone | {verify:,.0f} a second | 20,000: {verify / 20_000:.1f} × |")
    print(f"| openings, {CLIENTS} clients at once | {most:,.0f} a second | |")
    print(
        f"| the same for a second of the process's own CPU | {per_core:,.0f} | 300: {per_core / 300:.1f} × |"
    )
    print(f"| at {rate:.0f} a second: reached | {steady:,.0f} a second, {busy:.0%} of a core | |")
    for percent, limit in ((50, ""), (95, ""), (99, "50 ms")):
        print(
            f"| at {rate:.0f} a second: p{percent} | {percentile(delays, percent):.1f} ms | {limit} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=300)
    given = parser.parse_args()
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        measure(given.seconds, given.rate)
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main()
