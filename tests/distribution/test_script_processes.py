"""The script and the computer it runs on: Ctrl-C, a second run, a killed run, a full disk."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.distribution.cutting import Exchange, Line
from tests.distribution.scripting import Script, refused
from tests.waiting import until


@contextmanager
def running(script: Script, line: Line) -> Iterator[subprocess.Popen[str]]:
    """A run whose transfer of big.txt hangs after its first blocks."""

    def hang(one: Exchange, block: bytes) -> bytes:
        if one.name == "big.txt" and one.sent > 400_000 and script.hold:
            until(lambda: not script.hold, 60)
        return block

    script.hold, line.change = True, hang
    process = script.start()
    try:
        until(lambda: any(one.sent > 400_000 for one in line.downloads()))
        part = script.release / "big.txt.part"
        until(lambda: part.is_file() and part.stat().st_size)  # sent is not yet written
        yield process
    finally:
        script.hold = False
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_interrupted_it_ends_its_children_keeps_the_parts_and_goes_on_later(
    script: Script, line: Line, number: signal.Signals, status: int
) -> None:
    with running(script, line) as process:
        # Ctrl-C reaches the whole group, as the others do when a terminal is closed.
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=20)
        assert process.returncode == status
        assert "interrupted. What came so far stays" in err
        assert not script.orphans()
        assert (script.release / "big.txt.part").stat().st_size > 0
        assert not (script.release / ".weighbridge").exists()
        assert not list(script.temporary.iterdir())
    assert script.run().returncode == 0
    assert line.most_often("big.txt") <= 2


def test_a_terminated_main_process_ends_its_children_too(script: Script, line: Line) -> None:
    with running(script, line) as process:
        process.terminate()
        assert process.wait(20) == 143
        assert not script.orphans()


def test_a_second_run_in_the_same_folder_is_turned_away(script: Script, line: Line) -> None:
    with running(script, line) as process:
        said = refused(script.run(), 7)
        assert f"another run (process {process.pid} on " in said
        assert script.run("--to", "elsewhere", "--only", "params.json").returncode == 0
        script.hold = False
        out, _ = process.communicate(timeout=60)
        assert out.splitlines()[-1] == "all 5 files verified"
    assert script.run().returncode == 0


def test_after_a_killed_run_the_next_one_takes_over(
    script: Script, line: Line, folder: Path
) -> None:
    """Its lock is seen to be stale, and the transfer that it left behind ends before it writes on."""
    with running(script, line) as process:
        process.kill()
        process.wait()
        assert [one for one in script.orphans() if one.startswith("curl")]
        process_of_the_lock = (script.release / ".weighbridge" / "holder").read_text()
        assert f" {process.pid}\n" in process_of_the_lock
        line.change = lambda _, block: block
        done = script.run()
        assert done.returncode == 0, done.stderr
    until(lambda: not script.orphans())
    assert (script.release / "big.txt").read_bytes() == (folder / "big.txt").read_bytes()
    assert not list(script.temporary.iterdir())


def test_a_lock_of_another_computer_is_respected(script: Script) -> None:
    lock = script.release / ".weighbridge"
    lock.mkdir(parents=True)
    (lock / "holder").write_text("elsewhere 1\n/tmp/weighbridge.x\n")
    said = refused(script.run(), 7)
    assert "process 1 on elsewhere" in said
    assert "remove ./llama-7b/.weighbridge" in said
    assert lock.exists()


def test_a_full_disk_is_said_and_the_part_stays(script: Script) -> None:
    """The kernel refuses to write on (a limit on file sizes), as on a full disk."""
    wrapper = script.here / "limited.sh"
    wrapper.write_text(f"trap '' XFSZ; ulimit -f 500; exec bash {script.path.name} \"$@\"\n")
    limited = Script(wrapper, script.environment)
    said = refused(limited.run(), 6)
    assert "big.txt cannot be written: is the disk full? Make room" in said
    assert 0 < (script.release / "big.txt.part").stat().st_size <= 512_000
    assert script.run().returncode == 0
    assert resource.getrlimit(resource.RLIMIT_FSIZE)


def test_a_small_disk_is_warned_of(script: Script, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "df").write_text("#!/bin/sh\necho 'F 1 2 3 4 5'\necho 'disk 100 90 10 90% /'\n")
    (tools / "df").chmod(0o755)
    done = script.run(PATH=f"{tools}:{os.environ['PATH']}")
    assert "warning: 3.0 MB are still to come" in done.stdout
    assert "has room for 10.2 kB" in done.stdout


def test_a_folder_that_cannot_be_made_is_said(script: Script) -> None:
    (script.here / "file").write_text("")
    assert "the folder ./file/llama-7b cannot be made" in refused(script.run("--to", "file"), 1)


def test_progress_is_lines_in_a_log_and_one_line_on_a_terminal(script: Script) -> None:
    assert "\r" not in script.run().stdout
    assert "\033" not in script.run().stdout
    import pty

    main, other = pty.openpty()
    process = subprocess.Popen(
        ["bash", script.path.name, "--to", "t"],
        cwd=script.here,
        stdin=subprocess.DEVNULL,
        stdout=other,
        stderr=subprocess.STDOUT,
        env=os.environ | {"TMPDIR": str(script.temporary)},
    )
    os.close(other)
    shown = b""
    try:
        while block := os.read(main, 65536):
            shown += block
    except OSError:  # the terminal is gone with its last process
        pass
    assert process.wait(30) == 0
    assert b"\r\x1b[Kall 5 files verified" in shown
