"""curl, wget, aria2c and a browser, unmodified, on links of ours and over a line that is cut."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from access_requests.models import Grant
from distribution.models import Artifact
from distribution.services import issue_links, publish
from portal.accounts.models import Account, Scope
from portal.catalog.models import Release
from tests.distribution.conftest import folder as folder
from tests.distribution.conftest import line as line
from tests.distribution.conftest import live as live
from tests.distribution.conftest import store as store
from tests.distribution.cutting import Cut, Line
from tests.distribution.weights import granted
from tests.people import signed_in, with_token

SIZE = 3_000_000


@pytest.fixture
def grant(line: Line, release: Release, folder: Path, alice: Account) -> Grant:
    (folder / "big.txt").write_bytes(os.urandom(SIZE))
    return granted(alice, publish(folder, repo_id=release.repo_id, actor=None).release)


@pytest.fixture
def link(grant: Grant, alice: Account) -> str:
    (made,) = issue_links(grant.release, actor=alice, paths=["big.txt"])
    return made.url


@pytest.fixture
def here(tmp_path: Path) -> Path:
    place = tmp_path / "here"
    place.mkdir()
    return place


def run(here: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on this machine")
    return subprocess.run(
        [program, *arguments], cwd=here, capture_output=True, text=True, timeout=120
    )


def revoke() -> None:
    Grant.objects.update(status=Grant.Status.REVOKED, status_reason="Left the lab.")


def is_whole(file: Path) -> bool:
    return (
        hashlib.sha256(file.read_bytes()).hexdigest() == Artifact.objects.get(path="big.txt").sha256
    )


def cut_once(line: Line, after: int = 1_000_000) -> None:
    line.cut = lambda one: (
        Cut(after) if one.name == "big.txt" and len(line.downloads()) == 1 else None
    )


def ranges(line: Line) -> list[str]:
    found = (re.search(r"^range: (.*)\r$", one.head, re.M | re.I) for one in line.downloads())
    return [one[1] if one else "" for one in found]


# ---- curl ----------------------------------------------------------------------------------------

CURL = ("-fsSL", "-C", "-", "-o", "big.txt")


def test_curl_goes_on_where_the_line_was_cut(here: Path, link: str, line: Line) -> None:
    cut_once(line)
    assert run(here, "curl", *CURL, link).returncode == 18
    begun = (here / "big.txt").stat().st_size
    assert run(here, "curl", *CURL, link).returncode == 0
    assert ranges(line) == ["", f"bytes={begun}-"]
    assert is_whole(here / "big.txt")
    assert sum(one.sent for one in line.downloads()) == SIZE


def test_curl_on_a_whole_file_is_told_so(here: Path, link: str) -> None:
    run(here, "curl", *CURL, link)
    again = run(here, "curl", *CURL, link)
    assert "416" in again.stderr
    assert is_whole(here / "big.txt")


def test_curl_reads_one_line_and_saves_no_error_page(here: Path, link: str) -> None:
    revoke()
    assert run(here, "curl", *CURL, link).returncode == 22
    assert not (here / "big.txt").exists()
    said = run(here, "curl", "-s", link).stdout
    assert re.fullmatch(r"revoked: .*Left the lab\..* \[request \w+\]\n", said)


# ---- wget ----------------------------------------------------------------------------------------


def test_wget_resumes_by_itself_and_again_the_next_day(
    here: Path, link: str, line: Line, grant: Grant, alice: Account
) -> None:
    cut_once(line)
    done = run(here, "wget", "-c", "-nv", "--tries=3", "--waitretry=0", link)
    assert done.returncode == 0, done.stderr
    assert is_whole(here / "big.txt")
    assert sum(one.sent for one in line.downloads()) == SIZE
    os.truncate(here / "big.txt", 500_000)
    (fresh,) = issue_links(grant.release, actor=alice, paths=["big.txt"])
    assert run(here, "wget", "-c", "-nv", fresh.url).returncode == 0
    assert ranges(line)[-1] == "bytes=500000-"
    assert is_whole(here / "big.txt")


def test_wget_on_a_whole_file_fetches_nothing(here: Path, link: str, line: Line) -> None:
    run(here, "wget", "-nv", link)
    done = run(here, "wget", "-c", link)
    assert done.returncode == 0
    assert "already fully retrieved" in done.stderr
    assert is_whole(here / "big.txt")


def test_wget_saves_no_error_page(here: Path, link: str) -> None:
    (here / "big.txt").write_bytes(b"begun")
    revoke()
    assert run(here, "wget", "-c", "-nv", link).returncode == 8
    assert (here / "big.txt").read_bytes() == b"begun"
    said = run(here, "wget", "-q", "--content-on-error", "-O", "-", link).stdout
    assert said.startswith("revoked: ")


# ---- aria2c --------------------------------------------------------------------------------------

ARIA = ("--quiet", "--check-integrity", "--retry-wait=1", "--max-tries=10")


@pytest.fixture
def metalink(grant: Grant, alice: Account, here: Path) -> str:
    address = "/api/v1/releases/llama-7b/revisions/main/files.meta4"
    (here / "release.meta4").write_bytes(with_token(alice, Scope.DOWNLOAD).get(address).content)
    return "release.meta4"


def test_aria2c_brings_a_release_over_a_cut_line(
    here: Path, metalink: str, line: Line, folder: Path
) -> None:
    line.cut = lambda one: Cut(700_000) if len(line.downloads()) <= 3 else None
    done = run(here, "aria2c", *ARIA, metalink)
    assert done.returncode == 0, done.stdout
    for file in folder.iterdir():
        assert (here / file.name).read_bytes() == file.read_bytes()


def test_aria2c_says_that_a_file_was_changed_on_the_way(
    here: Path, metalink: str, line: Line
) -> None:
    line.change = lambda one, block: block[::-1] if one.name == "big.txt" else block
    done = run(here, "aria2c", "--check-integrity", "--max-tries=2", metalink)
    assert done.returncode != 0
    assert "checksum" in (done.stdout + done.stderr).lower()


def test_aria2c_saves_no_error_page(here: Path, metalink: str) -> None:
    revoke()
    assert run(here, "aria2c", *ARIA, "--max-tries=1", metalink).returncode != 0
    for path in here.iterdir():  # it makes room for a file first, and marks it by one beside it
        assert b"Left the lab." not in path.read_bytes()
        assert path.suffix in (".aria2", ".meta4") or path.with_name(f"{path.name}.aria2").exists()


# ---- a browser -----------------------------------------------------------------------------------


@pytest.fixture
def page(line: Line, alice: Account) -> Iterator[object]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("Chromium is not on this machine")
    session = signed_in(alice).cookies["sessionid"].value
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright runs a loop in this thread
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        context = browser.new_context(accept_downloads=True)
        context.add_cookies([{"name": "sessionid", "value": session, "url": line.url}])
        yield context.new_page()
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.mark.browser
def test_a_browser_downloads_a_file_and_the_script_from_the_files_page(
    grant: Grant, line: Line, page, here: Path
) -> None:
    page.goto(f"{line.url}/releases/llama-7b/files/")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download big.txt").click()
    assert saved.value.suggested_filename == "big.txt"
    saved.value.save_as(here / "big.txt")
    assert is_whole(here / "big.txt")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download the script").click()
    assert saved.value.suggested_filename == "weighbridge-download-llama-7b.sh"
    saved.value.save_as(here / "script.sh")
    done = run(here, "bash", "script.sh")
    assert done.stdout.splitlines()[-1] == "all 4 files verified"


@pytest.mark.browser
def test_a_browser_shows_why_a_link_is_refused_and_downloads_nothing(
    grant: Grant, line: Line, page
) -> None:
    page.goto(f"{line.url}/releases/llama-7b/files/")
    revoke()
    page.get_by_role("link", name="Download big.txt").evaluate("a => a.removeAttribute('download')")
    page.get_by_role("link", name="Download big.txt").click()
    page.get_by_text("Left the lab.").wait_for()
