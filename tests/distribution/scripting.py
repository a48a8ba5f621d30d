"""The download script in a folder of its own, run by a real bash."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


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
            str(path.relative_to(self.release)) for path in self.release.rglob("*") if path.is_file()
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


def saved(content: bytes, here: Path) -> Script:
    here.mkdir(exist_ok=True)
    (here / "weighbridge-download.sh").write_bytes(content)
    return Script(here / "weighbridge-download.sh")
