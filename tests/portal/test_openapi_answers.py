"""What the REST API answers has the shape that its document describes, for each person that reads it."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, Grant
from portal.accounts.models import Account
from portal.audit import sealing
from portal.audit.models import Event
from portal.catalog.models import Release
from tests.access_requests.people import ANSWERS, seen_now
from tests.openapi import check_answer, described_api
from tests.people import with_token

FOR_AUDITORS = {
    "/api/v1/access-then/",
    "/api/v1/access-then/{id}/",
    "/api/v1/events/",
    "/api/v1/events/{id}/proof/",
}
READABLE = {
    *FOR_AUDITORS,
    "/api/v1/account/",
    "/api/v1/applications/",
    "/api/v1/applications/{id}/",
    "/api/v1/applications/{id}/colleagues/",
    "/api/v1/grants/",
    "/api/v1/releases/",
    "/api/v1/releases/{slug}/",
    "/api/v1/releases/{slug}/form/",
    "/api/v1/releases/{slug}/quota/",
    "/api/v1/runs/",
}


@pytest.fixture
def programs(
    alice: Account, mallory: Account, rita: Account, manager: Account, release: Release
) -> dict[str, Client]:
    """alice has a grant, and an application in review with a message and a note."""
    first = services.start(actor=alice, releases=[release], answers=ANSWERS)
    services.submit(first.pk, actor=alice, typed_name=alice.name)
    services.claim(first.pk, actor=rita)
    services.decide(first.pk, seen=seen_now(first.pk), actor=rita, approve=True)
    second = services.start(actor=alice, releases=[release], answers=ANSWERS)
    services.submit(second.pk, actor=alice, typed_name=alice.name)
    services.claim(second.pk, actor=rita)
    services.write(second.pk, actor=rita, body="Which server?")
    services.note(second.pk, actor=rita, body="Looks fine.")
    return {
        "alice": with_token(alice),
        "mallory": with_token(mallory),
        "rita": with_token(rita),
        "mona": with_token(manager),
    }


def test_answers_have_the_shape_that_is_described(
    programs: dict[str, Client], release: Release
) -> None:
    sealing.seal_waiting(everything=True)
    read: dict[str, set[str]] = {}
    for path, methods in described_api()["paths"].items():
        if "get" not in methods or path.endswith("/stream/"):
            continue
        for name, program in programs.items():
            for pk in ids_of(path):
                url = path.replace("{slug}", release.slug).replace("{id}", str(pk))
                answer = program.get(
                    url, {"at": timezone.now().isoformat(), "release": release.slug}
                )
                check_answer("GET", path, answer)
                if answer.status_code == 200:
                    read.setdefault(path, set()).add(name)
    assert set(read) >= READABLE
    assert "mallory" not in read["/api/v1/applications/{id}/"]
    assert not {"alice", "mallory", "rita"} & set.union(*(read[path] for path in FOR_AUDITORS))


def ids_of(path: str) -> list[Any]:
    if "applications" in path:
        return list(Application.objects.values_list("pk", flat=True)) if "{id}" in path else [0]
    if "access-then" in path:
        return list(Grant.objects.values_list("pk", flat=True))
    return list(Event.objects.values_list("pk", flat=True)[:3]) if "{id}" in path else [0]
