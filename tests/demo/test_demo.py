"""`script/demo`: it starts everything, stops everything, and loses nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.live import ROOT, Site, environment, free_port, start, stop, wait_gone


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state for the tests that start a site of their own: making it takes most of the time."""
    return tmp_path_factory.mktemp("demo")


def home_page(site: Site) -> str:
    with urllib.request.urlopen(site.url, timeout=10) as answer:
        return answer.read().decode()


def test_ctrl_c_leaves_no_process_and_a_second_start_finds_everything(home: Path) -> None:
    first = start(home)
    assert "SmolLM2 135M" in home_page(first)
    token = first.token("newcomer@demo.test", "read")
    files = sorted(path for path in (home / "store").rglob("*") if path.is_file())
    assert stop(first, signal.SIGINT) == 0
    assert wait_gone(first) == []

    second = start(home)
    try:
        request = urllib.request.Request(
            f"{second.url}/api/v1/applications/", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200, "the token of the first start still opens"
        assert files == sorted(path for path in (home / "store").rglob("*") if path.is_file())
        another = subprocess.run(
            [sys.executable, "-m", "demo"],
            cwd=ROOT,
            env=environment(home, WEIGHBRIDGE_PORT=str(free_port())),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert another.returncode == 1
        assert "already runs" in another.stderr
    finally:
        stop(second, signal.SIGTERM)
    assert wait_gone(second) == []


def test_a_supervisor_that_is_killed_takes_its_processes_along(home: Path) -> None:
    """SIGKILL cannot be caught: the kernel tells the children."""
    site = start(home)
    stop(site, signal.SIGKILL)
    assert wait_gone(site) == []


def test_a_process_that_dies_is_started_again(site: Site) -> None:
    found = subprocess.run(["pgrep", "-f", "celery.*beat"], capture_output=True, text=True)
    mine = set(map(int, found.stdout.split())) & set(site.group())
    assert mine
    for pid in mine:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while "beat ended" not in (site.home / "demo.err").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "SmolLM2 135M" in home_page(site)


@pytest.mark.parametrize("port", ["web", "0", "99999"])
def test_a_port_that_is_none_is_said(tmp_path: Path, port: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment(tmp_path, WEIGHBRIDGE_PORT=port),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "must be a port number" in done.stderr


def test_a_taken_port_is_said_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "demo"],
            cwd=ROOT,
            env=environment(tmp_path, WEIGHBRIDGE_PORT=port),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"Port {port} is taken" in done.stderr
    assert done.stdout == ""
