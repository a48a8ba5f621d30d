"""What people said of the download scripts of gated weights, each as a test that bears the complaint's name."""

import re
import subprocess
from pathlib import Path

from access_requests.models import Grant
from distribution.models import Download
from distribution.services import issue_links
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.distribution.conftest import folder as folder
from tests.distribution.conftest import line as line
from tests.distribution.conftest import live as live
from tests.distribution.conftest import script as script
from tests.distribution.conftest import store as store
from tests.distribution.cutting import Cut, Exchange, Line
from tests.distribution.scripting import Script, refused


def test_the_script_went_on_after_the_first_403_and_saved_the_error_page_as_weights(
    script: Script, line: Line
) -> None:
    """It stops at the first refusal, says its cause in one line, saves no error page, and says so to the shell."""

    def revoke_after_the_first_link(one: Exchange) -> None:
        if one.is_download and one.name == "big.txt":
            Grant.objects.update(status=Grant.Status.REVOKED, status_reason="Shared outside.")

    line.answer = revoke_after_the_first_link
    done = script.run("--jobs", "1")
    said = refused(done, 3)
    assert said.startswith("stopped: big.txt: revoked: ")
    assert "Shared outside." in said
    assert script.got() <= {"big.txt.part"}
    assert not Download.objects.filter(outcome="served").exists()
    assert {one.name for one in line.downloads()} == {"big.txt"}
    for path in script.release.rglob("*.part"):
        assert path.read_bytes() == b""


def test_checksums_came_through_the_same_link(script: Script, line: Line, folder: Path) -> None:
    """Whoever could change the files could change their checksums alike. Here the list of checksums is signed."""
    ours, theirs = b"not read at publication", b"changed by somebody els"
    hashes = {
        one: subprocess.run(
            ["sha256sum"], input=one, capture_output=True, check=True
        ).stdout.split()[0]
        for one in (ours, theirs)
    }

    def change(one: Exchange, part: bytes) -> bytes:
        return part.replace(ours, theirs).replace(hashes[ours], hashes[theirs])

    assert (folder / "tokenizer.model").read_bytes() == ours
    line.change = line.rewrite = change
    assert "not signed with the key in this script" in refused(script.run(), 5)
    assert not script.release.exists()


def test_the_link_broke_in_the_shell_at_its_ampersand(
    script: Script, line: Line, alice: Account, release: Release, tmp_path: Path
) -> None:
    """llama#353: people pasted a link without quotes. Ours is one word to every shell."""
    release.refresh_from_db()
    (link,) = issue_links(release, actor=alice, paths=["params.json"])
    done = subprocess.run(f"curl -fsS {link.url}", shell=True, capture_output=True, check=True)
    assert done.stdout == (tmp_path / "weights" / "params.json").read_bytes()


def test_an_interrupted_download_began_from_the_start(script: Script, line: Line) -> None:
    line.cut = lambda one: Cut(2_000_000) if one.name == "big.txt" and one.first == 0 else None
    assert script.run().returncode == 0
    assert line.again() == 0


def test_the_links_of_the_script_expired_before_the_download_was_over(script: Script) -> None:
    """llama#278 and others. The script holds no link, so that none can grow old in it."""
    text = script.path.read_text()
    assert "/download/" not in text
    assert not re.search(r"https?://\S+/consolidated", text)
