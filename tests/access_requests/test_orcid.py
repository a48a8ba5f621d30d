"""The ORCID iD: proven by signing in, and looked up in its public record, after the submission."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.utils import timezone

from access_requests import orcid_api, services, tasks
from access_requests.models import Application, OrcidRecord
from portal.catalog.models import Release
from tests.access_requests.evidence_files import applied, by, found, load_institutions
from tests.serving import serving

IID = "0000-0002-1825-0097"


def record(name: tuple[str, str] = ("Bob", "Example"), **employment: Any) -> dict[str, Any]:
    """The two answers of the public API, version 3.0, cut down to what is read and a little more."""
    summary = {
        "put-code": 1,
        "role-title": "Postdoc",
        "start-date": {"year": {"value": "2020"}, "month": None, "day": None},
        "end-date": None,
        "organization": {
            "name": "University of Testing",
            "address": {"city": "Delft", "region": None, "country": "NL"},
            "disambiguated-organization": {
                "disambiguated-organization-identifier": "https://ror.org/01testing0",
                "disambiguation-source": "ROR",
            },
        },
        **employment,
    }
    return {
        "person": {
            "name": {
                "given-names": {"value": name[0]},
                "family-name": {"value": name[1]},
                "credit-name": None,
                "visibility": "public",
            },
            "other-names": {"other-name": [{"content": "B. Exemplar"}]},
        },
        "employments": {
            "affiliation-group": [{"summaries": [{"employment-summary": summary}]}],
            "path": f"/{IID}/employments",
        },
    }


class Registry:
    """A public ORCID API on this machine. `answers`: path → (status, body)."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.hang = threading.Event()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.path)
                if registry.hang.is_set():
                    registry.let_go.wait(5)
                status, body = registry.answers.get(self.path, (404, b"{}"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.let_go = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v3.0"

    def keep(self, iid: str, answers: dict[str, Any]) -> None:
        for part, body in answers.items():
            self.answers[f"/v3.0/{iid}/{part}"] = (200, json.dumps(body).encode())


@pytest.fixture
def registry(settings: Any) -> Iterator[Registry]:
    made = Registry()
    settings.ORCID_API = made.url
    with serving(made.server):
        yield made
        made.let_go.set()


def prepared(release: Release, **fields: Any) -> Application:
    application = applied(by("bob@lab.test", orcid=IID, **fields), release)
    tasks.prepare_review(application.pk)
    application.refresh_from_db()
    return application


# ---- Signing in ----


@pytest.fixture
def offered(settings: Any) -> None:
    """This site is registered with ORCID."""
    settings.SOCIALACCOUNT_PROVIDERS = {"orcid": {}}


def test_an_id_proven_by_signing_in_supports(release: Release, offered: None) -> None:
    bob = by("bob@lab.test", orcid=IID)
    application = applied(bob, release)
    assert found(application, "orcid_sign_in").result == "neutral"
    SocialAccount.objects.create(user=bob, provider="orcid", uid=IID)
    check = found(application, "orcid_sign_in")
    assert check.result == "supports"
    assert "proven by signing in" in check.finding


def test_another_id_than_the_one_proven_asks_for_a_closer_look(
    release: Release, offered: None
) -> None:
    bob = by("bob@lab.test", orcid=IID)
    SocialAccount.objects.create(user=bob, provider="orcid", uid="0000-0001-5109-3700")
    assert found(applied(bob, release), "orcid_sign_in").result == "attention"


def test_an_id_that_is_linked_need_not_be_typed(release: Release, offered: None) -> None:
    bob = by("bob@lab.test")
    SocialAccount.objects.create(user=bob, provider="orcid", uid=IID)
    assert applied(bob, release).affiliation["orcid"] == IID


def test_another_provider_proves_no_orcid(release: Release, offered: None) -> None:
    bob = by("bob@lab.test", orcid=IID)
    SocialAccount.objects.create(user=bob, provider="openid_connect", uid=IID)
    assert found(applied(bob, release), "orcid_sign_in").result == "neutral"


# ---- The public record ----


def test_nothing_is_looked_up_where_no_address_is_set(release: Release) -> None:
    application = prepared(release)
    assert not OrcidRecord.objects.exists()
    with pytest.raises(StopIteration):  # and what was not looked up is no evidence
        found(application, "orcid_record")


def test_the_record_is_looked_up_after_the_submission_and_never_for_a_page(
    release: Release, registry: Registry
) -> None:
    registry.keep(IID, record())
    application = applied(by("bob@lab.test", orcid=IID), release)
    assert found(application, "orcid_record").finding.startswith("Not looked up yet")
    assert registry.asked == []
    tasks.prepare_review(application.pk)
    check = found(application, "orcid_record")
    assert check.result == "supports"
    assert "University of Testing" in check.finding
    asked = list(registry.asked)
    assert asked == [f"/v3.0/{IID}/person", f"/v3.0/{IID}/employments"]
    found(application, "orcid_record")
    tasks.prepare_review(application.pk)
    assert registry.asked == asked


def test_a_second_application_finds_the_kept_record(release: Release, registry: Registry) -> None:
    registry.keep(IID, record())
    first = prepared(release)
    services.withdraw(first.pk, actor=first.applicant)
    asked = len(registry.asked)
    again = applied(first.applicant, release)
    tasks.prepare_review(again.pk)
    assert len(registry.asked) == asked
    OrcidRecord.objects.update(looked_up_at=timezone.now() - services.preparing.KEEPS)
    services.look_up_orcid(IID)
    assert len(registry.asked) == asked + 2


@pytest.mark.parametrize(
    ("answers", "result", "told"),
    [
        (record(("Bob", "Example")), "supports", "University of Testing"),
        (record(("Róbert", "Different")), "attention", "Róbert Different"),
        (record(("", "Example")), "attention", "only a part of “Bob Example”"),
        (record(**{"end-date": {"year": {"value": "2021"}}}), "neutral", "University of Testing"),
        (record(organization={"name": "Elsewhere"}), "neutral", "Elsewhere"),
        ({"person": {"name": None}, "employments": {}}, "neutral", "no public name"),
    ],
)
def test_the_record_is_compared_with_name_and_institution(
    release: Release, registry: Registry, answers: dict[str, Any], result: str, told: str
) -> None:
    registry.keep(IID, answers)
    check = found(prepared(release), "orcid_record")
    assert (check.result, told in check.finding) == (result, True), check.finding


def test_an_employer_counts_by_its_ror_id_under_another_name(
    release: Release, registry: Registry
) -> None:
    load_institutions()
    answers = record()
    group = answers["employments"]["affiliation-group"][0]["summaries"][0]
    group["employment-summary"]["organization"]["name"] = "Een heel andere naam"
    registry.keep(IID, answers)
    assert found(prepared(release), "orcid_record").result == "supports"


def test_an_id_without_a_record_asks_for_a_closer_look(
    release: Release, registry: Registry
) -> None:
    check = found(prepared(release), "orcid_record")
    assert (check.result, "no public record" in check.finding) == ("attention", True)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (503, b"", "status 503"),
        (200, b"<html>", "no JSON"),
        (200, b'{"name": 3}', "another form"),
        (200, b" " * (orcid_api.MOST_BYTES + 1), "too long"),
    ],
)
def test_a_service_that_fails_is_told_and_asked_again_next_time(
    release: Release, registry: Registry, status: int, body: bytes, told: str
) -> None:
    registry.answers[f"/v3.0/{IID}/person"] = (status, body)
    application = prepared(release)
    check = found(application, "orcid_record")
    assert (check.result, told in check.finding) == ("neutral", True), check.finding
    assert application.prepared_at is not None, "a reviewer goes on without it"
    registry.keep(IID, record())
    services.look_up_orcid(IID)
    assert found(application, "orcid_record").result == "supports"


