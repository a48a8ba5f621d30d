"""A decision is about what was on the screen: what changed meanwhile refuses it, and loses nothing."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access_requests import evidence, services
from access_requests.models import (
    Application,
    AutomaticRule,
    DecisionPolicy,
    Grant,
    Opinion,
    OrcidRecord,
    State,
)
from access_requests.selectors.fairness import agreement
from access_requests.services import acts
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.access_requests import vouching
from tests.access_requests.people import applicant, seen_now
from tests.access_requests.test_admin import act_of, page_of, terms, text
from tests.people import signed_in, with_token

ORCID = "0000-0002-1825-0097"
WEAPONS = "To sell the weights."


def version_on(page: str) -> str:
    versions = set(re.findall(r'name="seen" value="([^"]+)"', page))
    assert len(versions) == 1, "every form of one page carries the same version"
    return versions.pop()


def resubmit(application: Application, reviewer: Account, answer: str = WEAPONS) -> None:
    """In another tab the reviewer returns it, and the applicant submits something else."""
    pk, alice = application.pk, application.applicant
    services.return_for_correction(pk, actor=reviewer, seen=seen_now(pk), message="Which corpus?")
    services.save_draft(pk, actor=alice, answers={"intended_use": answer})
    services.submit(pk, actor=alice, typed_name=alice.name)


def state_of(application: Application) -> str:
    return Application.objects.get(pk=application.pk).state


def changed(act: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        act()
    assert caught.value.code == Code.CHANGED
    return caught.value.detail


# ---- On the page ---------------------------------------------------------------------------------


def test_an_approval_of_what_was_not_on_the_screen_is_refused_and_loses_nothing(
    in_review: Application, rita: Account, release: Release
) -> None:
    DecisionPolicy.objects.create(release=release, checklist="Read the plan")
    tab = signed_in(rita)
    seen = version_on(text(tab, page_of(in_review)))
    resubmit(in_review, rita)
    given = terms(release, reason="Sound plan, Alice.", checklist=["Read the plan"])
    answer = tab.post(act_of(in_review, "approve"), {**given, "seen": seen})
    assert answer.status_code == 409
    assert (state_of(in_review), in_review.applicant.grants.count()) == (State.IN_REVIEW, 0)
    page = answer.content.decode()
    assert "changed since you opened it: it was submitted again, the answers" in page
    assert WEAPONS in page
    assert "Sound plan, Alice." in page
    assert re.search(r'value="Read the plan"[^>]*checked', page)
    # The page that says so carries what it shows now: the same click is a decision on that.
    again = tab.post(act_of(in_review, "approve"), {**given, "seen": version_on(page)})
    assert (again.status_code, state_of(in_review)) == (302, State.APPROVED)


@pytest.mark.parametrize(
    ("action", "typed"),
    [
        ("refuse", {"reason": "No research question at all."}),
        ("return", {"message": "Say which corpus it is."}),
    ],
)
def test_a_refusal_or_a_return_of_what_was_not_on_the_screen_is_refused(
    in_review: Application, rita: Account, action: str, typed: dict[str, str]
) -> None:
    tab = signed_in(rita)
    seen = version_on(text(tab, page_of(in_review)))
    resubmit(in_review, rita)
    answer = tab.post(act_of(in_review, action), {**typed, "seen": seen})
    assert (answer.status_code, state_of(in_review)) == (409, State.IN_REVIEW)
    assert next(iter(typed.values())) in answer.content.decode()
    now = {**typed, "seen": version_on(answer.content.decode())}
    assert tab.post(act_of(in_review, action), now).status_code == 302


def test_a_form_without_a_version_decides_nothing(
    in_review: Application, rita: Account, release: Release
) -> None:
    for seen in ({}, {"seen": ""}, {"seen": "made-up"}, {"seen": "x" * 5000}):
        answer = signed_in(rita).post(act_of(in_review, "approve"), terms(release, **seen))
        assert answer.status_code in (409, 422)
    assert state_of(in_review) == State.IN_REVIEW


def test_advice_is_about_what_was_on_the_screen(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    services.ask(in_review.pk, actor=rita, reviewer=second_reviewer)
    tab = signed_in(second_reviewer)
    seen = version_on(text(tab, page_of(in_review)))
    resubmit(in_review, rita)
    typed = {"advice": "approve", "answer": "Harmless, I would say."}
    answer = tab.post(act_of(in_review, "advise"), {**typed, "seen": seen})
    assert answer.status_code == 409
    assert "Harmless, I would say." in answer.content.decode()
    assert Opinion.objects.get().advice == ""
    now = {**typed, "seen": version_on(answer.content.decode())}
    assert tab.post(act_of(in_review, "advise"), now).status_code == 302


def test_the_second_approval_is_about_what_was_on_the_screen(
    in_review: Application, rita: Account, second_reviewer: Account, release: Release
) -> None:
    DecisionPolicy.objects.create(release=release, approvals=2)
    pk = in_review.pk
    services.decide(pk, actor=rita, seen=seen_now(pk), approve=True)
    services.claim(pk, actor=second_reviewer)
    seen = seen_now(pk)
    services.write(pk, actor=in_review.applicant, body="I forgot to say: we sell it.")
    told = changed(lambda: services.decide(pk, actor=second_reviewer, seen=seen, approve=True))
    assert "the conversation" in told
    assert state_of(in_review) == State.IN_REVIEW


def test_a_decision_on_an_appeal_is_about_what_was_on_the_screen(
    refused: Application, alice: Account, second_reviewer: Account
) -> None:
    services.appeal(refused.pk, actor=alice, text="Read my paper.")
    services.claim(refused.pk, actor=second_reviewer)
    seen = seen_now(refused.pk)
    services.write(refused.pk, actor=alice, body="And this one.")
    for approve in (True, False):
        changed(
            lambda approve=approve: services.decide(
                refused.pk, actor=second_reviewer, seen=seen, approve=approve, reason="No."
            )
        )
    assert state_of(refused) == State.IN_APPEAL


# ---- What counts as a change ---------------------------------------------------------------------


def test_a_change_says_what_it_was(
    in_review: Application,
    rita: Account,
    second_reviewer: Account,
    alice: Account,
    second_release: Release,
) -> None:
    def told(change: Callable[[], Any]) -> str:
        seen = seen_now(in_review.pk)
        change()
        return changed(lambda: services.decide(in_review.pk, actor=rita, seen=seen, approve=True))

    pk, row = in_review.pk, Application.objects.filter(pk=in_review.pk)
    assert "the conversation" in told(lambda: services.write(pk, actor=alice, body="Wait."))
    services.ask(pk, actor=rita, reviewer=second_reviewer)
    advice = {"advice": "refuse", "answer": "No."}
    assert "what colleagues said" in told(
        lambda: services.advise(pk, seen=seen_now(pk), actor=second_reviewer, **advice)
    )
    assert "what colleagues said" in told(
        lambda: services.note(pk, actor=second_reviewer, body="Look at her last paper.")
    )
    assert "the releases" in told(lambda: in_review.releases.add(second_release))
    assert "the affiliation" in told(
        lambda: row.update(affiliation={**in_review.affiliation, "position": "Trader"})
    )
    row.update(affiliation={**in_review.affiliation, "orcid": ORCID})
    assert "the evidence" in told(
        lambda: (
            OrcidRecord.objects.create(orcid="x", found=True, looked_up_at=in_review.created_at)
            and row.update(affiliation={**in_review.affiliation, "web_page": "https://gmail.com/"})
        )
    )


def test_what_others_do_elsewhere_is_no_change(
    in_review: Application, rita: Account, applied_by: Callable[..., Application]
) -> None:
    """Claims, and how many others of the institution applied, are no reason to look once more."""
    seen = seen_now(in_review.pk)
    applied_by(applicant("carol"), until="approved")
    services.release(in_review.pk, actor=rita)
    services.claim(in_review.pk, actor=rita)
    services.decide(in_review.pk, actor=rita, seen=seen, approve=True)
    assert state_of(in_review) == State.APPROVED


def test_an_answer_of_somebody_who_vouches_is_a_change(claimed: Application, rita: Account) -> None:
    vouching.confirm(vouching.token_to(vouching.OFFICIAL["email"]))
    seen = seen_now(claimed.pk)
    against = {"against": True, "against_more": "He sells them."}
    vouching.refer(vouching.token_to(vouching.REFEREE["email"]), **against)
    told = changed(lambda: services.decide(claimed.pk, actor=rita, seen=seen, approve=True))
    assert "who vouches" in told
    assert state_of(claimed) == State.IN_REVIEW


# ---- Over REST -----------------------------------------------------------------------------------


def version_in(client: Client, application: Application) -> str:
    body = client.get(f"/api/v1/applications/{application.pk}/").json()
    return str(body["review"]["version"])


@pytest.mark.parametrize(
    ("action", "given"),
    [
        ("approve", {}),
        ("refuse", {"reason": "No."}),
        ("return", {"message": "Which corpus?"}),
    ],
)
def test_a_program_sends_the_version_that_it_read(
    in_review: Application, rita: Account, action: str, given: dict[str, str]
) -> None:
    client = with_token(rita)
    address = f"/api/v1/applications/{in_review.pk}/{action}/"

    def send(**more: str) -> Any:
        return client.post(address, {**given, **more}, content_type="application/json")

    without = send()
    assert (without.status_code, list(without.json()["fields"])) == (400, ["version"])
    read = version_in(client, in_review)
    resubmit(in_review, rita)
    stale = send(version=read)
    assert (stale.status_code, stale.json()["code"]) == (409, "changed")
    assert "the answers" in stale.json()["detail"]
    assert state_of(in_review) == State.IN_REVIEW
    assert send(version=version_in(client, in_review)).status_code == 200


def test_a_program_that_advises_sends_the_version_too(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    services.ask(in_review.pk, actor=rita, reviewer=second_reviewer)
    client = with_token(second_reviewer)
    address = f"/api/v1/applications/{in_review.pk}/advise/"
    given = {"advice": "approve", "answer": "Fine."}
    assert client.post(address, given, content_type="application/json").status_code == 400
    given["version"] = version_in(client, in_review)
    services.write(in_review.pk, actor=in_review.applicant, body="One more thing.")
    stale = client.post(address, given, content_type="application/json")
    assert (stale.status_code, stale.json()["code"]) == (409, "changed")
    given["version"] = version_in(client, in_review)
    assert client.post(address, given, content_type="application/json").status_code == 200


def test_the_applicant_reads_no_version_and_a_recused_reviewer_none_either(
    in_review: Application, alice: Account, second_reviewer: Account, rita: Account
) -> None:
    """It is made of what only those who review it may read."""
    address = f"/api/v1/applications/{in_review.pk}/"
    assert with_token(alice).get(address).json()["review"] is None
    services.recuse(in_review.pk, actor=second_reviewer, reason="My student.")
    assert with_token(second_reviewer).get(address).json()["review"]["version"] is None
    assert with_token(rita).get(address).json()["review"]["version"]
    page = text(signed_in(second_reviewer), page_of(in_review))
    assert 'name="seen"' not in page


def test_the_page_and_the_program_read_one_version(in_review: Application, rita: Account) -> None:
    seen = version_on(text(signed_in(rita), page_of(in_review)))
    assert seen == version_in(with_token(rita), in_review) == seen_now(in_review.pk)


def test_a_hub_client_that_cannot_send_a_version_decides_on_what_is_there_at_its_call(
    in_review: Application, rita: Account, release: Release
) -> None:
    resubmit(in_review, rita, "Probing of corpus X.")
    address = f"/api/models/{release.repo_id}/user-access-request/handle"
    given = {"user": in_review.applicant.handle, "status": "accepted"}
    answer = with_token(rita).post(address, given, content_type="application/json")
    assert (answer.status_code, state_of(in_review)) == (200, State.APPROVED)


# ---- Before the lock and under it ----------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In which order a decision gathers its evidence and locks the row."""
    found: list[str] = []
    gather, lock = evidence.snapshot, acts.locked

    def gathering(application: Application) -> Any:
        found.append("gather")
        return gather(application)

    def locking(pk: int) -> Application:
        found.append("lock")
        return lock(pk)

    monkeypatch.setattr(evidence, "snapshot", gathering)
    monkeypatch.setattr(acts, "locked", locking)
    return found


