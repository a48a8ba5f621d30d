"""A release of 20 GB goes through publish, S3, the download script and the hub client. Who needs how much memory?

    python benchmarks/large_release.py [--gigabytes 20] [--shards 5]

Shards of zeros, which take no room on the disk before they are published, in the form of safetensors; each is another
file for the store. Publish, web process and script are ours and may have 300 MB each; the S3 server (SeaweedFS), curl
and `hf` are not. The room needed is twice the release.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.publish_speed import described, header
from benchmarks.site_of_processes import HOME, PORT, WEED, Part, database, python, releases, web

# isort: split
from portal.accounts.models import Account
from portal.accounts.services import create_token
from portal.catalog.models import Release
from tests.distribution.scripting import script_of
from tests.distribution.weights import granted

SLUG, LIMIT = "llama-7b", 300  # megabytes
S3, WEB = Part(WEED.start), Part(web)


@dataclass
class Memory:
    """The most that each program among a process and its children had at one time, in megabytes."""

    peak: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def watching(self, root: int) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(root, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, root: int, over: threading.Event) -> None:
        while not over.wait(0.2):
            for pid in family(root):
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:  # it ended
                    continue
                fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
                name = fields["Name"].strip()
                most = int(fields.get("VmHWM", "0 kB").split()[0]) / 1000
                self.peak[name] = max(self.peak.get(name, 0), most)


def family(root: int) -> list[int]:
    """The process and its descendants."""
    found = [root]
    for pid in found:
        try:
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue
    return found


def sparse(folder: Path, size: int, shards: int) -> Path:
    each = size // shards
    tables = {
        f"model-{number:05d}-of-{shards:05d}.safetensors": {f"t{number}": [each]}
        for number in range(1, shards + 1)
    }
    weight_map = {tensor: name for name, table in tables.items() for tensor in table}
    described(folder, {"architectures": ["Bench"]}, weight_map)
    for name, table in tables.items():
        with (folder / name).open("wb") as file:
            file.write(header(table, "U8", 1))
            file.truncate(file.tell() + each)
    return folder


def measured(what: str, process: "subprocess.Popen", size: int) -> tuple[str, float, dict]:
    memory, began = Memory(), time.perf_counter()
    with memory.watching(process.pid):
        out, err = process.communicate()
    took = time.perf_counter() - began
    assert process.returncode == 0, f"{what}: {out} {err} {(HOME / 'processes.log').read_text()}"
    print(f"{what}: {took:.0f} s, {size / took / 1e6:.0f} MB/s, {memory.peak}", file=sys.stderr)
    return what, took, memory.peak


def is_whole(there: Path, folder: Path) -> None:
    for path in folder.iterdir():
        assert (there / path.name).stat().st_size == path.stat().st_size, path
        subprocess.run(["cmp", there / path.name, path], check=True)


def by_hub_client(token: str) -> "subprocess.Popen":
    ours = {
        "HF_ENDPOINT": f"http://127.0.0.1:{PORT}",
        "HF_TOKEN": token,
        "HF_HOME": str(HOME / "hf"),
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [Path(sys.executable).with_name("hf"), "download", f"meta/{SLUG}"]
    return subprocess.Popen(
        [*command, "--local-dir", HOME / "hub"],
        env=os.environ | ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def measure(size: int, shards: int) -> None:
    S3.start()
    WEED.s3.wait(S3.process)
    WEB.start()
    releases(SLUG)
    folder = sparse(HOME / "weights", size, shards)
    account = Account.objects.create_user("bench@lab.test", "x", name="Bench")
    publishing = python("manage.py", "publish", str(folder), f"--repo=meta/{SLUG}")
    rows = [measured("publish", publishing, size)]
    granted(account, Release.objects.get(slug=SLUG))
    script = script_of(account, HOME / "here")
    rows.append(measured("script", script.start(), size))
    is_whole(script.release, folder)
    shutil.rmtree(script.release)
    _, token = create_token(account, actor=account, name="bench", scopes=["read", "download"])
    rows.append(measured("`hf download`", by_hub_client(token), size))
    is_whole(HOME / "hub", folder)
    report(size, shards, rows)


def report(size: int, shards: int, rows: list[tuple[str, float, dict]]) -> None:
    assert WEB.process is not None
    web_memory = Memory()
    with web_memory.watching(WEB.process.pid):
        time.sleep(1)
    print(f"{size / 1e9:.0f} GB in {shards} shards over S3\n")
    print("| what | seconds | MB/s | peak memory of each of its programs, MB |")
    print("|---|---|---|---|")
    for what, took, peak in rows:
        print(f"| {what} | {took:.0f} | {size / took / 1e6:.0f} | {spelt(peak)} |")
    print(f"| web process, at its highest | | | {spelt(web_memory.peak)} |")
    ours = [*rows[0][2].values(), *web_memory.peak.values(), rows[1][2].get("bash", 0)]
    verdict = "met" if max(ours) < LIMIT else "missed"
    print(f"\nOurs at most {max(ours):.0f} MB; {LIMIT} asked for: {verdict}.")


def spelt(peak: dict[str, float]) -> str:
    return ", ".join(f"{name} {most:.0f}" for name, most in sorted(peak.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--shards", type=int, default=5)
    asked = parser.parse_args()
    with database():
        try:
            measure(int(asked.gigabytes * 10**9), asked.shards)
        finally:
            for part in (WEB, S3):
                part.kill()
    shutil.rmtree(HOME, ignore_errors=True)


if __name__ == "__main__":
    main()
