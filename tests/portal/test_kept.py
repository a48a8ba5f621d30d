"""A secret that is made once is one secret, however many processes start at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from portal.kept import kept_secret, make_private_folder

ROOT = Path(__file__).resolve().parents[2]
# Waits until the other process waits too, then asks; `make` is slow, so that both are in it at once.
RACER = """
import sys, time
from pathlib import Path
from portal.kept import kept_secret

folder, mine, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def make():
    (folder / f"in-{mine}").touch()
    until = time.monotonic() + 20
    while not (folder / f"in-{other}").exists() and time.monotonic() < until:
        time.sleep(0.005)
    return f"made by {mine}"
print(kept_secret(folder / "home" / "key", make))
"""


def test_two_processes_that_race_get_the_same_secret(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path), mine, other],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for mine, other in (("one", "two"), ("two", "one"))
    ]
    said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert all(racer.returncode == 0 for racer in racers)
    were_in = {path.name for path in tmp_path.glob("in-*")}
    assert were_in == {"in-one", "in-two"}, "they did not race"
    assert said[0] == said[1]
    assert said[0] in ("made by one", "made by two")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["key"], "a draft is left"


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "key"
    assert kept_secret(path, lambda: "first") == "first"
    assert kept_secret(path, lambda: "second") == "first"
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_fails_to_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> str:
        raise OSError("no randomness today")

    with pytest.raises(OSError, match="no randomness"):
        kept_secret(tmp_path / "key", broken)
    assert list(tmp_path.iterdir()) == []


# What the settings do at the start of each process, and what SQLite makes beside its database.
STARTED = """
import django, os, stat
os.umask(0o022)
django.setup()
from django.conf import settings
from django.db import connection
from pathlib import Path

connection.ensure_connection()
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS t (x)")
    for path in [settings.HOME, *sorted(settings.HOME.glob("*"))]:
        print(path.name, oct(path.stat().st_mode & 0o777))
"""


@pytest.mark.parametrize("was", ["missing", "open to all"])
def test_other_users_of_the_machine_read_neither_the_database_nor_mails(
    tmp_path: Path, was: str
) -> None:
    home = tmp_path / "home"
    if was == "open to all":
        home.mkdir(mode=0o755)
        for name in ("weighbridge.sqlite3", "weighbridge.sqlite3-wal", "secret_key"):
            (home / name).touch(mode=0o644)
        (home / "secret_key").write_text("k" * 40)
        home.chmod(0o755)
    kept = {name: text for name, text in os.environ.items() if name in ("PATH", "LANG")}
    environment = kept | {
        "WEIGHBRIDGE_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }
    command = [sys.executable, "-c", STARTED]
    said = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 0, said.stderr
    modes = dict(line.split() for line in said.stdout.splitlines())
    assert modes.pop("home") == "0o700"
    assert {"weighbridge.sqlite3", "weighbridge.sqlite3-wal", "secret_key"} <= set(modes)
    assert set(modes.values()) == {"0o600"}


def test_a_folder_that_belongs_to_everybody_stays_open(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    make_private_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777
