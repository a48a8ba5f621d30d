"""Publish, the web process, the S3 server and the engine's worker are killed at random moments. Is anything lost?

    python benchmarks/killing.py [--kills 50] [--seed 1]

A whole site of real processes on a database of its own beside DATABASE_URL, with a SeaweedFS as its store. While a
release is published anew and anew, another one is downloaded by the script and a third is prompted, one of the four
is killed with SIGKILL and started again, so and so often. After each kill the store is compared with the database; at
the end every file of every revision is read, the log is verified, and every download and every answer must be whole.
"""

import argparse
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.site_of_processes import HOME, WEED, Part, database, python, releases, web, worker

# isort: split
from django.core.management import call_command
from django.db import connection

from distribution import hashing
from distribution.models import Revision
from distribution.services import publish
from distribution.stores import get_store, multipart
from inference_sandbox.generation import NO_WEIGHTS
from inference_sandbox.models import Run
from inference_sandbox.services import create_run, requeue_lost_runs
from portal.accounts.models import Account
from portal.audit.sealing import seal_waiting
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.distribution.scripting import script_of
from tests.distribution.weights import granted, original
from tests.inference_sandbox.engine.releases import write_tiny

PUBLISHED, DOWNLOADED, PROMPTED = "llama-13b", "llama-7b", f"tiny-{os.getpid()}"
PARTS = {
    "S3 server": Part(WEED.start),
    "web": Part(web),
    "worker": Part(partial(worker, PROMPTED)),
}
PUBLISHING = Part(partial(python, "--version"))  # what the publisher's thread is running


# ---- the work ------------------------------------------------------------------------------------


