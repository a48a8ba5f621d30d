"""The script under a real bash, against the live site: what it brings, and what one can choose."""

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.test import Client

from access_requests.models import Grant
from distribution.models import Download
from distribution.script.filling import source
from distribution.services import publish
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from tests.distribution.asking import finished
from tests.distribution.cutting import Exchange, Line
from tests.distribution.scripting import Script, another, refused, saved, script_of
from tests.distribution.weights import granted, original, safetensors
from tests.people import signed_in

FILES = {"big.txt", "consolidated.00.pth", "docs/empty.txt", "params.json", "tokenizer.model"}


def token(account: Account, *scopes: Scope) -> str:
    _, text = ApiToken.make(account, name="script", scopes=[str(scope) for scope in scopes])
    return text


def generic(line: Line, tmp_path: Path) -> Script:
    answer = Client().get("/weighbridge-download.sh")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="weighbridge-download.sh"'
    return saved(answer.content, tmp_path / "generic")


# ---- what it brings ------------------------------------------------------------------------------


def test_it_brings_every_file_checks_it_and_leaves_nothing_else(
    script: Script, folder: Path
) -> None:
    done = script.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "all 5 files verified"
    assert script.got() == FILES
    for name in FILES:
        assert (script.release / name).read_bytes() == (folder / name).read_bytes()
    assert not list(script.temporary.iterdir())
    assert not script.orphans()


def test_run_again_it_fetches_nothing(script: Script) -> None:
    script.run()
    before = Download.objects.count()
    done = script.run()
    assert done.stdout.splitlines()[-1] == "all 5 files verified"
    assert "have big.txt" in done.stdout
    assert Download.objects.count() == before


def test_it_resumes_what_was_cut(script: Script, folder: Path) -> None:
    script.release.mkdir()
    (script.release / "big.txt.part").write_bytes((folder / "big.txt").read_bytes()[:1_000_000])
    assert script.run().returncode == 0
    row = finished(Download.objects.get(artifact__path="big.txt"))
    assert (row.first_byte, row.bytes_sent) == (1_000_000, 2_000_000)


@pytest.mark.parametrize(("jobs", "together"), [("2", True), ("1", False)])
def test_as_many_files_as_wanted_come_at_the_same_time(
    script: Script, line: Line, jobs: str, together: bool
) -> None:
    another_began, seen = threading.Event(), []

    def hold_the_first(exchange: Exchange, block: bytes) -> bytes:
        if exchange.is_download and exchange.name != "big.txt":
            another_began.set()
        elif exchange.is_download and not seen:
            seen.append(another_began.wait(20 if together else 1))
        return block

    line.change = hold_the_first
    assert script.run("--jobs", jobs, "--exclude", "consolidated*").returncode == 0
    assert seen == [together]


def test_a_file_of_the_same_name_is_not_overwritten(script: Script) -> None:
    script.release.mkdir()
    (script.release / "params.json").write_text("mine")
    done = script.run()
    assert "params.json is here, but is not the published file" in refused(done, 1)
    assert (script.release / "params.json").read_text() == "mine"
    assert script.run("--overwrite").returncode == 0
    assert (script.release / "params.json").read_text() != "mine"


def test_a_folder_of_the_same_name_is_not_touched(script: Script) -> None:
    (script.release / "params.json").mkdir(parents=True)
    assert "params.json is here" in refused(script.run("--overwrite"), 1)


# ---- what one can choose -------------------------------------------------------------------------


def test_only_and_exclude_choose_by_path(script: Script) -> None:
    done = script.run("--only", "*.json", "--only", "docs/*", "--only", "big*", "--exclude", "b*")
    assert done.stdout.splitlines()[-1] == "all 2 files verified"
    assert script.got() == {"params.json", "docs/empty.txt"}
    assert "none of the 5 files" in refused(script.run("--only", "nothing*"), 2)


def test_a_list_fetches_nothing_and_needs_no_link(script: Script, line: Line) -> None:
    done = script.run("--list")
    assert done.returncode == 0
    for name in FILES:
        assert f"  {name}\n" in done.stdout
    assert not script.release.exists()
    assert [one.method for one in line.exchanges] == ["GET"]


def test_one_layout_of_two(
    line: Line, release: Release, tmp_path: Path, alice: Account, folder: Path
) -> None:
    both = original(safetensors(tmp_path / "both"))
    (both / "README.md").write_text("# Both\n")
    granted(alice, publish(both, repo_id=release.repo_id, actor=None).release)
    script = script_of(alice, tmp_path / "here")
    assert script.run("--layout", "original").returncode == 0
    assert script.got() == {"README.md", "consolidated.00.pth", "params.json", "tokenizer.model"}
    done = script.run("--layout", "safetensors")
    assert "all 7 files verified" in done.stdout
    assert "model-00001-of-00002.safetensors" in script.got()
    assert "has two layouts" in script.run("--list").stdout


