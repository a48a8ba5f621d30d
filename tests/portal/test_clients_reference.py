"""docs/reference/clients.md names tests that are there, and every client that has an environment of its own."""

import re

from tests.clients.environments import ROOT

PAGE = (ROOT / "docs/reference/clients.md").read_text()


def test_each_test_of_the_table_exists() -> None:
    named = set(re.findall(r"`(tests/[^`]+\.py)`", PAGE))
    assert {name for name in named if not (ROOT / name).is_file()} == set()
    rows = [line for line in PAGE.splitlines() if re.match(r"\| (?!Client |---)", line)]
    assert [row for row in rows if "`tests/" not in row] == []


def test_each_locked_version_of_a_client_is_in_the_table() -> None:
    for source in (ROOT / "requirements/clients").glob("*.in"):
        for name, version in re.findall(
            r"^([\w-]+)(?:\[.*\])?==([\w.]+)$", source.read_text(), re.M
        ):
            rows = [line for line in PAGE.splitlines() if name.lower() in line.lower()]
            assert any(version in row for row in rows), f"{name} {version} of {source.name}"