@dataclass
class Work:
    """What goes on meanwhile, each in a thread of its own until `over` is set."""

    account: Account
    over: threading.Event = field(default_factory=threading.Event)
    done: Counter = field(default_factory=Counter)
    again: Counter = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def publishing(self) -> None:
        """A new version of the release, and the same command until it succeeds."""
        while not self.over.is_set():
            number = self.done["publish"] + 1
            folder = original(HOME / f"version-{number}")
            (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
            for part in ("one", "two"):
                content = random.Random(number * 7 + len(part)).randbytes(30_000_000)
                (folder / f"{part}.bin.txt").write_bytes(content)
            options = (f"--repo=meta/{PUBLISHED}", "--also=safetensors", "--shard-size=3000")
            while True:
                PUBLISHING.process = python("manage.py", "publish", str(folder), *options)
                if PUBLISHING.process.wait() == 0:
                    break
                self.again["publish"] += 1
                time.sleep(0.3)
            self.done["publish"] += 1

    def downloading(self) -> None:
        """The script, by hand once more where it gave up."""
        folder = HOME / "weights"
        while not self.over.is_set():
            script = script_of(self.account, HOME / f"here-{self.done['download']}", DOWNLOADED)
            while script.run("--retries", "3", seconds=600).returncode != 0:
                self.again["download"] += 1
                time.sleep(1)
            for path in folder.iterdir():
                assert (script.release / path.name).read_bytes() == path.read_bytes(), path
            assert not [name for name in script.got() if name.endswith(".part")]
            self.done["download"] += 1

    def prompting(self) -> None:
        """The same prompt, which has to be answered with the same text each time."""
        release = Release.objects.get(slug=PROMPTED)
        expected = ""
        while not self.over.is_set():
            try:
                run = create_run(
                    actor=self.account, release=release, mode="plain", prompt="Once", temperature=0.0,
                    top_p=1.0, max_tokens=300,
                )  # fmt: skip
            except Refusal as refusal:  # the store is away before the tokenizer was first read
                if refusal.code is not Code.UNAVAILABLE:
                    raise
                self.again["ask"] += 1
                time.sleep(1)
                continue
            while not run.is_over:
                self.again["prompt"] += requeue_lost_runs()  # as Beat does
                time.sleep(0.3)
                run.refresh_from_db()
            if run.status == Run.Status.FAILED and (
                "stopped 5 times" in run.error or run.error == NO_WEIGHTS
            ):
                self.again["ask"] += 1  # its page says so, and has a button to run it again
                continue
            assert run.status == Run.Status.FINISHED, (run.status, run.error)
            expected = expected or run.output
            assert run.output == expected, "the answer differs"
            self.done["prompt"] += 1

    def begin(self) -> list[threading.Thread]:
        return [
            threading.Thread(target=self._kept, args=(act,))
            for act in (self.publishing, self.downloading, self.prompting)
        ]

    def _kept(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            self.failed.append(f"{act.__name__}: {error!r}")
            raise
        finally:
            connection.close()


# ---- what must hold ------------------------------------------------------------------------------


def nothing_half_published() -> None:
    """Every revision in the database has all of its files in the store, and a release has one current one."""
    store = get_store()
    for release in Release.objects.filter(slug=PUBLISHED):
        revisions = list(Revision.objects.filter(release=release).order_by("pk"))
        current = [revision for revision in revisions if revision.is_current]
        assert len(current) == (1 if revisions else 0), current
        for revision in revisions[-2:]:
            files = list(revision.artifacts.all())
            assert {"params.json", "one.bin.txt", "two.bin.txt"} <= {file.path for file in files}
            for file in files:
                assert store.size(file.store_key) == file.size, (revision, file.path)


def all_is_there() -> tuple[int, int]:
    """Every file of every revision, read and hashed. Returns revisions and bytes."""
    store, read, revisions = get_store(), 0, 0
    for revision in Revision.objects.all():
        revisions += 1
        for file in revision.artifacts.all():
            hasher = hashing.Hasher()
            with store.open(file.store_key) as content:
                while block := content.read(hashing.BLOCK):
                    hasher.update(block)
                    read += len(block)
            assert hasher.digest().sha256 == file.sha256, file.path
    assert not list(multipart._uploads(store._client, store.bucket, store._key("")))
    return revisions, read


# ---- the killing ---------------------------------------------------------------------------------


def kill_at_random(work: Work, kills: int, numbers: random.Random) -> Counter:
    killed: Counter[str] = Counter()
    names = [*PARTS, "publish"]
    while killed.total() < kills and not work.failed:
        time.sleep(numbers.uniform(0.3, 4))
        name = numbers.choice(names)
        part = PARTS.get(name, PUBLISHING)
        if part.process is None or part.process.poll() is not None:
            continue
        part.kill()
        killed[name] += 1
        time.sleep(numbers.uniform(0, 2))
        if name in PARTS:
            part.start()
        WEED.s3.wait()
        nothing_half_published()
        print(f"{killed.total():3d} {name:10s} {dict(work.done)}", file=sys.stderr, flush=True)
    return killed


def prepare(account: Account) -> None:
    releases(PUBLISHED, DOWNLOADED, PROMPTED)
    folder = original(HOME / "weights")
    for number in range(3):
        (folder / f"part-{number}.txt").write_bytes(os.urandom(20_000_000))
    for slug, path in ((DOWNLOADED, folder), (PROMPTED, write_tiny(HOME / "tiny"))):
        granted(account, publish(path, repo_id=f"meta/{slug}", actor=None).release)


def measure(kills: int, seed: int) -> None:
    for name, part in PARTS.items():
        part.start()
        if name == "S3 server":
            WEED.s3.wait(part.process)
    account = Account.objects.create_user("bench@lab.test", "x", name="Bench")
    prepare(account)
    work = Work(account)
    threads = work.begin()
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    killed = kill_at_random(work, kills, random.Random(seed))
    work.over.set()
    for thread in threads:
        thread.join(600)
    assert not work.failed, work.failed
    assert not any(thread.is_alive() for thread in threads), "something hangs"
    nothing_half_published()
    revisions, read = all_is_there()
    seal_waiting()
    call_command("audit", "verify")
    assert all(run.is_over for run in Run.objects.all())
    report(killed, work, revisions, read, time.perf_counter() - began)


def report(killed: Counter, work: Work, revisions: int, read: int, seconds: float) -> None:
    print(f"{connection.vendor}, {killed.total()} kills in {seconds:,.0f} s\n")
    print("| what | result |")
    print("|---|---|")
    print(f"| killed | {', '.join(f'{name} {number}' for name, number in killed.items())} |")
    for what, name in (
        ("publications, and begun anew", "publish"),
        ("downloads with every file whole, and begun anew by hand", "download"),
        ("answers, all the same, and handed over again by Beat's sweep", "prompt"),
    ):
        print(f"| {what} | {work.done[name]}, {work.again[name]} |")
    print(f"| answers given up after five dead workers, as their pages say | {work.again['ask']} |")
    print(f"| revisions, all whole by SHA-256 | {revisions}, {read:,} bytes read |")
    print("| half-published revisions, seen after any kill | none |")
    print("| the log | verifies |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with database():
        try:
            measure(asked.kills, asked.seed)
        finally:
            for part in (*PARTS.values(), PUBLISHING):
                part.kill()


if __name__ == "__main__":
    main()