def test_a_layout_that_is_not_there_is_said(script: Script) -> None:
    assert "no files in the layout safetensors" in refused(script.run("--layout", "safetensors"), 2)


@pytest.mark.parametrize("to", ["elsewhere", "-rf", "two words", "/absolute"])
def test_the_folder_is_chosen(script: Script, tmp_path: Path, to: str) -> None:
    place = str(tmp_path / "absolute") if to == "/absolute" else to
    done = script.run("--to", place)
    assert done.returncode == 0, done.stderr
    assert (script.here / place / "llama-7b" / "big.txt").is_file()


def test_an_earlier_revision_by_its_digest(script: Script, folder: Path, release: Release) -> None:
    first = release.revisions.get()
    (folder / "big.txt").write_bytes(os.urandom(1000))
    publish(folder, repo_id=release.repo_id, actor=None)
    assert script.run("--revision", first.digest[:12]).returncode == 0
    assert (script.release / "big.txt").stat().st_size == 3_000_000
    assert "not_found: " in refused(script.run("--revision", "v9"), 3)


@pytest.mark.parametrize(
    "options",
    [
        ["--nonsense"],
        ["--to"],
        ["--jobs", "0"],
        ["--jobs", "x"],
        ["--layout", "gguf"],
        ["--retries", "0"],
        ["file"],
    ],
)
def test_options_that_do_not_fit_are_said_before_anything_is_asked(
    script: Script, line: Line, options: list[str]
) -> None:
    assert "--help" in refused(script.run(*options), 2)
    assert not line.exchanges


def test_help_lists_every_exit_status_that_the_script_has(script: Script) -> None:
    done = script.run("--help")
    assert done.returncode == 0
    said = set(re.findall(r"^  (\d)  |   (\d+)  ", done.stdout, re.M))
    used = set(re.findall(r"\b(?:halt|exit|interrupted) (\d+)", source()))
    assert used - {a or b for a, b in said} == {"143"}, (
        "143 is what a terminated program is to a shell"
    )


# ---- whose it is ---------------------------------------------------------------------------------


def test_who_has_no_grant_gets_the_cause_and_no_script(script: Script, mallory: Account) -> None:
    answer = signed_in(mallory).get("/releases/llama-7b/download.sh")
    assert answer.status_code == 403
    assert "You have no grant" in answer.content.decode()
    assert Client().get("/releases/llama-7b/download.sh").status_code == 302


def test_the_generic_script_holds_no_secret_and_works_with_a_token(
    script: Script, line: Line, alice: Account, tmp_path: Path
) -> None:
    anybody = generic(line, tmp_path)
    assert "\nKEY=''\n" in anybody.path.read_text()
    assert "A token is needed" in refused(anybody.run(), 2)
    mine = {"WEIGHBRIDGE_TOKEN": token(alice, Scope.DOWNLOAD)}
    assert "llama-7b" in anybody.run("--list", **mine).stdout
    assert "Choose among these with --release" in anybody.run(**mine).stderr
    done = anybody.run("--release", "meta/llama-7b", **mine)
    assert done.stdout.splitlines()[-1] == "all 5 files verified"
    assert anybody.got() == FILES


def test_several_releases_in_one_run(
    script: Script, line: Line, alice: Account, release: Release, tmp_path: Path
) -> None:
    small = another(release, "small")
    granted(alice, publish(original(tmp_path / "s"), repo_id=small.repo_id, actor=None).release)
    done = generic(line, tmp_path).run(
        "--release",
        "small",
        "--release",
        "llama-7b",
        WEIGHBRIDGE_TOKEN=token(alice, Scope.DOWNLOAD),
    )
    assert done.stdout.splitlines()[-1] == "all 8 files verified"
    assert (tmp_path / "generic" / "small" / "params.json").is_file()


@pytest.mark.parametrize(
    ("scope", "who", "code"),
    [
        (Scope.READ, "alice", "scope_missing"),
        (Scope.DOWNLOAD, "mallory", "not_granted"),
    ],
)
def test_a_token_that_may_not_stops_it_with_the_cause(
    script: Script,
    line: Line,
    tmp_path: Path,
    alice: Account,
    mallory: Account,
    scope: Scope,
    who: str,
    code: str,
) -> None:
    text = token(alice if who == "alice" else mallory, scope)
    done = generic(line, tmp_path).run("--release", "llama-7b", WEIGHBRIDGE_TOKEN=text)
    assert f"stopped: {code}: " in refused(done, 3)
    assert "[request " in done.stderr


