"""Two hundred readers follow twenty answers at once: is an event lost, and how late is each?

    python benchmarks/streams.py FOLDER [--runs 20] [--readers 10] [--tokens 200]

FOLDER is the demo's release (`python -m demo.weights FOLDER` makes it). A whole site of real processes on a database
of its own beside DATABASE_URL: one web process, one engine. The readers are connections of their own over
HTTP; a fifth of them hang up in the middle and come back with Last-Event-ID. An event's delay is the time from when the
worker wrote it, which is its id in Redis, to when the reader has it whole.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.site_of_processes import PORT, WEED, Part, database, releases, web, worker

# isort: split
from asgiref.sync import sync_to_async
from django.db import connections

from distribution.services import publish
from inference_sandbox.models import Run
from inference_sandbox.services import create_run
from portal.accounts.models import Account, Scope
from portal.accounts.services import create_token
from portal.catalog.models import Release
from tests.distribution.weights import granted

SLUG = "smollm2-135m"


@dataclass
class Reader:
    """One connection that follows a run. `hangs_up`: after so many events, to come back."""

    run_id: str
    token: str
    hangs_up: int = 0
    ids: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)  # milliseconds
    listening: float = 0.0  # since when; what was written before waited for nobody
    ended: bool = False

    async def follow(self) -> None:
        while not self.ended:
            await self._connect()

    async def _connect(self) -> None:
        source, sink = await asyncio.open_connection("127.0.0.1", PORT, limit=1 << 22)
        last = f"Last-Event-ID: {self.ids[-1]}\r\n" if self.ids else ""
        sink.write(
            f"GET /api/v1/runs/{self.run_id}/stream/ HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\n"
            f"Authorization: Bearer {self.token}\r\n{last}\r\n".encode()
        )
        head = await source.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError((head + await source.read(2000)).decode())
        self.listening = time.time() * 1000
        event: dict[str, str] = {}
        try:
            async for line in source:
                text = line.decode().strip("\r\n")
                name, colon, value = text.partition(": ")
                if colon and name in ("id", "event", "data"):
                    event[name] = value
                if not text and event.get("id"):
                    self._take(event)
                    event = {}
                    if self.ended or (self.hangs_up and len(self.ids) == self.hangs_up):
                        return
        finally:
            sink.close()

    def _take(self, event: dict[str, str]) -> None:
        self.ids.append(event["id"])
        if event["event"] == "token" and (token := json.loads(event["data"])["id"]) is not None:
            self.tokens.append(token)
            written = int(event["id"].split("-")[0])
            if written > self.listening:
                self.delays.append(time.time() * 1000 - written)
        self.ended = event["event"] == "end"


def peak_memory(pid: int) -> int:
    """Bytes that the process had at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


async def wait_for_web() -> None:
    for _ in range(240):
        try:
            (await asyncio.open_connection("127.0.0.1", PORT))[1].close()
            return
        except OSError:
            await asyncio.sleep(0.25)
    raise RuntimeError("the site does not come up")


async def measure(options: argparse.Namespace, web_part: Part) -> None:
    release = await Release.objects.aget(slug=SLUG)
    await wait_for_web()
    readers: list[Reader] = []
    for number in range(options.runs):
        run, token = await sync_to_async(start)(release, number, options.tokens)
        for place in range(options.readers):
            readers.append(Reader(str(run.pk), token, hangs_up=20 if place % 5 == 4 else 0))
    started = time.perf_counter()
    await asyncio.gather(*(reader.follow() for reader in readers))
    took = time.perf_counter() - started
    assert web_part.process
    await sync_to_async(report)(readers, took, peak_memory(web_part.process.pid))
    await sync_to_async(connections.close_all)()


def start(release: Release, number: int, tokens: int) -> tuple[Run, str]:
    account = Account.objects.create_user(f"p{number}@lab.test", "x", name="P")
    granted(account, release)
    _, token = create_token(account, actor=account, name="bench", scopes=[Scope.SANDBOX])
    prompt = f"Chapter {number}. The history of the lighthouse begins"
    run = create_run(
        actor=account, release=release, mode="plain", prompt=prompt, temperature=0.8,
        max_tokens=tokens, seed=number, ignore_eos=True,
    )  # fmt: skip
    return run, token


def report(readers: list[Reader], took: float, memory: int) -> None:
    delays = sorted(delay for reader in readers for delay in reader.delays)
    runs = {str(run.pk): run for run in Run.objects.all()}
    first = {reader.run_id: reader.tokens for reader in readers}
    wrong = [
        reader
        for reader in readers
        if reader.tokens != first[reader.run_id]
        or len(reader.tokens) != runs[reader.run_id].output_tokens
        or len(set(reader.ids)) != len(reader.ids)
    ]
    attempts = {run.status for run in runs.values()}
    parts = quantiles(delays, n=100)
    print(f"| {len(readers)} readers of {len(runs)} answers | result | asked for |")
    print("|---|---|---|")
    print(f"| readers who lost an event or got one twice | {len(wrong)} | 0 |")
    print(f"| answers | {', '.join(sorted(attempts))} | finished |")
    events = sum(len(reader.ids) for reader in readers)
    print(f"| events | {events:,} in {took:.0f} s: {events / took:,.0f} a second | |")
    print(f"| delay of an event: p50 | {parts[49]:.0f} ms | |")
    print(f"| delay of an event: p99 | {parts[98]:.0f} ms | 150 ms |")
    print(f"| memory of the web process, at most | {memory / 1e6:.0f} MB | 300 MB |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Many readers of many answers at once.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=200)
    options = parser.parse_args()
    store = Part(WEED.start)
    store.start()
    WEED.s3.wait()
    with database():
        releases(SLUG)
        Release.objects.update(model_parallel=3)
        publish(options.folder, repo_id=f"meta/{SLUG}", actor=None)
        parts = [Part(web), Part(partial(worker, SLUG, tasks=2 * options.runs))]
        try:
            for part in parts:
                part.start()
            asyncio.run(measure(options, parts[0]))
        finally:
            for part in (*parts, store):
                part.kill()


if __name__ == "__main__":
    main()
