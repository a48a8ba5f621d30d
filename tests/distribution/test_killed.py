"""SIGKILL at random moments of a publication: nothing half-published, and little done twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import Settings

from distribution import hashing, selectors
from distribution.models import Revision
from distribution.stores import LocalStore, get_store, multipart
from portal.catalog.models import Release
from tests.distribution.published import nothing_is_published, stored
from tests.distribution.s3_server import S3
from tests.distribution.weights import original

# A publication as it is typed, in a process of its own, slowed down so that there is time to kill it.
CODE = """
import sys, time
import portal.settings as s
s.DATABASES["default"]["NAME"] = {database!r}
import django; django.setup()
from distribution import hashing
from distribution.stores import incoming, multipart
for module in (hashing, multipart):
    module.CHUNK_SIZE = {chunk}
incoming.BLOCK = 65536
write, upload = incoming._write, multipart._Upload._part
def slowly(do):
    def act(*args):
        time.sleep({pause})
        return do(*args)
    return act
incoming._write, multipart._Upload._part = slowly(write), slowly(upload)
from django.core.management import call_command
print("begun", flush=True)
call_command("publish", {folder!r}, "--repo=meta/llama-7b", "--also=safetensors", "--shard-size=3000")
"""
CHUNK = 5 * 1024 * 1024  # the least that S3 takes as a part


@pytest.fixture
def folder(folder: Path) -> Path:
    """A small model, and beside it files that take their time."""
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    for name in ("one.bin.txt", "two.bin.txt"):
        (folder / name).write_bytes(random.Random(name).randbytes(3 * CHUNK + 1234))
    return folder


def begin(folder: Path, pause: float) -> "subprocess.Popen[str]":
    database = str(connection.settings_dict["NAME"])
    code = CODE.format(database=database, chunk=CHUNK, pause=pause, folder=str(folder))
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "WEIGHBRIDGE_HOME": str(settings.HOME),
        "WEIGHBRIDGE_STORE": settings.STORE_URL,
        "WEIGHBRIDGE_S3_ENDPOINT": settings.S3_ENDPOINT,
        "WEIGHBRIDGE_S3_ACCESS_KEY": settings.S3_ACCESS_KEY,
        "WEIGHBRIDGE_S3_SECRET_KEY": settings.S3_SECRET_KEY,
    }
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_somewhere(release: Release, folder: Path, pause: float, within: float) -> bool:
    """Whether the kill came before the publication: then nothing of it is to be seen."""
    process = begin(folder, pause)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(random.uniform(0, within))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if Revision.objects.exists():  # in the moment after
        whole(release)
        return False
    assert nothing_is_published(release)
    return True


def finish(folder: Path) -> None:
    process = begin(folder, 0)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "meta/llama-7b@" in out


def whole(release: Release) -> Revision:
    release.refresh_from_db()
    revision = selectors.current_revision(release)
    for artifact in revision.artifacts.all():
        hasher = hashing.Hasher()
        with get_store().open(artifact.store_key) as file:
            while block := file.read(hashing.BLOCK):
                hasher.update(block)
        assert hasher.digest().sha256 == artifact.sha256
    return revision


@pytest.mark.django_db(transaction=True)
def test_killed_five_times_at_random_it_publishes_the_whole_at_last(
    release: Release, folder: Path, store: Path, settings: Settings, tmp_path: Path
) -> None:
    settings.HOME = tmp_path / "home"
    settings.HOME.mkdir(exist_ok=True)
    kept: dict[Path, int] = {}
    for _ in range(5):
        if not kill_somewhere(release, folder, 0.005, within=2.0):
            break
        there = {path: path.stat().st_mtime_ns for path in stored(store / "sha256")}
        assert kept.items() <= there.items(), "what was in the store was written again"
        kept = there
    finish(folder)
    revision = whole(release)
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert len(stored(store)) == revision.artifacts.values("sha256").distinct().count()
    assert not stored(settings.HOME / "publishing"), "nothing of the work is left"


@pytest.mark.django_db(transaction=True)
def test_killed_on_the_way_to_s3_it_goes_on_with_the_parts_that_arrived(
    release: Release, folder: Path, s3: S3, settings: Settings, tmp_path: Path
) -> None:
    settings.HOME = tmp_path / "home"
    settings.HOME.mkdir(exist_ok=True)
    for _ in range(3):
        if not kill_somewhere(release, folder, 0.2, within=3.0):
            break
    finish(folder)
    revision = whole(release)
    store = get_store()
    head = store._head(revision.artifacts.get(path="one.bin.txt").store_key)
    assert head["ContentLength"] == 3 * CHUNK + 1234
    assert not list(multipart._uploads(store._client, store.bucket, store._key("")))


def test_parts_that_arrived_are_not_sent_again(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (hashing, multipart):
        monkeypatch.setattr(module, "CHUNK_SIZE", CHUNK)
    monkeypatch.setattr(multipart, "AT_ONCE", 1)
    path = tmp_path / "large"
    path.write_bytes(random.Random(1).randbytes(5 * CHUNK + 7))
    store, digest = get_store(), hashing.hash_file(path)
    send, sent = store._client.upload_part, []

    def watched(**kwargs):
        sent.append(kwargs["PartNumber"])
        if len(sent) == 4:
            raise KeyboardInterrupt
        return send(**kwargs)

    monkeypatch.setattr(store._client, "upload_part", watched)
    with pytest.raises(KeyboardInterrupt):
        store.bring(path, mark="m", known=digest)
    assert store.size(f"sha256/{digest.sha256[:2]}/{digest.sha256}") is None
    sent[:] = [0] * 10
    store.bring(path, mark="m", known=digest)
    assert sent[10:] == [4, 5, 6]
    store.fetch(
        f"sha256/{digest.sha256[:2]}/{digest.sha256}", tmp_path / "got", sha256=digest.sha256
    )


def test_s3_refuses_a_part_that_is_not_what_was_hashed(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (hashing, multipart):
        monkeypatch.setattr(module, "CHUNK_SIZE", CHUNK)
    for size in (1000, 2 * CHUNK + 1):
        path = tmp_path / f"file{size}"
        path.write_bytes(random.Random(2).randbytes(size))
        digest = hashing.hash_file(path)
        with path.open("r+b") as file:
            file.write(b"changed")
        with pytest.raises(Exception, match="not stored"):
            get_store().bring(path, mark="m", known=digest)
        assert get_store().size(f"sha256/{digest.sha256[:2]}/{digest.sha256}") is None


def test_an_upload_that_nobody_went_on_with_is_ended(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    store = get_store()
    store._client.create_multipart_upload(Bucket=store.bucket, Key=store._key("sha256/ab/x"))
    store.check_room(1)
    assert len(list(multipart._uploads(store._client, store.bucket, store._key("")))) == 1
    monkeypatch.setattr(multipart, "KEPT_FOR", timedelta(seconds=-60))
    store.check_room(1)
    assert not list(multipart._uploads(store._client, store.bucket, store._key("")))


# ---- the draft -----------------------------------------------------------------------------------


def test_a_draft_that_holds_nonsense_is_written_over(store: Path, tmp_path: Path) -> None:
    """As after a loss of power: its length is right, its bytes are not."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))
    (store / "incoming").mkdir(parents=True)
    for draft in (bytes(300_000), path.read_bytes()[:100_000], os.urandom(400_000)):
        (store / "incoming" / "m").write_bytes(draft)
        assert LocalStore(store).pending("m") == len(draft)
        found = LocalStore(store).bring(path, mark="m")
        assert found == hashing.hash_file(path)
        (kept,) = stored(store)
        assert kept.read_bytes() == path.read_bytes()
        kept.unlink()


