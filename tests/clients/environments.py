"""Finds the environments of foreign clients that `script/test --all` installs beside the project's own."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENV = Path(os.environ.get("WEIGHBRIDGE_VENV") or ROOT / ".venv")

all_only = pytest.mark.skipif(
    not os.environ.get("WEIGHBRIDGE_TEST_ALL"), reason="takes long: runs with script/test --all"
)


def python_of(name: str) -> Path:
    """The Python of `requirements/clients/<name>.txt`, in which only that client is installed."""
    return _installed(VENV / "clients" / name, f"requirements/clients/{name}.txt") / "bin/python"


def node_modules(name: str) -> Path:
    """The npm packages of `tests/clients/<name>/package-lock.json`."""
    return (
        _installed(VENV / "npm" / name, f"tests/clients/{name}/package-lock.json") / "node_modules"
    )


def node() -> str:
    """The `node` of this machine."""
    _require_all()
    return shutil.which("node") or pytest.fail("node is not installed: apt-get install nodejs npm")


def _installed(home: Path, lock: str) -> Path:
    _require_all()
    installed = home / ".installed"
    if not installed.is_file() or installed.read_bytes() != (ROOT / lock).read_bytes():
        pytest.fail(f"{lock} is not installed, or an older version of it is: run script/test --all")
    return home


def _require_all() -> None:
    if not os.environ.get("WEIGHBRIDGE_TEST_ALL"):
        pytest.skip("takes long: runs with script/test --all")
