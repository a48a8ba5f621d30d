"""No write without an event: what changes the site says in the audit log that it did."""

import pytest

from portal.audit.models import Event
from tests.walker.walk import Visit

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(1200)]
# Tables that are no act of anybody: how one is signed in, when a token was last used, the mails of an act.
BESIDE = {
    "django_session",
    "accounts_apitoken",
    "mail_outgoingmail",
    "mail_outgoingmail_about",
    "django_admin_log",
}
# Writes that leave no event, each with its reason.
SAME = "the walk sets what is set already; a quota that changes is an event"
SILENT: dict[str, str] = {
    "admin/distribution/download/grants/<int:pk>/quota/": SAME,
    "admin/distribution/download/releases/<slug:slug>/quota/": SAME,
    "admin/inference_sandbox/run/grants/<int:pk>/": SAME,
    "admin/webhooks/subscription/<int:pk>/act/<slug:action>/": "`try-now` dates the next attempt alone",
    "api/v1/applications/<int:pk>/": "a draft is saved",
    "api/v1/applications/<int:pk>/attachments/<str:question>/": "a draft is saved, with its file",
}


def test_every_write_that_succeeds_leaves_an_event(visits: list[Visit]) -> None:
    silent = _silent(visits)
    assert {path: sorted(silent[path]) for path in silent.keys() - SILENT.keys()} == {}


def test_the_walk_writes_at_all(visits: list[Visit]) -> None:
    """So that the test above cannot come to pass by asking for nothing."""
    wrote = {v.route.path for v in _done(visits) if Event._meta.db_table in v.writes}
    assert len(wrote) > 30


def _silent(visits: list[Visit]) -> dict[str, set[str]]:
    """Addresses → the tables that were written there without an event."""
    found: dict[str, set[str]] = {}
    for visit in _done(visits):
        if Event._meta.db_table not in visit.writes and (tables := visit.writes - BESIDE):
            found.setdefault(visit.route.path, set()).update(tables)
    return found


def _done(visits: list[Visit]) -> list[Visit]:
    return [v for v in visits if v.method not in ("GET", "HEAD") and v.status < 400]