def test_only_what_a_draft_lacks_is_written(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distribution.stores import incoming

    path = tmp_path / "file"
    path.write_bytes(os.urandom(10_000))
    (store / "incoming").mkdir(parents=True)
    (store / "incoming" / "m").write_bytes(path.read_bytes()[:7_000])
    monkeypatch.setattr(incoming, "BLOCK", 1000)
    write, written = incoming._write, []
    monkeypatch.setattr(
        incoming, "_write", lambda out, block, at: (written.append(at), write(out, block, at))
    )
    LocalStore(store).bring(path, mark="m")
    assert written == [7000, 8000, 9000]


def test_old_drafts_are_swept_and_young_ones_and_those_in_use_stay(store: Path) -> None:
    import fcntl

    (store / "incoming").mkdir(parents=True)
    for name in ("old", "young", "used"):
        (store / "incoming" / name).write_bytes(b"draft")
    then = time.time() - 15 * 24 * 3600
    os.utime(store / "incoming" / "old", (then, then))
    with (store / "incoming" / "used").open("r+b") as used:
        fcntl.flock(used, fcntl.LOCK_EX)
        os.utime(store / "incoming" / "used", (then, then))
        LocalStore(store).check_room(1)
    assert {path.name for path in stored(store)} == {"young", "used"}


def test_publishing_what_is_stored_copies_nothing(
    release: Release, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distribution.services import publish_folder
    from distribution.stores import local

    folder = original(tmp_path / "again")
    publish_folder(folder, repo_id=release.repo_id, actor=None)
    monkeypatch.setattr(local, "take_in", lambda *_, **__: pytest.fail("it was copied again"))
    assert not publish_folder(folder, repo_id=release.repo_id, actor=None).changed
