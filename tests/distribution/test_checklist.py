"""checklist.chk comes with LLaMA's weights: a folder that does not fit it is not published."""

import hashlib
import os
from pathlib import Path

import pytest

from distribution.checkpoints import checklist
from distribution.errors import PublishError
from distribution.models import Revision
from distribution.services import bringing, publish
from portal.catalog.models import Release
from tests.distribution.published import nothing_is_published


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def listed(folder: Path) -> Path:
    """The folder with a right list, as `md5sum` writes it."""
    names = ("consolidated.00.pth", "params.json")
    lines = [f"{md5(folder / name)}  {name}\n" for name in names]
    (folder / "checklist.chk").write_text("".join(lines))
    return folder


def refusal(release: Release, folder: Path) -> str:
    with pytest.raises(PublishError) as error:
        publish(folder, repo_id=release.repo_id, actor=None)
    assert nothing_is_published(release)
    return str(error.value)


def test_a_folder_that_fits_its_list_is_published_with_it(release: Release, listed: Path) -> None:
    revision = publish(listed, repo_id=release.repo_id, actor=None)
    assert revision.artifacts.filter(path="checklist.chk").exists()


def test_a_damaged_file_is_named_and_nothing_is_published(release: Release, listed: Path) -> None:
    (listed / "params.json").write_text((listed / "params.json").read_text() + " ")
    said = refusal(release, listed)
    assert said.startswith("params.json is not the file that checklist.chk lists: its MD5 is ")
    assert "Fetch it again" in said


def test_a_file_that_is_listed_and_missing_is_named(release: Release, listed: Path) -> None:
    with (listed / "checklist.chk").open("a") as file:
        file.write(f"{'0' * 32}  tokenizer_checklist.chk\n")
    assert "lists tokenizer_checklist.chk, and the folder does not have it" in refusal(
        release, listed
    )


@pytest.mark.parametrize(
    "line",
    ["nonsense", "12  params.json", f"{'a' * 32}  ../params.json", f"{'a' * 32}  /etc/passwd"],
)
def test_a_line_that_is_none_is_named(release: Release, listed: Path, line: str) -> None:
    with (listed / "checklist.chk").open("a") as file:
        file.write(f"\n{line}\n")
    assert refusal(release, listed).startswith("Line 4 of checklist.chk is not an MD5")


@pytest.mark.parametrize("form", ["{0} *{1}", "{0}  ./{1}", "{2}  {1}"])
def test_what_other_programs_write_is_understood(listed: Path, form: str) -> None:
    path = listed / "params.json"
    line = form.format(md5(path), path.name, md5(path).upper())
    (listed / "checklist.chk").write_text(line + "\r\n")
    checklist.check(listed)
    path.write_text("{}")
    with pytest.raises(PublishError, match=r"params\.json is not the file"):
        checklist.check(listed)


def test_what_is_in_the_store_already_is_not_read_again(
    release: Release, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill: the shard was compared, and stored, before."""
    read, real = [], checklist._md5
    monkeypatch.setattr(
        checklist, "_md5", lambda path, advance: read.append(path.name) or real(path, advance)
    )
    bring = bringing.bring

    def killed(items, store, journal, *rest):
        bring([one for one in items if one.path.endswith(".pth")], store, journal, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(bringing, "bring", killed)
    with pytest.raises(KeyboardInterrupt):
        publish(listed, repo_id=release.repo_id, actor=None)
    assert sorted(read) == ["consolidated.00.pth", "params.json"]
    monkeypatch.setattr(bringing, "bring", bring)
    publish(listed, repo_id=release.repo_id, actor=None)
    assert read[2:] == ["params.json"]
    assert Revision.objects.count() == 1


def test_once_a_file_does_not_fit_the_others_are_not_read_to_their_end(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 130 GB the rest would take minutes before the error is told."""
    monkeypatch.setattr(checklist, "BLOCK", 1000)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (listed / "large.txt").write_bytes(bytes(100_000_000))
    lines = f"{'0' * 32}  params.json\n{'1' * 32}  large.txt\n"
    (listed / "checklist.chk").write_text(lines)
    read: list[int] = []
    with pytest.raises(PublishError, match=r"params\.json is not the file"):
        checklist.check(listed, progress=lambda _stage, done, _all: read.append(done))
    assert read[-1] < 100_000_000