@pytest.mark.parametrize("action", ["approve", "refuse", "return"])
def test_evidence_is_gathered_once_and_before_the_lock(
    in_review: Application, rita: Account, steps: list[str], action: str
) -> None:
    pk, seen = in_review.pk, seen_now(in_review.pk)
    steps.clear()
    if action == "return":
        services.return_for_correction(pk, actor=rita, seen=seen, message="Which corpus?")
    else:
        approve = action == "approve"
        services.decide(pk, actor=rita, seen=seen, approve=approve, reason="Why.")
    assert steps == ["gather", "lock"]


def test_a_hub_client_s_decision_and_a_rule_s_gather_before_the_lock_too(
    submitted: Application,
    rita: Account,
    release: Release,
    alice: Account,
    steps: list[str],
    make_rule: Callable[..., AutomaticRule],
) -> None:
    make_rule(conditions=["history"])
    services.apply_rules(submitted.pk)
    assert steps == ["gather", "lock"]
    steps.clear()
    services.accept_request(alice, release, actor=rita)
    assert (steps[0], steps.count("gather")) == ("gather", 1)


def test_nobody_who_may_not_decide_makes_the_site_gather_evidence(
    in_review: Application, second_reviewer: Account, mallory: Account, steps: list[str]
) -> None:
    for person in (second_reviewer, mallory, in_review.applicant):
        with pytest.raises(Refusal):
            services.decide(in_review.pk, actor=person, seen="x", approve=True)
    assert "gather" not in steps


