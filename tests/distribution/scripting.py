"""The download script in a folder of its own, run by a real bash."""

import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.people import signed_in

NAME = "weighbridge-download.sh"


@dataclass
class Script:
    """here: the folder it is run in. release: where its files come to lie."""

    path: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def here(self) -> Path:
        return self.path.parent

    @property
    def release(self) -> Path:
        return self.here / "llama-7b"

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        """In a session of its own, as a terminal would, so that a signal can be sent to all of it."""
        return subprocess.Popen(
            ["bash", self.path.name, *options],
            cwd=self.here,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(self.temporary)} | self.environment | environment,
            start_new_session=True,
            # A suite that runs in the background is deaf to it, and so would bash be.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(
        self, *options: str, seconds: float = 120, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*options, **environment)
        out, err = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    @property
    def temporary(self) -> Path:
        place = self.here.parent / "temporary"
        place.mkdir(exist_ok=True)
        return place

    def got(self) -> set[str]:
        """Every file that it left: of the release, or anything else."""
        return {
            str(path.relative_to(self.release))
            for path in self.release.rglob("*")
            if path.is_file()
        }

    def key(self) -> str:
        found = re.search(r"^KEY=(wbs_\S+)$", self.path.read_text(), re.M)
        assert found
        return found[1]

    def orphans(self) -> list[str]:
        """Command lines of processes that still belong to a run, by the temporary folder they work in."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if f"TMPDIR={self.temporary}".encode() in environment.split(b"\0"):
                    found.append(line)
        return found


def script_of(account: Account, here: Path, slug: str = "llama-7b") -> Script:
    """The script that the person gets on the files page, in a folder of its own."""
    answer = signed_in(account).get(f"/releases/{slug}/download.sh")
    assert answer.status_code == 200, answer.content
    return saved(answer.content, here)


def saved(content: bytes, here: Path) -> Script:
    here.mkdir(exist_ok=True)
    (here / NAME).write_bytes(content)
    return Script(here / NAME)


def another(release: Release, slug: str) -> Release:
    """A second release beside the one of the tests, not published yet."""
    copy = Release.objects.get(pk=release.pk)
    copy.pk, copy.slug, copy.repo_id, copy.name = None, slug, f"meta/{slug}", slug
    copy.status = Release.Status.ANNOUNCED
    copy._state.adding = True
    copy.save()
    return copy


def refused(done: subprocess.CompletedProcess[str], status: int) -> str:
    """What it said when it stopped with this exit status; it then says nowhere that all is well."""
    assert done.returncode == status, done.stdout + done.stderr
    assert "files verified" not in done.stdout
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("stopped: "))
    return line
