"""The version of a draft: how a save knows that the draft is still the one that was on the page."""

import hashlib
import json
from typing import Any

from access_requests.models import Application


def version_of(application: Application) -> str:
    """A digest of all that the page of questions can change. Two saves of the same text are one."""
    slugs = sorted(release.slug for release in application.releases.all())
    whole: list[Any] = [application.form_id, application.answers, slugs]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:20]
