"""A release behind the real server, and clients of the hub that know nothing of this project."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

from access_requests.models import Grant
from distribution.models import Revision
from distribution.services import publish_folder
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from tests.conformance.hub_release import write
from tests.distribution.conftest import live as live
from tests.distribution.conftest import s3 as s3
from tests.distribution.conftest import s3_server as s3_server
from tests.distribution.conftest import store
from tests.distribution.weights import granted
from tests.inference_sandbox.conftest import celery_worker

REPO = "meta/llama-7b"
local_store = store  # the fixture that gives each test an empty directory; asked for by `hub` alone
NOBODY: Any = False  # how the client is told to send no token


@dataclass(frozen=True)
class Hub:
    """The site, the release on it, and what its clients are called with."""

    url: str
    release: Release
    revision: Revision
    folder: Path  # what was published
    grant: Grant  # alice's
    home: Path  # of the clients

    @property
    def sha(self) -> str:
        return self.revision.digest

    def token(self, account: Account, *scopes: Scope, expires_at: datetime | None = None) -> str:
        names = [str(scope) for scope in scopes or (Scope.READ, Scope.DOWNLOAD)]
        return ApiToken.make(account, name="laptop", scopes=names, expires_at=expires_at)[1]

    @property
    def alices(self) -> str:
        return self.token(self.grant.account)

    def api(self, token: str = NOBODY) -> HfApi:
        return HfApi(endpoint=self.url, token=token)

    def file(self, name: str, token: str = NOBODY, repo: str = REPO, **more: Any) -> Path:
        """`hf_hub_download`, into the test's own cache."""
        kept = {"endpoint": self.url, "cache_dir": self.home / "cache", **more}
        return Path(hf_hub_download(repo, name, token=token, **kept))

    def snapshot(self, token: str = NOBODY, **more: Any) -> Path:
        kept = {"endpoint": self.url, "cache_dir": self.home / "cache", **more}
        return Path(snapshot_download(REPO, token=token, **kept))

    def run(self, *command: str, token: str = "") -> subprocess.CompletedProcess[str]:
        """A process that knows two variables of us: HF_ENDPOINT and HF_TOKEN."""
        known = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "WEIGHBRIDGE_", "DJANGO_"))
        }
        ours = {"HF_ENDPOINT": self.url, "HF_HOME": str(self.home), "HF_TOKEN": token}
        return subprocess.run(
            [str(Path(sys.executable).with_name(command[0])), *command[1:]],
            cwd=self.home,
            env=known | {name: value for name, value in ours.items() if value},
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture(scope="session")
def worker_of(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: Any
) -> Iterator[str]:
    """A worker for the releases of this slug, which come and go with the files of tests."""
    slug = f"tiny-{secrets.token_hex(4)}"
    with django_db_blocker.unblock():
        with celery_worker(slug, tmp_path_factory.mktemp("worker") / "worker.log"):
            yield slug


@pytest.fixture(scope="session")
def both_layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("both") / "llama-7b")


@pytest.fixture
def hub(
    live: str,
    local_store: Path,
    release: Release,
    both_layouts: Path,
    alice: Account,
    tmp_path: Path,
) -> Hub:
    """LLaMA 7B in both layouts, tagged v1; alice holds a grant to its weights."""
    return _hub(live, release, both_layouts, alice, tmp_path)


@pytest.fixture
def hub_on_s3(
    live: str, s3: object, release: Release, both_layouts: Path, alice: Account, tmp_path: Path
) -> Hub:
    """The same, with the bytes in a bucket."""
    return _hub(live, release, both_layouts, alice, tmp_path)


def _hub(url: str, release: Release, folder: Path, alice: Account, home: Path) -> Hub:
    made = publish_folder(folder, repo_id=release.repo_id, actor=None, tag="v1").revision
    release.refresh_from_db()
    return Hub(url, release, made, folder, granted(alice, release), home)


@pytest.fixture
def republished(hub: Hub, tmp_path: Path) -> Callable[[], Revision]:
    """Called, it makes `main` another revision, in which params.json ends in a new line."""

    def again() -> Revision:
        folder = tmp_path / "again"
        folder.mkdir()
        for path in hub.folder.iterdir():
            if path.name.startswith(("params", "consolidated", "tokenizer.model")):
                (folder / path.name).write_bytes(path.read_bytes())
        (folder / "params.json").write_text((hub.folder / "params.json").read_text() + "\n")
        return publish_folder(folder, repo_id=REPO, actor=None).revision

    return again
