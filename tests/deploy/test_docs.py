"""The handbook: it builds strictly, loads nothing from elsewhere, and says what the code says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from portal.accounts.models import Scope
from portal.refusals import STATUS, Code

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return target


class Loaded(HTMLParser):
    """Collects what a browser fetches by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses.append(given.get("src") or "")
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(given.get("href") or "")


def test_the_handbook_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    assert (site / "operators" / "install" / "index.html").is_file()
    built = {path.relative_to(site).as_posix() for path in site.rglob("index.html")}
    assert len(built) == len(PAGES)


def test_a_page_loads_nothing_from_another_place(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert any("stylesheets/" in address for address in loaded.addresses)
        assert not [address for address in loaded.addresses if "//" in address], page


def refusals() -> dict[str, str]:
    """code → status, as the page's tables give them."""
    text = (DOCS / "reference" / "refusals.md").read_text()
    return dict(
        re.findall(r"^\| `(\w+)` \| (\d+) \| [^|]{10,} \| [^|]{10,} \|$", text, re.MULTILINE)
    )


@pytest.mark.parametrize("code", Code)
def test_every_refusal_is_explained_with_its_status_its_cause_and_the_way_out(code: Code) -> None:
    assert refusals()[str(code)] == str(STATUS.get(code, 403))


def test_no_refusal_is_explained_that_does_not_exist() -> None:
    assert set(refusals()) == {str(code) for code in Code}


def addresses(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        here = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, here)
        else:
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", here)


def of_the_api() -> set[str]:
    """Every address under /api/v1/; ids are called `{id}`, as the page calls them."""
    every = addresses(get_resolver().url_patterns)
    api = {path.removeprefix("api/v1/") for path in every if path.startswith("api/v1/")}
    return {path.replace("{pk}", "{id}") for path in api}


def on_the_page() -> set[str]:
    text = (DOCS / "reference" / "api.md").read_text()
    return set(re.findall(r"^\| (?:GET|POST|PATCH|PUT|DELETE) \| `([^`]+)`", text, re.MULTILINE))


def test_the_page_of_the_api_lists_every_address_and_no_other() -> None:
    assert on_the_page() == of_the_api()


def test_the_page_of_the_api_lists_every_scope_and_no_other() -> None:
    text = (DOCS / "reference" / "api.md").read_text()
    table = text.split("| Scope | Allows |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(Scope.values)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    from django.core.management import get_commands

    text = page.read_text()
    for command in re.findall(r"(?:script/manage|web manage) ([a-z_]+)", text):
        assert command in get_commands()
    for script in re.findall(r"\b(script/[a-z]+|deploy/[a-z.-]+)\b", text):
        assert (ROOT / script).exists(), script
