"""Bringing a revision to a worker's own folder."""

from pathlib import Path

import pytest

from distribution.errors import StoreError
from distribution.models import Artifact, Revision
from distribution.services import materialise, publish, publish_folder
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
