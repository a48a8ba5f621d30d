"""The three people of every test: alice applies, rita reviews, mallory should see nothing."""

import gc
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from django.db import connection
from django.test import TransactionTestCase
from xdist.scheduler import LoadScopeScheduling

from portal.accounts.models import Account, Affiliation
from portal.accounts.roles import Role
from portal.audit import triggers
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from tests.live import site as site
from tests.people import person
from tests.template_database import django_db_keepdb as django_db_keepdb
from tests.template_database import django_db_modify_db_settings as django_db_modify_db_settings


@pytest.fixture(autouse=True, scope="session")
def _audit_log_can_be_emptied_between_tests() -> Iterator[None]:
    """A transactional test empties its tables; the triggers that forbid it are lifted for that moment only."""
    original = TransactionTestCase._fixture_teardown

    def teardown(self: TransactionTestCase) -> None:
        with connection.schema_editor() as editor:
            triggers.remove(None, editor)
        try:
            original(self)
        finally:
            with connection.schema_editor() as editor:
                triggers.install(None, editor)

    TransactionTestCase._fixture_teardown = teardown  # type: ignore[method-assign]
    yield
    TransactionTestCase._fixture_teardown = original  # type: ignore[method-assign]


SITE_FOLDERS = (
    "browser",
    "clients",
    "conformance",
    "demo",
)  # which walk through the running site
LONG_GROUPS = ("site", "walker", "every_page", "engine")


class ByGroup(LoadScopeScheduling):
    """Hands a process a whole group of tests at a time. Our own, for xdist writes the groups of its own
    (`--dist loadgroup`) into an attribute that pytest 9.2 does not read any more.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(Path(__file__).parent.parent / nodeid.partition("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    return ByGroup(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The longest groups first, so that no process waits for them alone at the end.
    items.sort(key=lambda item: group_of(item.path) not in LONG_GROUPS)
    if connection.vendor == "postgresql":
        return
    for item in items:
        if item.get_closest_marker("postgres"):
            item.add_marker(pytest.mark.skip(reason="needs PostgreSQL: set DATABASE_URL"))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: nobody need look through it for garbage."""
    gc.collect()
    gc.freeze()


def _run(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    runtestprotocol(item, nextitem=nextitem)


# Python keeps the frames of calls in chunks of 16 KiB, and asks the kernel for a new one, and gives it back, each time
# that a call crosses the edge of one: where pytest and Django's middleware have come to such an edge, a quarter of the
# time. A frame that claims half a megabyte is given a chunk of a whole one, and all calls from it find room there.
_run_with_room = FunctionType(_run.__code__.replace(co_stacksize=1 << 16), globals())


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """As pytest's own does."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    _run_with_room(item, nextitem)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def group_of(path: Path) -> str:
    """Tests of one group run in one process: those of a file, or of folders that share what is dear to make."""
    folder, *rest = path.relative_to(Path(__file__).parent).parts
    if folder in SITE_FOLDERS:
        return "site"
    if rest[0] == "engine":
        return "engine"
    return folder if folder in LONG_GROUPS else str(path)


@pytest.fixture
def alice(db: None) -> Account:
    """Applies. She has an affiliation, as an application needs one."""
    account = person("alice")
    Affiliation.objects.create(
        account=account,
        category=Affiliation.Category.ACADEMIA,
        institution="University of Testing",
        country="NL",
        position="PhD student",
        web_page="https://testing.example/alice",
    )
    return account


@pytest.fixture
def rita(db: None) -> Account:
    """Reviews."""
    return person("rita", Role.REVIEWER)


@pytest.fixture
def second_reviewer(db: None) -> Account:
    return person("sam", Role.REVIEWER)


@pytest.fixture
def manager(db: None) -> Account:
    return person("mona", Role.MANAGER)


@pytest.fixture
def mallory(db: None) -> Account:
    """Signed in, and should see nothing of the others'."""
    return person("mallory")


@pytest.fixture
def licence(db: None) -> Licence:
    licence = Licence.objects.create(slug="noncommercial", name="Noncommercial research licence")
    LicenceVersion.objects.create(
        licence=licence, number=1, text="# For research\n\nNot for commerce."
    )
    return licence


@pytest.fixture
def family(licence: Licence) -> Family:
    return Family.objects.create(slug="llama", name="LLaMA", publisher="meta", licence=licence)


@pytest.fixture
def release(family: Family) -> Release:
    """An announced release: applied for like any other; its weights are published by the test that needs them,
    and say how many parameters and layers there are.
    """
    return Release.objects.create(
        family=family,
        repo_id="meta/llama-7b",
        slug="llama-7b",
        name="LLaMA 7B",
        training_tokens=1_000_000_000_000,
        model_parallel=1,
    )