def test_an_unknown_token_stops_it(script: Script, line: Line, tmp_path: Path) -> None:
    done = generic(line, tmp_path).run("--release", "llama-7b", WEIGHBRIDGE_TOKEN="wb_nobody")
    assert "not_signed_in: " in refused(done, 3)
    injected = script.run(WEIGHBRIDGE_TOKEN='x"\nurl = "http://127.0.0.1:9/')
    assert "characters that no token has" in refused(injected, 2)


def test_no_secret_is_in_the_list_of_processes(script: Script, line: Line) -> None:
    """Neither the key, nor a token, nor a link stands among the arguments or in the environment of
    what the script starts.
    """
    seen: list[bytes] = []

    def look(exchange, block):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    arguments = (entry / "cmdline").read_bytes()
                    if b"curl" in arguments.split(b"\0")[0]:
                        seen.append(arguments + (entry / "environ").read_bytes())
                except OSError:
                    continue
        return block

    line.change = look
    secret = script.key()
    assert script.run(WEIGHBRIDGE_TOKEN=secret).returncode == 0
    ours = [one for one in seen if str(script.temporary).encode() in one]
    assert ours
    assert not [one for one in ours if secret.encode() in one or b"/download/" in one]


def test_a_key_opens_its_own_release_alone(
    script: Script, alice: Account, release: Release, tmp_path: Path
) -> None:
    other = another(release, "other")
    granted(alice, publish(original(tmp_path / "o"), repo_id=other.repo_id, actor=None).release)
    assert "not_granted: " in refused(script.run("--release", "other"), 3)
    assert (script.here / "other").exists() is False
    assert Grant.objects.count() == 2


# ---- where it runs -------------------------------------------------------------------------------


def test_it_needs_nothing_newer_than_bash_3_2(script: Script) -> None:
    """macOS has 3.2. What came later, and what 3.2 reads otherwise, is not in it."""
    text = script.path.read_text()
    newer = (
        "declare -A|local -A|typeset -A|declare -g|local -n|declare -n|mapfile|readarray|coproc|wait -n|wait -p"
        "|,,}|^^}|^}|@Q}|@U}|@L}|@E}|@P}|@A}|@K}|@a}|&>>|;;&|;&|**/|BASHPID|EPOCH|printf '%(|printf -v|read -N|read -i"
        '|-v "|[[ -v|${!|shopt -s globstar|shopt -s lastpipe|SRANDOM|BASH_XTRACEFD'
    )
    assert [one for one in newer.split("|") if one in text] == []
    assert "$(case" not in text, "3.2 takes the bracket of a pattern for the end"
    assert "[@]}" not in text.replace('"${sha256[@]}"', "").replace('"${@:$', ""), (
        "an empty array is an unset variable to 3.2"
    )
    assert subprocess.run(["bash", "-n", str(script.path)]).returncode == 0


def test_it_uses_no_option_that_only_gnu_tools_have(script: Script) -> None:
    code = "\n".join(
        line for line in script.path.read_text().splitlines() if not line.lstrip().startswith("#")
    )
    for gnu in (
        "stat -c",
        "truncate ",
        "sed -i",
        "sed -E",
        "sed -r",
        "grep -P",
        "readlink -f",
        "date -d",
        "head -c -",
        "tail -c +",
        "du -b",
        "sort -V",
        "xargs -r",
        "mktemp --",
        "df --",
        "cp --",
        "status=progress",
        "bs=1M",
        " timeout ",
        "seq ",
        "flock",
        "--fail-with-body",
        "--retry-all",
    ):
        assert gnu not in code, gnu


def test_shellcheck_finds_nothing(script: Script) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("shellcheck comes as no wheel for this machine")
    subprocess.run([shellcheck, "-s", "bash", str(script.path)], check=True)
    assert script.path.read_text().count("\n") == source().count("\n")


@pytest.mark.parametrize("hasher", ["shasum", "openssl", None])
def test_it_works_with_whatever_can_make_a_sha256(
    script: Script, tmp_path: Path, hasher: str | None
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    needed = (
        "bash curl cat wc tr rm rmdir mkdir mv sed cut head tail sleep dd df mktemp uname perl ps"
    )
    for name in [*needed.split(), *([hasher] if hasher else [])]:
        if (found := shutil.which(name)) is None:
            pytest.skip(f"{name} is not on this machine")
        (tools / name).symlink_to(found)
    done = script.run(PATH=str(tools))
    if hasher is None:
        assert "needs sha256sum, shasum or openssl" in refused(done, 1)
        return
    assert done.returncode == 0, done.stderr
    said = "is signed by" if hasher == "openssl" else "could not be checked"
    assert said in done.stdout