def test_what_changes_between_the_gathering_and_the_lock_refuses_the_decision(
    in_review: Application, rita: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, gather = seen_now(in_review.pk), evidence.snapshot

    def slow(application: Application) -> Any:
        found = gather(application)
        monkeypatch.setattr(evidence, "snapshot", gather)
        resubmit(in_review, rita)
        return found

    monkeypatch.setattr(evidence, "snapshot", slow)
    told = changed(lambda: services.decide(in_review.pk, actor=rita, seen=seen, approve=True))
    assert "the answers" in told
    assert state_of(in_review) == State.IN_REVIEW


# ---- The evidence of an appeal, and of a decision that was made ----------------------------------


def test_an_appeal_is_decided_on_fresh_evidence_which_is_kept(
    refused: Application, alice: Account, second_reviewer: Account
) -> None:
    services.appeal(refused.pk, actor=alice, text="Why.")
    services.claim(refused.pk, actor=second_reviewer)
    row = Application.objects.filter(pk=refused.pk)
    row.update(affiliation={**refused.affiliation, "web_page": "https://else.example/"})
    page = text(signed_in(second_reviewer), page_of(refused))
    assert "the web page is at else.example" in page
    assert "A copy is kept with your decision" in page
    assert "As it was on screen at the decision" not in page
    api = with_token(second_reviewer).get(f"/api/v1/applications/{refused.pk}/").json()
    assert "the web page is at else.example" in str(api["review"]["evidence"])
    services.decide(refused.pk, actor=second_reviewer, seen=seen_now(refused.pk), approve=True)
    first, second = refused.reviews.exclude(evidence=[])
    assert "else.example" not in str(first.evidence)
    assert "else.example" in str(second.evidence)


def test_an_appeal_that_is_withdrawn_shows_what_the_refusal_kept(
    refused: Application, alice: Account, rita: Account
) -> None:
    services.appeal(refused.pk, actor=alice, text="Why.")
    services.withdraw(refused.pk, actor=alice)
    Application.objects.filter(pk=refused.pk).update(
        affiliation={"web_page": "https://else.example"}
    )
    page = text(signed_in(rita), page_of(refused))
    assert "As it was on screen at the decision" in page
    assert "else.example" not in page.split('id="evidence"')[1].split("</section>")[0]


def test_the_page_and_the_program_show_what_was_kept_once_it_is_decided(
    approved: Application, rita: Account
) -> None:
    kept = approved.reviews.get().evidence
    row = Application.objects.filter(pk=approved.pk)
    row.update(affiliation={**approved.affiliation, "web_page": "https://else.example/"})
    told = with_token(rita).get(f"/api/v1/applications/{approved.pk}/").json()["review"]
    assert [one["finding"] for one in told["evidence"]] == [one["finding"] for one in kept]
    assert [one["at"] for one in told["evidence"]] == [one["at"] for one in kept]
    page = text(signed_in(rita), page_of(approved))
    assert "the web page is at else.example" not in page


# ---- Advice ------------------------------------------------------------------------------------


def test_advice_after_the_decision_is_refused_and_does_not_count(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    services.ask(in_review.pk, actor=rita, reviewer=second_reviewer)
    tab, address = signed_in(second_reviewer), act_of(in_review, "advise")
    seen = version_on(text(tab, page_of(in_review)))
    services.decide(in_review.pk, actor=rita, seen=seen_now(in_review.pk), approve=True)
    typed = {"advice": "refuse", "answer": "I have my doubts.", "seen": seen}
    answer = tab.post(address, typed)
    assert answer.status_code == 409
    assert "cannot change that any more" in answer.content.decode()
    assert "I have my doubts." in answer.content.decode()
    assert "asks for your review" not in text(tab, page_of(in_review))
    since = timezone.now() - timedelta(days=1)
    assert agreement(since).pairs == 0
    # A row that was written before this rule counts no more than one that was never written.
    Opinion.objects.update(advice="approve", answered_at=timezone.now())
    assert agreement(since).pairs == 0


def test_advice_counts_beside_the_decision_that_followed_it(
    in_review: Application, rita: Account, second_reviewer: Account, manager: Account
) -> None:
    """A refusal that an appeal turned round agreed with the advice to refuse."""
    services.ask(in_review.pk, actor=rita, reviewer=manager)
    pk = in_review.pk
    services.advise(pk, actor=manager, seen=seen_now(pk), advice="refuse", answer="Thin.")
    services.decide(pk, actor=rita, seen=seen_now(pk), approve=False, reason="Thin.")
    assert agreement(timezone.now() - timedelta(days=1)).same == 1
    services.appeal(pk, actor=in_review.applicant, text="Read my paper.")
    services.claim(pk, actor=second_reviewer)
    services.decide(pk, actor=second_reviewer, seen=seen_now(pk), approve=True)
    found = agreement(timezone.now() - timedelta(days=1))
    assert (found.pairs, found.same) == (2, 1)  # the advice agreed, the appeal did not


# ---- Renewals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["approve", "refuse"])
def test_a_renewal_is_decided_as_it_was_on_the_screen(
    grant: Grant, alice: Account, rita: Account, manager: Account, action: str
) -> None:
    renewal = services.ask_renewal(grant.pk, actor=alice, used_for="Probing of hidden states.")
    base = f"/admin/access_requests/renewal/{renewal.pk}"
    tab = signed_in(rita)
    seen = version_on(text(tab, f"{base}/change/"))
    services.suspend(grant.pk, actor=manager, reason="A copy was found.")
    day = f"{grant.ends_at + timedelta(days=30):%Y-%m-%d}"
    typed = {"ends_at": day, "reason": "No report of the derivatives."}
    answer = tab.post(f"{base}/act/{action}/", {**typed, "seen": seen})
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "changed since you opened it: whether the grant is open, and why" in page
    assert typed["ends_at" if action == "approve" else "reason"] in page
    renewal.refresh_from_db()
    assert renewal.status == "open"
    again = tab.post(f"{base}/act/{action}/", {**typed, "seen": version_on(page)})
    assert again.status_code == 302
    renewal.refresh_from_db()
    assert renewal.status == ("approved" if action == "approve" else "refused")
