"""`publish --also`: two layouts in one revision, and on after an interruption."""

from io import StringIO
from pathlib import Path

import pytest
import torch
from django.core.management import CommandError, call_command
from pytest_django import Settings

from distribution import selectors
from distribution.converting import Made, plans
from distribution.errors import PublishError
from distribution.models import Revision
from distribution.services import materialise, publish_folder
from distribution.stores import get_store
from portal.catalog.models import Release
from tests.distribution.published import nothing_is_published, stored
from tests.distribution.weights import original, safetensors
from tests.inference_sandbox.engine.releases import logits

BOTH = [
    "config.json",
    "consolidated.00.pth",
    "generation_config.json",
    "model.safetensors",
    "params.json",
    "tokenizer.model",
    "tokenizer_config.json",
]


@pytest.fixture
def folder(folder: Path) -> Path:
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    return folder


def paths(revision: Revision) -> list[str]:
    return [artifact.path for artifact in revision.artifacts.all()]


def test_one_revision_carries_both_layouts(release: Release, folder: Path, store: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    out = StringIO()
    call_command(
        "publish", folder, "--repo=meta/llama-7b", "--also=safetensors", "--tag=v1", stdout=out
    )
    release.refresh_from_db()
    revision = selectors.revision_named(release, "v1")
    assert paths(revision) == BOTH
    assert revision.layout == Revision.Layout.ORIGINAL
    assert "7 files" in out.getvalue()
    assert sorted(path.name for path in folder.iterdir()) == before, "the folder is left alone"
    for artifact in revision.artifacts.all():
        assert (store / artifact.store_key).stat().st_size == artifact.size


def test_the_same_folder_gives_the_same_revision_and_another_layout_another(
    release: Release, folder: Path, tmp_path: Path
) -> None:
    act = {"repo_id": "meta/llama-7b", "actor": None}
    first = publish_folder(folder, also="safetensors", **act)
    again = publish_folder(folder, also="safetensors", **act)
    assert (again.revision, again.changed) == (first.revision, False)
    alone = publish_folder(folder, **act)
    assert alone.revision != first.revision
    assert paths(alone.revision) == ["consolidated.00.pth", "params.json", "tokenizer.model"]


def test_the_folder_that_holds_both_gives_the_revision_that_was_converted(
    release: Release, folder: Path, tmp_path: Path
) -> None:
    act = {"repo_id": "meta/llama-7b", "actor": None}
    converted = publish_folder(folder, also="safetensors", **act).revision
    whole = tmp_path / "whole"
    for artifact in converted.artifacts.all():
        get_store().fetch(artifact.store_key, whole / artifact.path, sha256=artifact.sha256)
    assert publish_folder(whole, **act).revision == converted
    with pytest.raises(PublishError, match="already"):
        publish_folder(whole, also="safetensors", **act)


def test_safetensors_get_the_original_layout_in_the_shards_of_the_catalogue(
    release: Release, tmp_path: Path
) -> None:
    Release.objects.update(model_parallel=2)
    folder = safetensors(tmp_path / "hub")
    revision = publish_folder(folder, repo_id="meta/llama-7b", actor=None, also="original").revision
    assert {"consolidated.00.pth", "consolidated.01.pth", "params.json", "checklist.chk"} < set(
        paths(revision)
    )
    assert revision.layout == Revision.Layout.ORIGINAL
    target = materialise(revision, tmp_path / "cache")
    tokens = torch.tensor([[1, 5, 9, 30]])
    assert logits(target, tokens).equal(logits(folder, tokens))


def test_what_cannot_be_converted_is_refused_before_anything_is_stored(
    release: Release, folder: Path, store: Path
) -> None:
    original(folder, use_scaled_rope=True)
    with pytest.raises(CommandError, match="scaled rotary"):
        call_command("publish", folder, "--repo=meta/llama-7b", "--also=safetensors")
    assert nothing_is_published(release)
    assert not stored(store)


def test_interrupted_it_does_not_make_again_what_is_in_the_store(
    release: Release,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: Settings,
) -> None:
    settings.HOME = tmp_path / "home"
    written: list[str] = []
    convert = plans.convert

    def watched(*args: object, **kwargs: object) -> list[Made]:
        def told(file: Made, target: Path) -> None:
            written.append(file.path)
            if file.path == breaking:
                raise KeyboardInterrupt
            file.write(target)

        return [
            Made(file.path, file.size, lambda target, file=file: told(file, target))
            for file in convert(*args, **kwargs)
        ]

    monkeypatch.setattr("distribution.converting.convert", watched)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    act = {"repo_id": "meta/llama-7b", "actor": None, "also": "safetensors", "shard_size": 1000}
    breaking = "model-00003-of-00005.safetensors"
    with pytest.raises(KeyboardInterrupt):
        publish_folder(folder, **act)
    done = [name for name in written if name != breaking]
    assert done
    assert nothing_is_published(release)
    written.clear()
    breaking = ""
    publish_folder(folder, **act)
    assert not set(written) & set(done), "what was in the store was made again"
    assert not list((settings.HOME / "publishing").rglob("*.*")), "nothing is left of it"
