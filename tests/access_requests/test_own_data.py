"""A person downloads what is held about them: all of theirs, nothing of others, no internal word."""

import json
from typing import Any

from django.test import Client

from access_requests import services
from access_requests.models import Application
from portal.accounts import own_data
from portal.accounts.models import Account
from tests.access_requests.people import seen_now
from tests.people import signed_in, with_token

URL = "/account/data/"


def told_to(account: Account) -> tuple[dict[str, Any], str]:
    response = signed_in(account).get(URL)
    assert response.status_code == 200
    assert response["Content-Disposition"] == 'attachment; filename="my-data.json"'
    text = response.content.decode()
    return json.loads(text), text


def test_one_gets_ones_own_and_no_internal_word(
    in_review: Application, alice: Account, rita: Account, mallory: Account
) -> None:
    services.write(in_review.pk, actor=alice, body="A word of mine.")
    services.note(in_review.pk, actor=rita, body="An internal word.")
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True, reason="Sound plan."
    )
    with_token(alice)
    hers, text = told_to(alice)
    assert hers["account"]["email"] == alice.email
    assert hers["account"]["affiliation"]["institution"] == "University of Testing"
    (application,) = hers["applications"]
    assert application["answers"]["research_purpose"].startswith("How do small models")
    assert application["reason"] == "Sound plan."
    assert [one["body"] for one in application["messages"]] == ["A word of mine."]
    assert hers["agreements"][0]["licence_version__text"].startswith("# For research")
    assert hers["grants"][0]["release"] == "meta/llama-7b"
    assert {act["verb"] for act in hers["acts"]} >= {"application.submitted", "licence.accepted"}
    assert "An internal word." not in text
    assert alice.tokens.get().sha256 not in text
    assert alice.password not in text
    _, theirs = told_to(mallory)
    for word in (alice.email, "A word of mine.", "University of Testing"):
        assert word not in theirs


def test_every_floor_tells_its_part(alice: Account) -> None:
    parts = {"account", "mails", "acts", "applications", "places", "agreements", "grants"}
    assert set(own_data.own_data(alice)) == parts | {"downloads", "runs", "reports_of_runs"}


def test_a_stranger_gets_nothing(alice: Account, client: Client) -> None:
    assert client.get(URL).status_code == 302
    assert signed_in(alice).post(URL).status_code == 405
    assert URL in signed_in(alice).get("/account/").content.decode()
