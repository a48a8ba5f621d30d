"""Bringing a revision to a worker's own folder."""

import os
import time
from pathlib import Path

import pytest

from distribution.errors import StoreError
from distribution.models import Artifact, Revision
from distribution.services import in_use, materialise, prune, publish, publish_folder
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


def test_of_both_layouts_the_original_one_is_brought(release: Release, tmp_path: Path) -> None:
    folder = original(tmp_path / "weights")
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    revision = publish_folder(folder, repo_id=release.repo_id, actor=None, also="safetensors")
    target = materialise(revision.revision, tmp_path / "cache")
    names = {path.name for path in target.iterdir()}
    assert {"params.json", "consolidated.00.pth", "tokenizer.model"} <= names
    assert not [name for name in names if name.endswith(".safetensors")]


# ---- the cache is pruned -------------------------------------------------------------------------


def unused_for(days: int, revision: Revision, cache: Path) -> None:
    then = time.time() - days * 24 * 3600
    os.utime(cache / f".{revision.digest}.use", (then, then))


def test_what_nothing_used_for_long_leaves_the_cache(
    revision: Revision, shard: Artifact, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    with in_use(revision, cache):
        target = materialise(revision, cache)
    (cache / f".{revision.digest}.part").mkdir()  # of a worker that was killed
    assert prune(cache, days=14) == []
    unused_for(15, revision, cache)
    assert prune(cache, days=0) == [], "0: never"
    assert target.is_dir()
    assert prune(cache, days=14) == [revision.digest]
    assert not target.exists()
    assert not (cache / f".{revision.digest}.part").exists()
    stored = get_store().local_path(shard.store_key)
    assert stored.stat().st_size == shard.size, "the store keeps its own"
    assert materialise(revision, cache).is_dir(), "it is fetched again when it is needed"


def test_what_a_process_uses_stays_however_long(revision: Revision, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with in_use(revision, cache):
        target = materialise(revision, cache)
        unused_for(100, revision, cache)
        assert prune(cache, days=14) == []
        assert target.is_dir()
    assert prune(cache, days=14) == [], "it was in use a moment ago"


def test_weights_of_an_older_version_of_the_site_count_from_now(
    revision: Revision, tmp_path: Path
) -> None:
    """Nobody wrote down when they were used."""
    materialise(revision, tmp_path / "cache")
    assert prune(tmp_path / "cache", days=14) == []
    assert prune(tmp_path / "nothing", days=14) == []
