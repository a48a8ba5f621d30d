"""A full disk: seen before, or met on the way; nothing half-written, and the numbers told."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django import Settings

from distribution.errors import StoreFullError
from distribution.services import publish
from distribution.stores import incoming
from portal.catalog.models import Release
from tests.distribution.published import nothing_is_published, stored


def test_a_store_without_room_is_seen_before_anything_is_written(
    release: Release, folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**12, 10**12 - 5, 5)
    )
    with pytest.raises(StoreFullError, match=r"needed \([\d,]+ bytes\), 5 bytes free"):
        publish(folder, repo_id="meta/llama-7b", actor=None)
    assert nothing_is_published(release)
    assert not stored(store)


def test_a_disk_that_fills_up_on_the_way_leaves_nothing_half_written(
    release: Release, folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(incoming.os, "fsync", no_space)
        with pytest.raises(StoreFullError, match="No space left on device"):
            publish(folder, repo_id="meta/llama-7b", actor=None)
    assert nothing_is_published(release)
    assert not stored(store)
    publish(folder, repo_id="meta/llama-7b", actor=None)


def test_a_file_that_may_not_grow_leaves_nothing_half_written(
    release: Release, folder: Path, store: Path
) -> None:
    """The kernel itself refuses to write on (RLIMIT_FSIZE), as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (folder / "consolidated.00.pth").stat().st_size
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size // 2}, {hard}))\n"
        "import django; django.setup()\n"
        "from distribution.hashing import hash_file\n"
        "from distribution.errors import StoreFullError\n"
        "from distribution.stores import get_store\n"
        f"path = Path({str(folder / 'consolidated.00.pth')!r})\n"
        "try: get_store().put('sha256/x', path, sha256=hash_file(path).sha256)\n"
        "except StoreFullError as error: print(error)\n"
    )
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "WEIGHBRIDGE_STORE": f"local:{store}",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert f"{size:,} bytes" in done.stdout
    assert "nothing half-written was kept" in done.stdout
    assert not stored(store)
    assert soft == resource.getrlimit(resource.RLIMIT_FSIZE)[0]


def test_a_really_full_disk_leaves_nothing_half_written(
    release: Release,
    folder: Path,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        settings.STORE_URL = f"local:{disk}"
        (folder / "big.txt").write_bytes(os.urandom(20_000))
        with pytest.raises(StoreFullError, match="needed"):
            publish(folder, repo_id="meta/llama-7b", actor=None)
        # As if another program had taken the room after we looked.
        monkeypatch.setattr(
            "distribution.stores.local.shutil.disk_usage",
            lambda _: shutil._ntuple_diskusage(0, 0, 10**9),
        )
        with pytest.raises(StoreFullError, match="No space left on device"):
            publish(folder, repo_id="meta/llama-7b", actor=None)
        assert nothing_is_published(release)
        assert not list(disk.rglob("*.part"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
