"""A published release, a live site, and a real S3 server."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from pytest_django import Settings

from access_requests.models import Grant
from distribution.models import Artifact, Revision
from distribution.services import issue_link, publish
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.distribution.cutting import Line, line_to
from tests.distribution.s3_server import BUCKET, S3, Weed
from tests.distribution.scripting import Script, script_of
from tests.distribution.weights import granted, original
from tests.serving import serving_site


@pytest.fixture(autouse=True)
def store(settings: Settings, tmp_path: Path) -> Path:
    """Each test has an empty directory as its store."""
    settings.STORE_URL = f"local:{tmp_path / 'store'}"
    return tmp_path / "store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return original(tmp_path / "weights")


@pytest.fixture
def revision(release: Release, folder: Path) -> Revision:
    """LLaMA 7B, published by the operator: params.json, one shard, a tokenizer."""
    published = publish(folder, repo_id=release.repo_id, actor=None)
    release.refresh_from_db()
    return published


@pytest.fixture
def shard(revision: Revision) -> Artifact:
    return revision.artifacts.get(path="consolidated.00.pth")


@pytest.fixture
def grant(alice: Account, revision: Revision) -> Grant:
    """alice's, for the weights."""
    return granted(alice, revision.release)


@pytest.fixture
def url(grant: Grant, shard: Artifact, alice: Account) -> str:
    """Her link to the shard."""
    return issue_link(shard, grant=grant, actor=alice).url


@pytest.fixture
def live(settings: Settings, transactional_db: None) -> Iterator[str]:
    """The site behind a real uvicorn, on the test's database; returns its address, which links
    bear too.
    """
    with serving_site() as url:
        settings.BASE_URL = url
        yield url


@pytest.fixture
def line(live: str, settings: Settings) -> Iterator[Line]:
    """A line to the live site under an address of its own, which scripts and links bear."""
    with line_to(live) as line:
        settings.BASE_URL = line.url
        yield line


@pytest.fixture
def script(line: Line, release: Release, folder: Path, alice: Account, tmp_path: Path) -> Script:
    """alice's script. Of the five files one lies in a folder, and one is empty."""
    (folder / "docs").mkdir()
    (folder / "docs" / "empty.txt").touch()
    (folder / "big.txt").write_bytes(os.urandom(3_000_000))
    granted(alice, publish(folder, repo_id=release.repo_id, actor=None).release)
    return script_of(alice, tmp_path / "here")


# ---- hostile files -------------------------------------------------------------------------------


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that hostile code makes, when it runs."""
    return tmp_path / "it ran"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A file as torch writes it."""
    torch.save({"x": torch.arange(3.0), "y": torch.zeros(2, 2)}, tmp_path / "good.pth")
    return tmp_path / "good.pth"


# ---- S3 ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """The server that WEIGHBRIDGE_TEST_S3 names (http://key:secret@host:port), or SeaweedFS, which
    is never idle: it ends with the file that needs it.
    """
    if given := os.environ.get("WEIGHBRIDGE_TEST_S3"):
        place = urlsplit(given)
        host = f"{place.hostname}:{place.port}"
        server = S3(f"{place.scheme}://{host}", place.username or "", place.password or "")
        server.wait()
        yield server
        return
    weed = Weed(tmp_path_factory.mktemp("weed"))
    process = weed.start()
    try:
        weed.s3.wait(process)
        yield weed.s3
    finally:
        process.kill()  # its data is thrown away with it
        process.wait()


@pytest.fixture
def s3(s3_server: S3, settings: Settings, request: pytest.FixtureRequest) -> S3:
    """The store is a bucket of the real server, below a prefix of this test's own."""
    settings.STORE_URL = f"s3://{BUCKET}/{os.getpid()}/{abs(hash(request.node.nodeid))}"
    settings.S3_ENDPOINT = settings.S3_PUBLIC_ENDPOINT = s3_server.endpoint
    settings.S3_ACCESS_KEY, settings.S3_SECRET_KEY = s3_server.access_key, s3_server.secret_key
    return s3_server


@pytest.fixture
def run_curl() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The real program."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["curl", "-sS", *arguments], capture_output=True, text=True, timeout=60
        )

    return run
