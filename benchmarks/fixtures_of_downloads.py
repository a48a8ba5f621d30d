"""A site with one release of one file for the benchmarks of downloads, without publishing a checkpoint first."""

from datetime import timedelta
from pathlib import Path


def granted(account, release):
    from django.utils import timezone

    from access_requests.models import Grant, LicenceAcceptance

    version = release.family.licence.current
    acceptance = LicenceAcceptance.objects.create(
        account=account, licence_version=version, typed_name="x", text_sha256=version.sha256
    )
    now = timezone.now()
    return Grant.objects.create(
        account=account,
        release=release,
        acceptance=acceptance,
        starts_at=now - timedelta(days=1),
        ends_at=now + timedelta(days=30),
    )


def published(files: dict[str, tuple[int, str]]):
    """A release whose current revision has these files: path → (size, SHA-256). Their bytes are the caller's care."""
    from distribution.models import Artifact, Revision
    from portal.catalog.models import Family, Licence, LicenceVersion, Release

    licence = Licence.objects.create(slug="research", name="Research")
    LicenceVersion.objects.create(licence=licence, number=1, text="For research. " * 500)
    family = Family.objects.create(slug="bench", name="Bench", publisher="bench", licence=licence)
    release = Release.objects.create(
        family=family, repo_id="bench/one", slug="one", name="One", status="published",
        parameters=1, dimension=1, heads=1, layers=1,
    )  # fmt: skip
    revision = Revision.objects.create(
        release=release, digest="b" * 40, layout="original", is_current=True
    )
    Artifact.objects.bulk_create(
        Artifact(revision=revision, path=path, size=size, sha256=sha256)
        for path, (size, sha256) in files.items()
    )
    return revision


def in_store(root: Path, sha256: str, size: int) -> Path:
    """A file of random bytes where a local store looks for that digest; nobody reads it to check it."""
    import os

    path = root / "sha256" / sha256[:2] / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)
    return path
