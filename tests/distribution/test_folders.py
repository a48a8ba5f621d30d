"""What lies in a folder beside the weights: nothing hidden, nothing from outside, no odd names."""

import os
from pathlib import Path

import pytest

from distribution import folders
from distribution.errors import PublishError
from tests.distribution.weights import original


def refusal(folder: Path) -> str:
    with pytest.raises(PublishError) as error:
        folders.walk(folder)
    return str(error.value)


def test_files_are_found_in_folders_too(tmp_path: Path) -> None:
    folder = original(tmp_path)
    (folder / "docs").mkdir()
    (folder / "docs" / "notes.txt").touch()
    assert folders.walk(folder) == [
        "consolidated.00.pth",
        "docs/notes.txt",
        "params.json",
        "tokenizer.model",
    ]


def test_a_link_that_stays_in_the_folder_is_a_file_like_any_other(tmp_path: Path) -> None:
    folder = original(tmp_path)
    (folder / "tokenizer.bak").symlink_to("tokenizer.model")
    assert "tokenizer.bak" in folders.walk(folder)


def test_a_link_to_nothing_is_refused(tmp_path: Path) -> None:
    folder = original(tmp_path)
    (folder / "gone").symlink_to("nowhere")
    assert "'gone' cannot be read" in refusal(folder)


@pytest.mark.parametrize("name", ["no such folder", "a file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").touch()
    assert "is not a folder" in refusal(tmp_path / name)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "is empty" in refusal(tmp_path)


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    folder = original(tmp_path / "weights")
    (folder / "notes.txt").symlink_to(secret)
    assert "'notes.txt' is a link that leaves the folder" in refusal(folder)


def test_a_link_to_a_folder_is_refused(tmp_path: Path) -> None:
    folder = original(tmp_path / "weights")
    (folder / "more").symlink_to(tmp_path)
    assert "'more' is a link to a folder" in refusal(folder)


@pytest.mark.parametrize("name", [".DS_Store", ".cache"])
def test_hidden_files_are_refused(tmp_path: Path, name: str) -> None:
    folder = original(tmp_path)
    (folder / name).write_text("x")
    assert f"'{name}' is hidden" in refusal(folder)


@pytest.mark.parametrize("name", ["a b.txt", "a'b", "ü.txt", "-rf", "a\nb", "a%2Fb", "x" * 200])
def test_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    folder = original(tmp_path)
    (folder / name).write_text("x")
    assert "name that not every system takes" in refusal(folder)


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    folder = original(tmp_path)
    os.mkfifo(folder / "pipe")
    assert "'pipe' is not an ordinary file" in refusal(folder)
