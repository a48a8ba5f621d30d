"""The manifest, and the names under which a program asks for a revision."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distribution import hashing, manifest, selectors
from distribution.hashing import Hasher, hash_file
from distribution.models import Artifact, Revision, Tag
from distribution.services import publish, publish_folder, withdraw
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.selectors import history
from portal.catalog.models import Release
from portal.refusals import Code, Refusal


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@given(st.lists(st.binary(max_size=40)), st.integers(1, 25))
def test_chunks_are_the_same_however_the_bytes_arrive(blocks: list[bytes], size: int) -> None:
    content = b"".join(blocks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "CHUNK_SIZE", size)
        hasher = Hasher()
        for block in blocks:
            hasher.update(block)
        found = hasher.digest()
    assert (found.size, found.sha256) == (len(content), sha256(content))
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    assert found.chunks == tuple(map(sha256, parts))


def test_a_file_of_more_than_one_chunk_has_chunks_of_64_mib(tmp_path: Path) -> None:
    path, chunk = tmp_path / "sparse", 64 * 1024 * 1024
    with path.open("wb") as file:
        file.truncate(chunk)
        file.seek(chunk)
        file.write(b"the last one is shorter")
    found = hash_file(path)
    assert found.chunks == (sha256(bytes(chunk)), sha256(b"the last one is shorter"))
    path.write_bytes(b"")
    assert hash_file(path).chunks == ()


def test_the_manifest_says_what_was_published(revision: Revision, folder: Path) -> None:
    told = json.loads(selectors.manifest_of(revision))
    assert told["format"] == "weighbridge-manifest/1"
    assert (told["repo_id"], told["revision"]) == ("meta/llama-7b", revision.digest)
    assert told["chunk_size"] == 67108864
    assert [file["path"] for file in told["files"]] == [
        "consolidated.00.pth",
        "params.json",
        "tokenizer.model",
    ]
    for file in told["files"]:
        content = (folder / file["path"]).read_bytes()
        assert file["size"] == len(content)
        assert file["chunks"] == [file["sha256"]] == [sha256(content)]
    assert selectors.manifest_of(revision) == selectors.manifest_of(revision)


def test_a_revision_without_chunks_has_no_manifest_until_its_folder_is_published_again(
    revision: Revision, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "CHUNK_SIZE", 64)
    monkeypatch.setattr("distribution.models.CHUNK_SIZE", 64)
    Artifact.objects.update(chunk_digests=b"")
    with pytest.raises(Refusal) as refused:
        selectors.manifest_of(revision)
    assert refused.value.code == Code.UNAVAILABLE
    again = publish(folder, repo_id="meta/llama-7b", actor=None)
    assert again == revision
    shard = again.artifacts.get(path="consolidated.00.pth")
    content = (folder / shard.path).read_bytes()
    assert shard.chunks[1] == sha256(content[64:128])
    assert json.loads(selectors.manifest_of(again))["files"][0]["chunks"] == list(shard.chunks)


# ---- names ---------------------------------------------------------------------------------------


@pytest.fixture
def old_and_new(release: Release, folder: Path) -> tuple[Revision, Revision]:
    old = publish_folder(folder, repo_id=release.repo_id, actor=None, tag="v1").revision
    (folder / "tokenizer.model").write_bytes(b"mended")
    new = publish_folder(folder, repo_id=release.repo_id, actor=None, tag="v2.0-rc.1").revision
    release.refresh_from_db()
    return old, new


def test_main_a_tag_a_digest_and_the_first_of_it_name_a_revision(
    release: Release, old_and_new: tuple[Revision, Revision]
) -> None:
    old, new = old_and_new
    for name in ("main", "v2.0-rc.1", new.digest, new.digest[:7]):
        assert selectors.revision_named(release, name) == new
    for name in ("v1", old.digest, old.digest[:12]):
        assert selectors.revision_named(release, name) == old
    for name in ("v3", new.digest[:6], "f" * 40, "", "../v1", new.digest.upper(), "\0", "x" * 900):
        with pytest.raises(Refusal) as refused:
            selectors.revision_named(release, name)
        assert refused.value.code == Code.NOT_FOUND


def test_a_prefix_of_two_revisions_names_none(revision: Revision) -> None:
    Revision.objects.create(
        release=revision.release, digest=revision.digest[:10] + "0" * 30, layout=revision.layout
    )
    with pytest.raises(Refusal, match="More than one revision"):
        selectors.revision_named(revision.release, revision.digest[:9])
    assert selectors.revision_named(revision.release, revision.digest) == revision


def test_another_releases_tag_and_digest_name_nothing_here(revision: Revision) -> None:
    other = Release.objects.get(pk=revision.release_id)
    other.pk, other.repo_id, other.slug = None, "meta/llama-13b", "llama-13b"
    other.save()
    Tag.objects.create(release=revision.release, revision=revision, name="v1")
    for name in ("v1", revision.digest):
        with pytest.raises(Refusal) as refused:
            selectors.revision_named(other, name)
        assert refused.value.code == Code.NOT_FOUND


def test_a_withdrawn_releases_revisions_have_no_names(
    release: Release, old_and_new: tuple[Revision, Revision]
) -> None:
    withdrawn = withdraw(release.pk, actor=None, reason="Wrong weights.")
    for name in ("main", "v1", old_and_new[0].digest):
        with pytest.raises(Refusal) as refused:
            selectors.revision_named(withdrawn, name)
        assert refused.value.code == Code.WITHDRAWN


def test_a_tag_is_given_once_and_never_moved(
    release: Release, folder: Path, manager: Account
) -> None:
    first = publish_folder(folder, repo_id=release.repo_id, actor=manager, tag="v1").revision
    assert not publish_folder(folder, repo_id=release.repo_id, actor=manager, tag="v1").changed
    assert history(release).filter(verb=Verb.RELEASE_TAGGED).get().data["tag"] == "v1"
    (folder / "tokenizer.model").write_bytes(b"another")
    with pytest.raises(Refusal) as refused:
        publish_folder(folder, repo_id=release.repo_id, actor=manager, tag="v1")
    assert refused.value.code == Code.CONFLICT
    assert selectors.current_revision(Release.objects.get(pk=release.pk)) == first
    assert Revision.objects.count() == 1


@pytest.mark.parametrize("name", ["main", "deadbeef", "a/b", "-v1", "v 1", "ü", "x" * 129])
def test_what_could_be_mistaken_for_something_else_is_no_tag(
    release: Release, folder: Path, name: str
) -> None:
    with pytest.raises(Refusal) as refused:
        publish_folder(folder, repo_id=release.repo_id, actor=None, tag=name)
    assert refused.value.code == Code.INVALID
    assert not Revision.objects.exists()


def test_checksum_lines_are_sorted_and_in_the_form_of_sha256sum() -> None:
    rows = [manifest.Entry("b/c", 1, "2" * 64), manifest.Entry("a", 1, "1" * 64)]
    assert manifest.sums(rows) == f"{'1' * 64}  a\n{'2' * 64}  b/c\n"
