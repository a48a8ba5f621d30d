"""The site behind a real server, with a real worker on a tiny model, for clients of OpenAI's API.

Made once for a whole file of tests, and the worker once for all of them (`worker_of` in conftest.py): it takes
seconds to start.
What a test changes, it undoes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import TransactionTestCase
from openai import OpenAI

from access_requests.models import Grant
from inference_sandbox.models import Run
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Family, Licence, LicenceVersion, Release
from tests.inference_sandbox.conftest import give, tiny_release
from tests.inference_sandbox.engine.releases import write_tiny
from tests.people import person
from tests.serving import serving_site

BOS, EOS = 256, 258  # of the tiny model's tokenizer, which else has one token for each byte


@dataclass(frozen=True)
class Served:
    """Where the site is, and who may prompt what on it."""

    url: str
    release: Release
    closed: Release  # a release that nobody holds a grant for
    alice: Account
    mallory: Account
    grant: Grant  # alice's
    key: str  # alice's
    weights: Path

    @property
    def model(self) -> str:
        return self.release.repo_id

    def client(self, key: str = "", **more: Any) -> OpenAI:
        """The real client, which asks once."""
        values = {"base_url": f"{self.url}/v1", "max_retries": 0, "timeout": 60, **more}
        return OpenAI(api_key=key or self.key, **values)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """What a client that is no client of OpenAI's would send."""
        headers = {"authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        return httpx.post(f"{self.url}{path}", headers=headers, timeout=60, **more)

    def runs(self) -> list[Run]:
        """alice's, newest first."""
        return list(Run.objects.filter(account=self.alice))


@pytest.fixture(scope="module")
def served(
    worker_of: str, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    weights = write_tiny(tmp_path_factory.mktemp("openai") / "tiny")
    with django_db_blocker.unblock(), emptied_afterwards(), serving_site() as url:
        made = _made(url, weights, worker_of)
        made.client(timeout=240).completions.create(model=made.model, prompt="a", max_tokens=1)
        yield made


@pytest.fixture
def _django_db_helper(served: Served) -> None:
    """In the place of pytest-django's: nothing is rolled back or emptied between two tests."""


@pytest.fixture
def store() -> None:
    """In the place of the empty store of each test: the file's release lies in the session's."""


local_store = store


@contextmanager
def emptied_afterwards() -> Iterator[None]:
    """What pytest-django's `transactional_db` does for one test, for a file of them."""
    case = TransactionTestCase(methodName="__init__")
    case._pre_setup()
    try:
        yield
    finally:
        case._post_teardown()


def _made(url: str, weights: Path, slug: str) -> Served:
    licence = Licence.objects.create(slug="research", name="Research licence")
    LicenceVersion.objects.create(licence=licence, number=1, text="# For research")
    family = Family.objects.create(slug="tiny", name="Tiny", publisher="demo", licence=licence)
    release, closed = tiny_release(family, weights, slug), tiny_release(family, weights)
    alice, mallory = person("alice"), person("mallory")
    grant = give(alice, release)
    return Served(url, release, closed, alice, mallory, grant, key_of(alice), weights)


def key_of(account: Account, *scopes: Scope) -> str:
    names = [str(scope) for scope in scopes or (Scope.SANDBOX,)]
    return ApiToken.make(account, name="notebook", scopes=names)[1]


@contextmanager
def revoked(served: Served, grant: int | None = None) -> Iterator[None]:
    """A grant of alice's, taken away while the block runs, and given back."""
    grants = Grant.objects.filter(pk=grant or served.grant.pk)
    grants.update(status=Grant.Status.REVOKED, status_reason="Left the lab.")
    try:
        yield
    finally:
        grants.update(status=Grant.Status.ACTIVE, status_reason="")
