"""A real S3 server, started with the very options that docker-compose.yml gives it."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from distribution.stores.s3 import S3Store
from tests.deploy import nginx
from tests.deploy.nginx import free_port
from tests.deploy.test_compose import configuration

ROOT = Path(__file__).resolve().parents[2]
WEED = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")

KEYS = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret0123456789"}

pytestmark = pytest.mark.skipif(WEED is None, reason="needs weed: install requirements/dev.txt")


def options() -> list[str]:
    """The command of the service, on loopback and on the ports below instead of its own."""
    command = configuration()["services"]["s3"]["command"]
    return [part for part in command if not re.match(r"-ip|-s3\.port=", part)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    for _ in range(3):  # a port that was free may be another test's by the time it is bound
        process, ports = start(tmp_path_factory.mktemp("s3"))
        try:
            wait_for(f"http://127.0.0.1:{ports['s3.port']}/healthz", process)
            break
        except AssertionError:
            process.kill()
            process.wait(10)
    assert process.poll() is None, "the S3 server did not start three times"
    try:
        yield {
            "S3_MASTER": f"127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}",
            "S3_FILER": f"127.0.0.1:{ports['filer.port']}.{ports['filer.port.grpc']}",
            "S3": f"http://127.0.0.1:{ports['s3.port']}",
        }
    finally:
        process.kill()
        process.wait(10)


def start(folder: Path) -> tuple["subprocess.Popen[bytes]", dict[str, int]]:
    ports = {
        f"{part}.port{grpc}": free_port()
        for part in ("master", "volume", "filer", "s3")
        for grpc in ("", ".grpc")
    }
    own = [f"-{name}={port}" for name, port in ports.items()]
    process = subprocess.Popen(
        [
            *(str(WEED), f"-logdir={folder}", *options(), *own, f"-dir={folder}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *("-volume.max=8", "-master.volumeSizeLimitMB=64"),
        ],
        env={**os.environ, **KEYS, "GOMEMLIMIT": "150MiB", "GOGC": "50"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return process, ports


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the S3 server did not start"
        assert time.monotonic() < deadline, "the S3 server does not answer"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)


def init(server: dict[str, str], bucket: str) -> subprocess.CompletedProcess[str]:
    assert WEED
    path = f"{Path(WEED).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", str(ROOT / "deploy" / "s3-init.sh")],
        env={"PATH": path, "HOME": os.environ.get("HOME", "/"), **server, "S3_BUCKET": bucket},
        capture_output=True,
        text=True,
    )


def test_the_bucket_is_made_once_and_the_second_time_nothing_changes(
    server: dict[str, str],
) -> None:
    first, second = init(server, "weighbridge-weights"), init(server, "weighbridge-weights")
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr
    assert first.stdout.endswith("bucket weighbridge-weights made\n")
    assert second.stdout == "bucket weighbridge-weights is there\n"


def test_a_bucket_is_not_taken_for_one_whose_name_begins_alike(server: dict[str, str]) -> None:
    init(server, "weights-longer")
    assert init(server, "weights").stdout.endswith("bucket weights made\n")


def test_a_name_that_no_bucket_may_have_fails(server: dict[str, str]) -> None:
    done = init(server, "No")
    assert done.returncode == 1
    assert "could not be made" in done.stderr


def test_the_store_opens_to_nobody_without_a_key(server: dict[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server['S3']}/weighbridge-weights/", timeout=5)
    assert refused.value.code == 403


@pytest.fixture
def through_the_proxy(server: dict[str, str], tmp_path: Path) -> Iterator[S3Store]:
    """A store whose clients come through nginx, as they do in the production shape."""
    if nginx.EXECUTABLE is None:
        pytest.skip("needs nginx: apt-get install nginx")
    init(server, "weighbridge-weights")
    port = free_port()
    s3 = server["S3"].removeprefix("http://")
    with nginx.running(nginx.configuration(tmp_path, port, PROXY_S3=s3), port) as url:
        yield S3Store(
            "weighbridge-weights",
            "",
            endpoint=server["S3"],
            public_endpoint=url,
            region="us-east-1",
            access_key=KEYS["AWS_ACCESS_KEY_ID"],
            secret_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )


def test_a_presigned_address_opens_through_the_proxy_and_an_altered_one_does_not(
    through_the_proxy: S3Store, tmp_path: Path
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(os.urandom(1_000_000))
    through_the_proxy.put("sha256/ab", file, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    url = through_the_proxy.presigned_url("sha256/ab", filename="weights", seconds=60)
    assert url
    # The hub client sends its token along; S3 would refuse two ways of signing in.
    token = {"Authorization": "Bearer wb_1"}
    assert httpx.get(url, headers=token).content == file.read_bytes()
    part = httpx.get(url, headers={**token, "Range": "bytes=999990-"})
    assert (part.status_code, part.content) == (206, file.read_bytes()[-10:])
    assert httpx.get(url.replace("ab?", "ac?")).status_code == 403