def test_a_service_that_hangs_is_given_up(
    release: Release, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orcid_api, "TIMEOUT", 0.2)
    registry.hang.set()
    assert "in time" in found(prepared(release), "orcid_record").finding


def test_what_is_no_id_leaves_this_site_never(db: None, registry: Registry) -> None:
    assert services.look_up_orcid("") is None
    assert services.look_up_orcid("../../secret") is None
    assert registry.asked == []


# ---- What was left over ----


def test_the_sweep_prepares_what_a_broker_lost_and_one_failure_stops_no_other(
    release: Release, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [applied(by(f"{name}@lab.test"), release).pk for name in ("bob", "carol")]
    assert services.prepare_left_over() == 0, "the task has its two minutes first"
    Application.objects.filter(pk__in=ids).update(
        updated_at=timezone.now() - services.preparing.SWEEP_AFTER
    )
    asked = services.preparing.apply_rules

    def failing(pk: int) -> bool:
        if pk == ids[0]:
            raise RuntimeError("a check broke")
        return asked(pk)

    monkeypatch.setattr(services.preparing, "apply_rules", failing)
    tasks.prepare_left_over()
    states = dict(Application.objects.values_list("pk", "prepared_at"))
    assert states[ids[0]] is None
    assert states[ids[1]] is not None
