"""Complaint: "403 from a fresh link and no word why".

Every refusal says its cause and the way out, in each reader's form.
"""

from django.test import Client

from portal.accounts.models import Account
from portal.catalog.models import Release
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
