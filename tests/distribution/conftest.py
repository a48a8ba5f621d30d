"""A published release, a live site, and a real S3 server."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import uvicorn
from botocore.exceptions import BotoCoreError, ClientError
from django.core.handlers.asgi import ASGIHandler
from pytest_django import Settings

from distribution.models import Artifact, Revision
from distribution.services import publish
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.sendfile import Protocol
from tests.distribution.cutting import Line, line_to
from tests.distribution.scripting import Script, script_of
from tests.distribution.weights import granted, original


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def live(settings: Settings, transactional_db: None) -> Iterator[str]:
    """The site behind a real uvicorn, on the test's database; returns its address, which links
    bear too.
    """
    port = free_port()
    settings.BASE_URL = f"http://127.0.0.1:{port}"
    server = uvicorn.Server(
        uvicorn.Config(ASGIHandler(), port=port, http=Protocol, lifespan="off", log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline, "uvicorn did not start"
        time.sleep(0.01)
    yield settings.BASE_URL
    server.should_exit = True
    thread.join(10)


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


# ---- S3 ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class S3:
    endpoint: str
    access_key: str
    secret_key: str


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """The server that WEIGHBRIDGE_TEST_S3 names (http://key:secret@host:port), or SeaweedFS, which
    is never idle: it ends with the file that needs it.
    """
    if given := os.environ.get("WEIGHBRIDGE_TEST_S3"):
        place = urlsplit(given)
        host = f"{place.hostname}:{place.port}"
        server = S3(f"{place.scheme}://{host}", place.username or "", place.password or "")
        _wait_for_s3(server)
        yield server
        return
    base = tmp_path_factory.mktemp("weed")
    server = S3(f"http://127.0.0.1:{free_port()}", "testaccess", "testsecret0123456789")
    process = _start_weed(base, server)
    try:
        _wait_for_s3(server, process)
        yield server
    finally:
        process.kill()  # its data is thrown away with it
        process.wait()


def _start_weed(base: Path, server: S3) -> subprocess.Popen[bytes]:
    credentials = [{"accessKey": server.access_key, "secretKey": server.secret_key}]
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    identities = {"identities": [{"name": "test", "credentials": credentials, "actions": actions}]}
    (base / "s3.json").write_text(json.dumps(identities))
    (base / "data").mkdir()
    ports = {name: free_port() for name in ("master", "volume", "filer", "admin")}
    return subprocess.Popen(
        [
            str(Path(sys.executable).with_name("weed")),
            f"-logdir={base}",
            "mini",
            f"-dir={base / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.config={base / 's3.json'}",
            f"-s3.port={urlsplit(server.endpoint).port}",
            f"-s3.port.grpc={free_port()}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-admin.ui=false",
            "-webdav=false",
            "-master.telemetry=false",
            *(f"-{name}.port={port}" for name, port in ports.items()),
            *(f"-{name}.port.grpc={free_port()}" for name in ports),
            f"-filer.localSocket={base / 'filer.sock'}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"GOMEMLIMIT": "150MiB", "GOGC": "50"},
    )


def _wait_for_s3(server: S3, process: subprocess.Popen[bytes] | None = None) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    deadline = time.monotonic() + 60
    while not _has_bucket(client):
        assert process is None or process.poll() is None, "the S3 server ended at its start"
        assert time.monotonic() < deadline, "the S3 server did not start"
        time.sleep(0.2)


def _has_bucket(client: Any) -> bool:
    try:
        client.create_bucket(Bucket="weighbridge-test")
    except ClientError as error:
        return "BucketAlready" in str(error)
    except BotoCoreError:  # not up yet
        return False
    return True


@pytest.fixture
def s3(s3_server: S3, settings: Settings, request: pytest.FixtureRequest) -> S3:
    """The store is a bucket of the real server, below a prefix of this test's own."""
    settings.STORE_URL = f"s3://weighbridge-test/{os.getpid()}/{abs(hash(request.node.nodeid))}"
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
