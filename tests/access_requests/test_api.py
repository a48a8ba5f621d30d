"""The same way over REST, with tokens."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, Grant, State
from portal.accounts.models import Account, Scope
from portal.catalog.models import LicenceVersion, Release
from tests.access_requests.people import ANSWERS, denials, seen_now
from tests.people import signed_in, with_token

API = "/api/v1"


def post(client: Client, path: str, data: Any = None, status: int = 200) -> Any:
    response = client.post(f"{API}/{path}", data or {}, content_type="application/json")
    assert response.status_code == status, response.content
    return response.json()


def get(client: Client, path: str, status: int = 200) -> Any:
    response = client.get(f"{API}/{path}")
    assert response.status_code == status, response.content
    return response.json()


def test_the_whole_way_with_tokens(
    alice: Account, rita: Account, manager: Account, release: Release
) -> None:
    applicant, reviewer, boss = with_token(alice), with_token(rita), with_token(manager)
    made = post(
        applicant,
        "applications/",
        {"releases": ["meta/llama-7b"], "answers": {"sharing": "nothing"}},
        201,
    )
    one = f"applications/{made['id']}"
    assert (made["state"], made["releases"], made["review"]) == ("draft", ["llama-7b"], None)

    changed = applicant.patch(
        f"{API}/{one}/", {"answers": ANSWERS}, content_type="application/json"
    ).json()
    assert changed["answers"] == ANSWERS
    assert post(applicant, f"{one}/submit/", {"typed_name": alice.name})["queue_position"] == 1

    (waiting,) = get(reviewer, "applications/?queue=1")["results"]
    assert waiting["id"] == made["id"]
    claimed = post(reviewer, f"{one}/claim/")
    assert claimed["review"]["claimed_by"]["email"] == rita.email
    assert claimed["review"]["evidence"]
    question = {"message": "Which corpus?", "version": claimed["review"]["version"]}
    assert post(reviewer, f"{one}/return/", question)["state"] == "returned"
    assert get(applicant, f"{one}/")["messages"][0]["body"] == "Which corpus?"
    assert post(applicant, f"{one}/submit/", {"typed_name": alice.name})["state"] == "in_review"

    end = (timezone.now() + timedelta(days=10)).isoformat()
    version = get(reviewer, f"{one}/")["review"]["version"]
    terms = {"ends_at": end, "tier": "try", "releases": ["llama-7b"], "version": version}
    approved = post(reviewer, f"{one}/approve/", terms)
    assert approved["review"]["version"] is None
    (grant,) = get(applicant, "grants/")["results"]
    assert approved["grants"] == [grant["id"]]
    assert (grant["tier"], grant["is_open"], grant["refusal"]) == ("try", True, None)

    revoked = post(boss, f"grants/{grant['id']}/revoke/", {"reason": "Shared."})
    assert (revoked["status"], revoked["is_open"], revoked["refusal"]) == (
        "revoked",
        False,
        "revoked",
    )


def test_a_session_may_do_what_a_token_may(alice: Account, release: Release) -> None:
    response = signed_in(alice).post(
        f"{API}/applications/",
        {"releases": ["llama-7b"]},
        content_type="application/json",
        headers={"accept": "application/json"},
    )
    assert response.status_code == 201


def test_starting_again_gives_the_open_application(draft: Application, alice: Account) -> None:
    again = post(
        with_token(alice),
        "applications/",
        {"releases": ["llama-7b"], "answers": {"sharing": "both"}},
        200,
    )
    assert again["id"] == draft.pk
    assert again["answers"]["sharing"] == "both"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "releases"),
        ({"releases": []}, "releases"),
        ({"releases": "llama-7b"}, "releases"),
        ({"releases": ["llama-900b"]}, "releases"),
        ({"releases": ["llama-7b"], "answers": {"research_purpose": 7}}, "research_purpose"),
        (
            {"releases": ["llama-7b"], "answers": {"research_purpose": "x" * 4001}},
            "research_purpose",
        ),
        ({"releases": ["llama-7b"], "answers": {"research_purpose": "\ud800"}}, "research_purpose"),
    ],
)
def test_bad_input_names_the_field(
    alice: Account, release: Release, body: dict[str, Any], field: str
) -> None:
    problem = post(with_token(alice), "applications/", body, 400)
    assert problem["code"] == "invalid"
    assert field in problem["fields"]
    assert problem["way_out"]
    assert not Application.objects.exists()


def test_answers_that_are_no_object_are_refused(alice: Account, release: Release) -> None:
    post(with_token(alice), "applications/", {"releases": ["llama-7b"], "answers": "all"}, 400)
    assert not Application.objects.exists()


def test_a_body_that_is_no_json_is_refused(alice: Account, release: Release) -> None:
    response = with_token(alice).post(f"{API}/applications/", "{", content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "invalid")


def test_a_withdrawn_release_is_refused(alice: Account, release: Release) -> None:
    Release.objects.update(status=Release.Status.WITHDRAWN)
    assert (
        post(with_token(alice), "applications/", {"releases": ["llama-7b"]}, 403)["code"]
        == "withdrawn"
    )


def test_submitting_twice_is_a_conflict_with_the_state(
    submitted: Application, alice: Account
) -> None:
    problem = post(
        with_token(alice), f"applications/{submitted.pk}/submit/", {"typed_name": alice.name}, 409
    )
    assert problem["code"] == "wrong_state"
    assert problem["since"]


def test_an_old_licence_text_cannot_be_accepted(draft: Application, alice: Account) -> None:
    body = {"typed_name": alice.name, "licence_sha256": "0" * 64}
    assert (
        post(with_token(alice), f"applications/{draft.pk}/submit/", body, 403)["code"]
        == "licence_changed"
    )


def test_the_second_reviewer_is_told_by_whom(
    approved: Application, second_reviewer: Account, rita: Account
) -> None:
    problem = post(
        with_token(second_reviewer),
        f"applications/{approved.pk}/refuse/",
        {"reason": "No.", "version": seen_now(approved.pk)},
        409,
    )
    assert problem["code"] == "conflict"
    assert rita.name in problem["detail"]
    approved.refresh_from_db()
    assert approved.state == State.APPROVED


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("refuse", {}),
        ("refuse", {"reason": ""}),
        ("return", {}),
        ("approve", {"tier": "all"}),
        ("approve", {"ends_at": "soon"}),
        ("approve", {"releases": ["llama-900b"]}),
        ("approve", {"ends_at": "2001-01-01T00:00:00Z"}),
    ],
)
def test_a_decision_that_does_not_fit_changes_nothing(
    in_review: Application, rita: Account, act: str, body: dict[str, Any]
) -> None:
    body = {"version": seen_now(in_review.pk), **body}
    problem = post(with_token(rita), f"applications/{in_review.pk}/{act}/", body, 400)
    assert "version" not in problem["fields"]
    in_review.refresh_from_db()
    assert in_review.state == State.IN_REVIEW


# ---- Scopes and persons --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("get", "applications/", Scope.READ),
        ("get", "applications/{a}/", Scope.READ),
        ("post", "applications/", Scope.APPLY),
        ("patch", "applications/{a}/", Scope.APPLY),
        ("post", "applications/{a}/submit/", Scope.APPLY),
        ("post", "applications/{a}/withdraw/", Scope.APPLY),
        ("post", "applications/{a}/claim/", Scope.REVIEW),
        ("post", "applications/{a}/release/", Scope.REVIEW),
        ("post", "applications/{a}/return/", Scope.REVIEW),
        ("post", "applications/{a}/approve/", Scope.REVIEW),
        ("post", "applications/{a}/refuse/", Scope.REVIEW),
        ("get", "grants/", Scope.READ),
        ("post", "grants/{g}/revoke/", Scope.REVIEW),
        ("post", "grants/{g}/suspend/", Scope.REVIEW),
        ("post", "grants/{g}/reinstate/", Scope.REVIEW),
        ("post", "grants/{g}/accept_licence/", Scope.APPLY),
    ],
)
def test_each_door_needs_its_scope_and_a_token(
    grant: Grant, alice: Account, client: Client, method: str, path: str, scope: Scope
) -> None:
    address = f"{API}/{path.format(a=grant.application_id, g=grant.pk)}"
    others = [other for other in Scope if other != scope]
    kwargs: dict[str, Any] = {"content_type": "application/json"} if method != "get" else {}
    without = getattr(with_token(alice, *others), method)(address, {}, **kwargs)
    assert (without.status_code, without.json()["code"]) == (403, "scope_missing")
    assert str(scope) in without.json()["detail"]
    anonymous = getattr(client, method)(address, {}, **kwargs)
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "not_signed_in")
    having = getattr(with_token(alice, scope), method)(address, {}, **kwargs)
    assert having.json().get("code") != "scope_missing"


@pytest.mark.parametrize(
    "act", ["submit", "withdraw", "claim", "release", "return", "approve", "refuse"]
)
def test_mallory_learns_of_no_application(
    submitted: Application, mallory: Account, act: str
) -> None:
    body = {"typed_name": "x", "message": "x", "reason": "x", "version": "x"}
    problem = post(with_token(mallory), f"applications/{submitted.pk}/{act}/", body, 404)
    assert problem["code"] == "not_found"
    assert len(denials(submitted)) == 1
    get(with_token(mallory), f"applications/{submitted.pk}/", 404)


def test_a_draft_is_not_found_by_a_reviewer(draft: Application, rita: Account) -> None:
    get(with_token(rita), f"applications/{draft.pk}/", 404)
    post(with_token(rita), f"applications/{draft.pk}/claim/", None, 404)
    response = with_token(rita).patch(
        f"{API}/applications/{draft.pk}/", {}, content_type="application/json"
    )
    assert response.status_code == 404


def test_an_applicant_may_not_claim(submitted: Application, alice: Account) -> None:
    assert (
        post(with_token(alice), f"applications/{submitted.pk}/claim/", None, 403)["code"]
        == "not_allowed"
    )


def test_the_lists_of_others_are_for_reviewers(
    grant: Grant, alice: Account, mallory: Account, rita: Account
) -> None:
    assert get(with_token(mallory), "applications/")["results"] == []
    assert get(with_token(mallory), "grants/")["results"] == []
    assert get(with_token(mallory), "applications/?queue=1", 403)["code"] == "not_allowed"
    assert get(with_token(mallory), "grants/?all=1", 403)["code"] == "not_allowed"
    assert len(get(with_token(rita), "grants/?all=1")["results"]) == 1


def test_only_managers_change_grants(
    grant: Grant, alice: Account, rita: Account, mallory: Account
) -> None:
    for actor, status in ((alice, 403), (rita, 403), (mallory, 404)):
        for act in ("revoke", "suspend", "reinstate"):
            post(with_token(actor), f"grants/{grant.pk}/{act}/", {"reason": "x"}, status)
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE


def test_suspending_and_reinstating(grant: Grant, alice: Account, manager: Account) -> None:
    boss = with_token(manager)
    post(boss, f"grants/{grant.pk}/suspend/", {}, 400)
    assert (
        post(boss, f"grants/{grant.pk}/suspend/", {"reason": "Question."})["refusal"] == "suspended"
    )
    assert post(boss, f"grants/{grant.pk}/reinstate/")["is_open"] is True


def test_a_new_licence_is_accepted_over_rest(
    grant: Grant, alice: Account, mallory: Account
) -> None:
    licence = grant.release.family.licence
    LicenceVersion.objects.create(licence=licence, number=2, text="Two.", standing_grants="suspend")
    (shut,) = get(with_token(alice), "grants/")["results"]
    assert shut["refusal"] == "licence_changed"
    path = f"grants/{grant.pk}/accept_licence/"
    post(with_token(mallory), path, {"typed_name": mallory.name}, 404)
    opened = post(with_token(alice), path, {"typed_name": alice.name})
    assert (opened["is_open"], opened["licence_version"]) == (True, 2)


def test_a_reviewer_reads_the_answers_as_submitted(
    returned: Application, alice: Account, rita: Account
) -> None:
    services.save_draft(returned.pk, actor=alice, answers={"intended_use": "Half"})
    path = f"applications/{returned.pk}/"
    assert get(with_token(rita), path)["answers"] == ANSWERS
    assert get(with_token(alice), path)["answers"]["intended_use"] == "Half"
    assert get(with_token(alice), path)["review"] is None
