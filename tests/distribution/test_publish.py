"""Publishing a folder: whole or not at all, the same twice, and going on after an interruption."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from distribution import manifest, selectors
from distribution.errors import PublishError, StoreError
from distribution.hashing import hash_file, hash_files
from distribution.models import Revision
from distribution.services import bringing, publish, publish_folder, withdraw
from distribution.stores import incoming
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.audit.selectors import history
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.distribution.published import nothing_is_published, stored
from tests.distribution.weights import safetensors


def test_a_folder_becomes_the_current_revision(
    release: Release, folder: Path, store: Path, manager: Account
) -> None:
    revision = publish(folder, repo_id="meta/llama-7b", actor=manager)
    release.refresh_from_db()
    assert release.is_published
    assert selectors.current_revision(release) == revision
    assert [file.path for file in selectors.files(release)] == [
        "consolidated.00.pth",
        "params.json",
        "tokenizer.model",
    ]
    for artifact in revision.artifacts.all():
        content = (folder / artifact.path).read_bytes()
        assert (store / artifact.store_key).read_bytes() == content
        assert artifact.size == len(content)
    event = history(release).get()
    assert (event.verb, event.actor, event.data["digest"]) == (
        Verb.RELEASE_PUBLISHED,
        manager,
        revision.digest,
    )


def test_published_twice_nothing_changes(release: Release, folder: Path, store: Path) -> None:
    first = publish_folder(folder, repo_id="meta/llama-7b", actor=None)
    before = {path: path.stat().st_mtime_ns for path in stored(store)}
    second = publish_folder(folder, repo_id="meta/llama-7b", actor=None)
    assert (first.changed, second.changed) == (True, False)
    assert first.revision == second.revision
    assert {path: path.stat().st_mtime_ns for path in stored(store)} == before
    assert Event.objects.count() == 1


def test_the_same_files_give_the_same_digest_wherever_they_lie(
    release: Release, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    first = manifest.entries(hash_files(folder, sorted(os.listdir(folder))))
    second = manifest.entries(hash_files(copy, sorted(os.listdir(copy), reverse=True)))
    assert manifest.canonical(first) == manifest.canonical(second)
    assert len(manifest.digest(first)) == 40


def test_a_changed_file_makes_a_new_revision_and_the_old_one_can_come_back(
    release: Release, folder: Path
) -> None:
    old = publish(folder, repo_id="meta/llama-7b", actor=None)
    tokenizer = (folder / "tokenizer.model").read_bytes()
    (folder / "tokenizer.model").write_bytes(b"another")
    new = publish(folder, repo_id="meta/llama-7b", actor=None)
    assert new.digest != old.digest
    assert selectors.current_revision(Release.objects.get()) == new
    (folder / "tokenizer.model").write_bytes(tokenizer)
    assert publish_folder(folder, repo_id="meta/llama-7b", actor=None).changed
    assert selectors.current_revision(Release.objects.get()) == old
    assert Revision.objects.count() == 2


def test_two_equal_files_are_stored_once(release: Release, folder: Path, store: Path) -> None:
    shutil.copy(folder / "tokenizer.model", folder / "tokenizer.copy")
    revision = publish(folder, repo_id="meta/llama-7b", actor=None)
    assert revision.artifacts.count() == 4
    assert len(stored(store)) == 3


def test_a_safetensors_folder_is_published(release: Release, tmp_path: Path) -> None:
    revision = publish(safetensors(tmp_path / "hf"), repo_id="meta/llama-7b", actor=None)
    assert revision.layout == Revision.Layout.SAFETENSORS


def test_an_unknown_release_is_refused_with_those_that_there_are(
    release: Release, folder: Path
) -> None:
    with pytest.raises(
        PublishError, match=r"no release 'meta/llama-8b'. The catalogue has: meta/llama-7b"
    ):
        publish(folder, repo_id="meta/llama-8b", actor=None)


def test_a_bad_folder_publishes_nothing(release: Release, folder: Path, store: Path) -> None:
    (folder / "consolidated.00.pth").write_bytes(b"x")
    with pytest.raises(PublishError):
        publish(folder, repo_id="meta/llama-7b", actor=None)
    assert nothing_is_published(release)
    assert not stored(store)


@pytest.mark.parametrize("who", ["alice", "rita", "mallory"])
def test_only_managers_publish_and_withdraw(
    release: Release, folder: Path, who: str, request: pytest.FixtureRequest
) -> None:
    person = request.getfixturevalue(who)
    for act in (
        lambda: publish(folder, repo_id="meta/llama-7b", actor=person),
        lambda: withdraw(release.pk, actor=person, reason="Wrong weights."),
    ):
        with pytest.raises(Refusal) as refused:
            act()
        assert refused.value.code == Code.NOT_ALLOWED
    assert nothing_is_published(release)


def test_a_withdrawn_release_has_no_files_until_it_is_published_again(
    revision: Revision, folder: Path, manager: Account
) -> None:
    release = withdraw(revision.release_id, actor=manager, reason="Wrong weights.")
    with pytest.raises(Refusal) as refused:
        selectors.files(release)
    assert refused.value.code == Code.WITHDRAWN
    with pytest.raises(Refusal) as refused:
        withdraw(release.pk, actor=manager, reason="Wrong weights.")
    assert refused.value.code == Code.WRONG_STATE
    assert publish_folder(folder, repo_id=release.repo_id, actor=manager).changed
    assert selectors.current_revision(Release.objects.get(pk=release.pk)) == revision
    verbs = list(history(release).values_list("verb", flat=True))
    assert verbs == [Verb.RELEASE_PUBLISHED, Verb.RELEASE_WITHDRAWN, Verb.RELEASE_PUBLISHED]


def test_an_announced_release_has_no_files(release: Release) -> None:
    with pytest.raises(Refusal) as refused:
        selectors.current_revision(release)
    assert refused.value.code == Code.NOT_PUBLISHED


# ---- interrupted ---------------------------------------------------------------------------------


def test_interrupted_it_goes_on_without_writing_again_what_is_there(
    release: Release, folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = os.replace, []

    def break_at_the_second(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(bringing.os, "cpu_count", lambda: 1)
    with monkeypatch.context() as patch:
        patch.setattr(incoming.os, "replace", break_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            publish(folder, repo_id="meta/llama-7b", actor=None)
    assert nothing_is_published(release)
    (kept,) = stored(store / "sha256")
    (draft,) = stored(store / "incoming")
    written = kept.stat().st_mtime_ns, draft.stat().st_ino
    publish(folder, repo_id="meta/llama-7b", actor=None)
    assert kept.stat().st_mtime_ns == written[0]
    assert written[1] in [path.stat().st_ino for path in stored(store)], "the draft was used"
    assert len(stored(store)) == 3


@pytest.mark.django_db(transaction=True)
def test_killed_in_the_middle_and_run_again_it_publishes_the_whole(
    release: Release, folder: Path, store: Path
) -> None:
    """A real process, a real SIGKILL while it writes the first file; a fresh start afterwards."""
    process = _publish_in_a_process(folder, store, slow=True)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size for path in stored(store / "incoming")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert nothing_is_published(release)
    assert stored(store / "incoming"), "the test killed it too late"
    again = _publish_in_a_process(folder, store, slow=False)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert b"published meta/llama-7b@" in out
    release.refresh_from_db()
    for artifact in selectors.files(release):
        found = hash_file(store / artifact.store_key)
        assert (found.size, found.sha256) == (artifact.size, artifact.sha256)
    assert len(stored(store)) == 3


def _publish_in_a_process(folder: Path, store: Path, *, slow: bool) -> subprocess.Popen[bytes]:
    code = (
        "import sys, time, hashlib\n"
        "from django.conf import settings\n"
        "import portal.settings as s\n"
        f"s.DATABASES['default']['NAME'] = {connection.settings_dict['NAME']!r}\n"
        "import django; django.setup()\n"
        "from distribution.stores import incoming\n"
        + (
            "incoming._copy = lambda source, out, *_: (out.write(b'half'), time.sleep(60))\n"
            if slow
            else ""
        )
        + "from django.core.management import call_command\n"
        f"call_command('publish', {str(folder)!r}, repo='meta/llama-7b')\n"
    )
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "WEIGHBRIDGE_STORE": f"local:{store}",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_file_that_changes_while_it_is_published_is_not_kept(
    release: Release, folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_folder = bringing.of_folder

    def and_then_change(*args):
        items = of_folder(*args)
        (folder / "tokenizer.model").write_bytes(b"changed meanwhile")
        return items

    monkeypatch.setattr(bringing, "of_folder", and_then_change)
    with pytest.raises(StoreError, match="changed or was damaged"):
        publish(folder, repo_id="meta/llama-7b", actor=None)
    assert nothing_is_published(release)
    assert not list(store.rglob("*.part"))
