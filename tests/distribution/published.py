"""What a publication left behind."""

from pathlib import Path

from distribution.models import Artifact, Revision
from portal.audit.models import Event
from portal.catalog.models import Release


def stored(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file()] if store.exists() else []


def nothing_is_published(release: Release) -> bool:
    release.refresh_from_db()
    return not (
        release.is_published
        or Revision.objects.exists()
        or Artifact.objects.exists()
        or Event.objects.exists()
    )
