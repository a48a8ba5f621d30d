"""What reviewers do among themselves, over REST: the same services, the same refusals."""

from typing import Any

import pytest
from django.core.management import call_command

from access_requests import services
from access_requests.models import Application, Note, Opinion, Recusal
from portal.accounts.models import Account, Scope
from tests.access_requests.people import seen_now
from tests.people import with_token


def post(account: Account, application: Application, act: str, *scopes: Scope, **body: Any) -> Any:
    return with_token(account, *(scopes or (Scope.REVIEW,))).post(
        f"/api/v1/applications/{application.pk}/{act}/", body, content_type="application/json"
    )


def test_a_note_is_kept_and_read_by_reviewers_alone(
    in_review: Application, rita: Account, second_reviewer: Account, alice: Account
) -> None:
    answer = post(rita, in_review, "notes", text="Ask the registry.")
    assert answer.status_code == 200
    assert [note["body"] for note in answer.json()["review"]["notes"]] == ["Ask the registry."]
    path = f"/api/v1/applications/{in_review.pk}/"
    assert "Ask the registry." in with_token(second_reviewer).get(path).text
    assert "registry" not in with_token(alice).get(path).text


def test_who_is_recused_reads_no_notes(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    services.note(in_review.pk, actor=rita, body="Ask the registry.")
    assert post(second_reviewer, in_review, "recuse", reason="We share a flat.").status_code == 200
    assert Recusal.objects.get().reviewer == second_reviewer
    answer = with_token(second_reviewer).get(f"/api/v1/applications/{in_review.pk}/").json()
    assert (answer["review"]["notes"], answer["review"]["opinions"]) == ([], [])
    assert post(second_reviewer, in_review, "notes", text="Still here").status_code == 403
    assert post(second_reviewer, in_review, "recuse", reason="Again").status_code == 403


def test_a_manager_assigns_and_others_do_not(
    submitted: Application, manager: Account, rita: Account, second_reviewer: Account
) -> None:
    refused = post(second_reviewer, submitted, "assign", reviewer=rita.pk)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    assert post(manager, submitted, "assign", reviewer=rita.pk).status_code == 200
    submitted.refresh_from_db()
    assert submitted.claimed_by == rita


@pytest.mark.parametrize("who", ["alice", "mallory", "nobody"])
def test_nothing_is_assigned_to_who_may_not_review(
    submitted: Application, manager: Account, alice: Account, mallory: Account, who: str
) -> None:
    pk = {"alice": alice.pk, "mallory": mallory.pk, "nobody": 2**62}[who]
    answer = post(manager, submitted, "assign", reviewer=pk)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["reviewer"])
    submitted.refresh_from_db()
    assert submitted.claimed_by is None


def test_the_colleagues_are_those_who_may_act(
    in_review: Application,
    rita: Account,
    second_reviewer: Account,
    manager: Account,
    alice: Account,
) -> None:
    path = f"/api/v1/applications/{in_review.pk}/colleagues/"
    names = [one["id"] for one in with_token(rita).get(path).json()]
    assert names == [manager.pk, rita.pk, second_reviewer.pk]
    assert with_token(alice).get(path).status_code == 403
    services.recuse(in_review.pk, actor=second_reviewer, reason="We share a flat.")
    assert second_reviewer.pk not in [one["id"] for one in with_token(rita).get(path).json()]
    assert with_token(second_reviewer).get(path).status_code == 403


def test_a_colleague_is_asked_and_advises_once(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    asked = post(rita, in_review, "ask", reviewer=second_reviewer.pk, question="Is it sound?")
    assert asked.status_code == 200
    assert Opinion.objects.get().question == "Is it sound?"
    assert post(rita, in_review, "ask", reviewer=second_reviewer.pk).status_code == 409
    seen = {"version": seen_now(in_review.pk)}
    mine = post(rita, in_review, "advise", advice="approve", answer="Yes", **seen)
    assert mine.status_code == 404
    answer = post(second_reviewer, in_review, "advise", advice="approve", answer="It is.", **seen)
    assert answer.json()["review"]["opinions"][0]["advice"] == "approve"
    again = post(second_reviewer, in_review, "advise", advice="refuse", answer="No.", **seen)
    assert again.status_code == 404
    assert Opinion.objects.get().answer == "It is."


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("notes", {"text": ""}),
        ("assign", {}),
        ("assign", {"reviewer": "rita"}),
        ("assign", {"reviewer": 2**70}),
        ("ask", {"reviewer": 1, "kind": "gossip"}),
        ("advise", {"advice": "", "answer": "x"}),
        ("advise", {"advice": "approve"}),
        ("recuse", {"reason": " "}),
    ],
)
def test_what_does_not_fit_is_named(
    in_review: Application, rita: Account, act: str, body: dict[str, Any]
) -> None:
    answer = post(rita, in_review, act, **body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["fields"]
    assert not Note.objects.exists()
    assert not Recusal.objects.exists()


@pytest.mark.parametrize("act", ["notes", "assign", "ask", "advise", "recuse"])
def test_strangers_applicants_and_tokens_without_the_scope_do_none_of_it(
    in_review: Application, alice: Account, mallory: Account, rita: Account, act: str
) -> None:
    body = {"text": "t", "reviewer": rita.pk, "advice": "approve", "answer": "a", "reason": "r"}
    body["version"] = seen_now(in_review.pk)
    assert post(mallory, in_review, act, **body).status_code == 404
    assert post(alice, in_review, act, **body).status_code in (403, 404)
    answer = post(rita, in_review, act, Scope.APPLY, **body)
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert not Note.objects.exists()
    assert not Opinion.objects.exists()


def test_the_time_to_decision_and_what_happens_next_are_told(
    submitted: Application, alice: Account
) -> None:
    answer = with_token(alice).get(f"/api/v1/applications/{submitted.pk}/").json()
    assert answer["time_to_decision"] is None
    assert answer["queue_position"] == 1
    assert "A reviewer takes it" in answer["what_happens_next"]


def test_openapi_knows_them_without_a_warning(tmp_path: Any, db: None) -> None:
    call_command("spectacular", file=str(tmp_path / "schema.yml"), validate=True, fail_on_warn=True)
    schema = (tmp_path / "schema.yml").read_text()
    for act in ("notes", "assign", "ask", "advise", "recuse", "colleagues"):
        assert f"/api/v1/applications/{{id}}/{act}/" in schema
