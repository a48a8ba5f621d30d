"""Bringing a revision to a worker's own folder."""

from pathlib import Path

import pytest

from distribution.errors import StoreError
from distribution.models import Artifact, Revision
from distribution.services import materialise, publish
from distribution.stores import get_store
from portal.catalog.models import Release
from tests.distribution.weights import original


def test_a_revision_is_brought_to_a_folder_whole_and_once(
    revision: Revision, folder: Path, tmp_path: Path
) -> None:
    target = materialise(revision, tmp_path / "cache")
    assert target == tmp_path / "cache" / revision.digest
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    inode = target.stat().st_ino
    assert materialise(revision, tmp_path / "cache").stat().st_ino == inode


def test_a_damaged_store_is_not_loaded(revision: Revision, shard: Artifact, tmp_path: Path) -> None:
    path = get_store().local_path(shard.store_key)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(StoreError, match="has SHA-256"):
        materialise(revision, tmp_path / "cache")
    assert not (tmp_path / "cache" / revision.digest).exists()


def test_two_layouts_of_shards_are_published_under_their_own_releases(
    release: Release, tmp_path: Path
) -> None:
    Release.objects.filter(pk=release.pk).update(model_parallel=2)
    revision = publish(original(tmp_path / "two", 2), repo_id="meta/llama-7b", actor=None)
    assert revision.artifacts.filter(path__startswith="consolidated").count() == 2
