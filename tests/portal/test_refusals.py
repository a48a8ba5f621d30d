"""Complaint: "403 from a fresh link and no word why".

Every refusal says its cause and the way out, in each reader's form.
"""

import io
import json
import logging
import re
from datetime import UTC, datetime

import pytest
from django.conf import settings as django_settings
from django.test import AsyncClient, Client, RequestFactory

from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.logs import NamesRequest
from portal.problems import PROBLEM, respond
from portal.refusals import STATUS, TITLE, Code, Refusal
from tests.people import with_token


def test_every_code_has_a_title_and_a_status() -> None:
    assert set(TITLE) == set(Code)
    for code in Code:
        assert 400 <= Refusal(code, "x", "y").status < 600
    assert set(STATUS) <= set(Code)


def test_a_program_reads_problem_json_with_the_request_id(client: Client, db: None) -> None:
    answer = client.get("/api/v1/grants/", headers={"x-request-id": "abc-123"})
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (answer.status_code, body["code"], body["request_id"]) == (
        401,
        "not_signed_in",
        "abc-123",
    )
    assert body["way_out"]
    assert answer.headers["x-request-id"] == "abc-123"


def test_a_browser_reads_a_page_and_curl_one_line(client: Client, db: None) -> None:
    page = client.get("/nothing/here/", headers={"accept": "text/html"})
    assert "What to do now" in page.text
    line = client.get("/nothing/here/", headers={"accept": "*/*"})
    assert line.headers["content-type"].startswith("text/plain")
    assert line.text.startswith("not_found: ")
    assert line.text.count("\n") == 1


def test_a_request_id_that_could_forge_a_log_line_is_replaced(client: Client, db: None) -> None:
    answer = client.get("/healthz", headers={"x-request-id": "a b\tc"})
    assert " " not in answer.headers["x-request-id"]


def test_the_audit_log_over_rest_is_for_auditors(
    alice: Account, manager: Account, release: Release
) -> None:
    assert with_token(alice).get("/api/v1/events/").status_code == 403
    assert with_token(manager).get("/api/v1/events/").status_code == 200
    assert with_token(manager).get("/api/v1/events/?actor=alice").status_code == 400


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("code", Code)
def test_every_refusal_says_the_same_to_each_reader(code: Code) -> None:
    """Code, cause, since when, what to do and the request's id, as problem+json, as a page and as one line."""
    refusal = Refusal(
        code, "The cause & more.", "Do this.", since=datetime(2026, 2, 3, 4, 5, tzinfo=UTC)
    )
    for accept in (
        PROBLEM,
        "application/json",
        "application/json, text/plain, */*",
        BROWSER,
        "*/*",
    ):
        request = RequestFactory().get("/x/", headers={"accept": accept})
        request.request_id = "req-1"  # type: ignore[attr-defined]
        answer = respond(request, refusal)
        assert answer.status_code == refusal.status
        assert answer["X-Error-Code"] == code
        text = answer.content.decode()
        if accept == BROWSER:
            assert answer["Content-Type"].startswith("text/html")
            for said in (refusal.title, "The cause &amp; more.", "Do this.", "3 Feb 2026", "req-1"):
                assert said in text, said
        elif "json" in accept:
            assert answer["Content-Type"] == PROBLEM
            said = json.loads(text)
            assert (said["code"], said["detail"], said["way_out"], said["request_id"]) == (
                code,
                "The cause & more.",
                "Do this.",
                "req-1",
            )
            assert said["since"] == "2026-02-03T04:05:00+00:00"
        else:
            assert text == (
                f"{code}: The cause & more. (since 2026-02-03 04:05 UTC) Do this. [request req-1]\n"
            )


@pytest.mark.parametrize("given", ["a b", "a" * 65, "x\n", "<b>", ""])
def test_an_id_that_is_not_sane_is_made_anew(given: str, client: Client, db: None) -> None:
    answer = client.get("/healthz", headers={"x-request-id": given} if given else {})
    assert re.fullmatch(r"[0-9a-f]{16}", answer["X-Request-Id"])


def test_a_log_line_names_its_request(db: None) -> None:
    """Also from the thread that a view runs in, and of a page that is not there."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(NamesRequest())
    handler.setFormatter(logging.Formatter(django_settings.LOGGING["formatters"]["line"]["format"]))
    logging.getLogger("django.request").addHandler(handler)
    try:
        Client().get("/nothing/", headers={"x-request-id": "sync-1"})
        from asgiref.sync import async_to_sync

        async_to_sync(AsyncClient().get)("/nothing/", headers={"x-request-id": "async-1"})
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    assert "[sync-1]: Not Found: /nothing/" in out.getvalue()
    assert "[async-1]: Not Found: /nothing/" in out.getvalue()


def test_a_form_from_elsewhere_and_a_strange_host_are_refused_in_our_words(
    alice: Account, settings: object
) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    answer = strict.post("/account/tokens/", {"name": "x"}, headers={"accept": "text/html"})
    assert (answer.status_code, answer["X-Error-Code"]) == (403, Code.NOT_ALLOWED)
    assert "did not come from a page of this site" in answer.text
    settings.ALLOWED_HOSTS = ["portal.test"]  # type: ignore[attr-defined]
    answer = Client().get("/releases/", headers={"host": "evil.test"})
    assert (answer.status_code, answer["X-Error-Code"]) == (400, Code.INVALID)
    assert answer.text.startswith("invalid: ")
