"""A tiny random LLaMA, really published, and a grant for alice to prompt it."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from access_requests.models import Grant, LicenceAcceptance, Tier
from distribution.services import publish
from inference_sandbox import services
from inference_sandbox.models import Run
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from tests.inference_sandbox.engine.releases import write_tiny


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(family: Family, weights: Path) -> Release:
    return tiny_release(family, weights)


def tiny_release(family: Family, weights: Path, name: str = "") -> Release:
    """A published release. Its slug is new in each test, and so are its queue and keys in Redis."""
    name = name or f"tiny-{secrets.token_hex(4)}"
    release = Release.objects.create(
        family=family,
        repo_id=f"demo/{name}",
        slug=name,
        name="Tiny",
    )
    publish(weights, repo_id=release.repo_id, actor=None)
    release.refresh_from_db()
    return release


def give(account: Account, release: Release) -> Grant:
    version = release.family.licence.current
    acceptance = LicenceAcceptance.objects.create(
        account=account,
        licence_version=version,
        typed_name=account.name,
        text_sha256=version.sha256,
    )
    now = timezone.now()
    return Grant.objects.create(
        account=account,
        release=release,
        acceptance=acceptance,
        tier=Tier.TRY,
        starts_at=now - timedelta(minutes=1),
        ends_at=now + timedelta(days=30),
    )


@pytest.fixture
def grant(alice: Account, tiny: Release) -> Grant:
    return give(alice, tiny)


Prompt = Callable[..., Run]


@pytest.fixture
def prompt(alice: Account, tiny: Release, grant: Grant) -> Prompt:
    """alice's prompt, greedy and of 8 tokens unless told otherwise."""

    def create(**changes: Any) -> Run:
        values = {"mode": "plain", "prompt": "Once", "temperature": 0.0, "top_p": 1.0}
        values |= {"max_tokens": 8, "actor": alice, "release": tiny, **changes}
        return services.create_run(**values)

    return create


@contextmanager
def celery_worker(slug: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker for the release's queue, on the test's own database, store and Redis."""
    name = connection.settings_dict["NAME"]
    database = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        database = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": database,
        "REDIS_URL": settings.REDIS_URL,
        "WEIGHBRIDGE_STORE": settings.STORE_URL,
        "WEIGHBRIDGE_SECRET_KEY": settings.SECRET_KEY,
        "WEIGHBRIDGE_SANDBOX_CACHE": str(settings.SANDBOX_CACHE),
    }
    command = [sys.executable, "-m", "celery", "-A", "portal", "worker", "-P", "threads", "-c", "8"]
    command += ["-Q", f"model.{slug}", "-n", f"engine-{secrets.token_hex(2)}@%h", "-l", "INFO"]
    command += ["--without-gossip", "--without-mingle"]  # a second less, and no part of the matter
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(90)
