"""The pages of those who vouch: the applicant's, the desk's, and the one behind the link."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, CoApplicant, State, Witness
from portal.accounts.models import Account
from portal.audit.models import Event
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from tests.access_requests.people import applicant, seen_now
from tests.access_requests.test_query_counts import cost
from tests.access_requests.test_witnesses import passed
from tests.access_requests.vouching import (
    OFFICIAL,
    REFEREE,
    SECRET,
    ask_for,
    confirm,
    name,
    refer,
    token_to,
)
from tests.people import signed_in, with_token

COMMENT = "The-comment-of-the-official"
WAIVER = "The-reason-of-the-manager"


def page_of(application: Application) -> str:
    return f"/applications/{application.pk}/witnesses/"


def desk_of(application: Application, act: str = "") -> str:
    base = f"/admin/access_requests/application/{application.pk}/"
    return f"{base}act/{act}/" if act else f"{base}change/"


def answers(token: str, **given: str) -> dict[str, str]:
    return {"read": services.reading_behind(token).digest, **given}


REFEREE_ANSWERS = {"relation": SECRET, "research": "yes", "against": "no"}


# ---- The applicant -------------------------------------------------------------------------------


def test_a_draft_walks_from_the_licence_over_the_people_to_the_submission(
    asking: Application,
    alice: Account,
) -> None:
    browser, page = signed_in(alice), page_of(asking)
    licence = f"/applications/{asking.pk}/licence/"
    assert page in browser.get(licence).text
    assert page in browser.get(asking.get_absolute_url()).text
    digest = asking.family.licence.current.sha256
    given = {"typed_name": alice.name, "text_sha256": digest}
    assert browser.post(licence, given).status_code == 422
    shown = browser.get(page).text
    assert "to name" in shown
    assert licence not in shown
    own = browser.post(page, {"kind": "referee", **REFEREE, "email": alice.email})
    assert own.status_code == 422
    assert "your own address" in own.text
    browser.post(page, {"kind": "official", **OFFICIAL})
    named = browser.post(page, {"kind": "referee", **REFEREE}, follow=True).text
    assert licence in named
    assert "Ralf Peer" in named
    assert browser.post(licence, given, follow=True).status_code == 200
    status = browser.get(asking.get_absolute_url()).text
    assert "We wait for your signing official, Olga Dean, asked on" in status
    assert "and for your referee, Ralf Peer, asked on" in status


def test_the_page_sends_again_and_names_another(
    waiting: Application,
    alice: Account,
    mallory: Account,
    rita: Account,
) -> None:
    browser, first = signed_in(alice), Witness.objects.get(kind="referee")
    again = f"/applications/witnesses/{first.pk}/again/"
    assert again in browser.get(page_of(waiting)).text
    assert browser.post(again).status_code == 403  # within the hour
    passed(1)
    assert "void" in browser.post(again, follow=True).text
    for other in (mallory, rita):
        assert signed_in(other).get(page_of(waiting)).status_code == 404
        given = {"kind": "referee", **REFEREE}
        assert signed_in(other).post(page_of(waiting), given).status_code == 404
    assert signed_in(mallory).post(again).status_code == 404
    assert browser.get(again).status_code == 405
    assert browser.post(page_of(waiting), {"kind": "king"}).status_code == 404
    new = {"kind": "referee", **REFEREE, "email": "rosa@elsewhere.example"}
    assert "A mail is on its way" in browser.post(page_of(waiting), new, follow=True).text


def test_where_nobody_is_asked_for_the_page_says_so(draft: Application, alice: Account) -> None:
    assert "ask for nobody" in signed_in(alice).get(page_of(draft)).text
    assert page_of(draft) not in signed_in(alice).get(draft.get_absolute_url()).text


# ---- Behind the link -----------------------------------------------------------------------------


def test_an_official_confirms_without_an_account(
    waiting: Application,
    client: Client,
) -> None:
    token = token_to(OFFICIAL["email"])
    address = f"/applications/vouch/{token}/"
    shown = client.get(address)
    assert "no-store" in shown.headers["Cache-Control"]
    for part in ("Alice Example", "University of Testing", "LLaMA 7B", "Not for commerce."):
        assert part in shown.text
    assert "negation" not in shown.text, "the research is not the official's to judge"
    assert client.post(address, answers(token)).status_code == 422
    unsigned = client.post(address, answers(token, answer="confirm"))
    assert (unsigned.status_code, "Type your name" in unsigned.text) == (422, True)
    stale = {"answer": "confirm", "typed_name": "Olga Dean", "read": "0" * 64}
    assert "corrected while you were reading" in client.post(address, stale).text
    given = answers(token, answer="confirm", typed_name="Olga Dean", comment=COMMENT)
    thanks = client.post(address, given, follow=True).text
    assert "Thank you" in thanks
    assert COMMENT not in thanks
    twice = client.post(address, {**given, "comment": "Another."})
    assert (twice.status_code, "Thank you" in twice.text) == (200, True)
    assert Witness.objects.get(kind="official").statement["comment"] == COMMENT


def test_a_referee_answers_three_questions_without_an_account(
    waiting: Application,
    client: Client,
) -> None:
    token = token_to(REFEREE["email"])
    address = f"/applications/vouch/{token}/"
    shown = client.get(address).text
    assert "How do small models represent negation?" in shown
    assert "Probing of hidden states" not in shown, "one answer is described, not all"
    assert client.post(address, answers(token, relation="Years.")).status_code == 422
    yes = {**REFEREE_ANSWERS, "against": "yes"}
    assert client.post(address, answers(token, **yes)).status_code == 422
    assert "Thank you" in client.post(address, answers(token, **REFEREE_ANSWERS), follow=True).text
    assert Witness.objects.get(kind="referee").statement["relation"] == SECRET


def test_a_referee_declines_with_one_button(
    waiting: Application,
    client: Client,
) -> None:
    token = token_to(REFEREE["email"])
    given = answers(token, decline="1", relation="half a sentence")
    thanks = client.post(f"/applications/vouch/{token}/", given, follow=True).text
    assert "chose not to answer" in thanks
    witness = Witness.objects.get(kind="referee")
    assert witness.status == Witness.Status.DECLINED
    assert "half a sentence" not in json.dumps(witness.statement)


@pytest.mark.parametrize("token", ["x", "1.a~b", "%C3%A9"])
def test_a_broken_link_says_so(client: Client, db: None, token: str) -> None:
    response = client.get(f"/applications/vouch/{token}/", headers={"accept": "text/html"})
    assert response.status_code == 403
    assert "not one of ours" in response.text


# ---- The desk ------------------------------------------------------------------------------------


def test_the_desk_sees_the_answers_sends_again_and_goes_without(
    claimed: Application,
    rita: Account,
    manager: Account,
) -> None:
    desk = signed_in(rita)
    before = desk.get(desk_of(claimed)).text
    assert "Not to be approved yet" in before
    assert "go_without" not in before, "a manager's matter"
    day = timezone.now().date() + timedelta(days=300)
    end = {"releases": [claimed.releases.get().pk], "tier": "try", "ends_at": f"{day}"}
    seen = {"seen": seen_now(claimed.pk)}
    refused = desk.post(desk_of(claimed, "approve"), {**end, **seen})
    assert (refused.status_code, "the answer is not there" in refused.text) == (409, True)
    confirm(token_to(OFFICIAL["email"]), comment=COMMENT)
    assert COMMENT in desk.get(desk_of(claimed)).text
    referee = Witness.objects.get(kind="referee")
    passed(1)
    assert desk.post(desk_of(claimed, "ask_again"), {"witness": referee.pk}).status_code == 302
    given = {"kind": "referee", "reason": WAIVER}
    assert desk.post(desk_of(claimed, "go_without"), given).status_code == 403
    boss = signed_in(manager)
    services.release(claimed.pk, actor=rita)
    assert "go_without" in boss.get(desk_of(claimed)).text
    assert boss.post(desk_of(claimed, "go_without"), {"kind": "referee"}).status_code == 422
    assert boss.post(desk_of(claimed, "go_without"), given).status_code == 302
    services.claim(claimed.pk, actor=rita)
    seen = {"seen": seen_now(claimed.pk)}
    assert desk.post(desk_of(claimed, "approve"), {**end, **seen}).status_code == 302
    claimed.refresh_from_db()
    assert claimed.state == State.APPROVED
    assert WAIVER in desk.get(desk_of(claimed)).text


def test_a_witness_of_another_application_is_not_asked_from_this_page(
    claimed: Application,
    release: Release,
    rita: Account,
) -> None:
    bob = applicant("bob")
    other = services.start(actor=bob, releases=[release], answers=claimed.answers)
    foreign = name(other, "referee")
    passed(1)
    given = {"witness": foreign.pk}
    assert signed_in(rita).post(desk_of(claimed, "ask_again"), given).status_code == 404


def test_the_tab_counts_and_lists_it(
    waiting: Application,
    rita: Account,
) -> None:
    page = signed_in(rita).get("/admin/access_requests/application/?tab=evidence").text
    assert "Waiting for evidence" in page
    assert waiting.reference in page
    confirm(token_to(OFFICIAL["email"])), refer(token_to(REFEREE["email"]))
    page = signed_in(rita).get("/admin/access_requests/application/?tab=evidence").text
    assert waiting.reference not in page


def test_the_queue_costs_the_same_with_more_who_wait(
    waiting: Application,
    release: Release,
    rita: Account,
) -> None:
    desk = signed_in(rita)

    def read() -> None:
        desk.get("/admin/access_requests/application/?tab=evidence")

    before = cost(read)
    for number in range(3):
        person = applicant(f"p{number}")
        made = services.start(actor=person, releases=[release], answers=waiting.answers)
        name(made, "official"), name(made, "referee")
        services.submit(made.pk, actor=person, typed_name=person.name)
    assert cost(read) == before


# ---- What nobody else reads ----------------------------------------------------------------------


def test_no_page_mail_or_answer_shows_the_applicant_what_was_said(
    claimed: Application,
    alice: Account,
    rita: Account,
    manager: Account,
) -> None:
    """Alice reviews too, in other cases: the desk shows her no more of her own."""
    confirm(token_to(OFFICIAL["email"]), comment=COMMENT)
    services.go_without(claimed.pk, "referee", actor=manager, reason=WAIVER)
    refer(token_to(REFEREE["email"]))
    alice.groups.set(rita.groups.all())
    alice.is_staff = True
    alice.save(update_fields=["is_staff"])
    browser, program = signed_in(alice), with_token(alice)
    shown = ""
    for state in ("before", "after"):
        for address in (
            claimed.get_absolute_url(),
            page_of(claimed),
            "/applications/",
            desk_of(claimed),
            "/admin/access_requests/application/?tab=queue",
            "/admin/access_requests/application/?state=all",
            f"/applications/vouch/{token_to(REFEREE['email'])}/",
            f"/applications/vouch/{token_to(OFFICIAL['email'])}/",
        ):
            response = browser.get(address)
            assert response.status_code == 200, address
            shown += response.text
        for address in ("applications/", f"applications/{claimed.pk}/", "applications/?queue=1"):
            shown += program.get(f"/api/v1/{address}").text
        if state == "before":
            services.decide(claimed.pk, seen=seen_now(claimed.pk), actor=rita, approve=True)
    shown += "".join(
        f"{mail.subject}{mail.body}" for mail in OutgoingMail.objects.filter(to=alice.email)
    )
    shown += json.dumps([event.data for event in Event.objects.all()])
    assert "Ralf Peer" in shown, "the pages were read"
    assert "Your referee answered" in shown
    for secret in (SECRET, COMMENT, WAIVER, "me-the-plan"):
        assert secret not in shown
    assert SECRET in signed_in(rita).get(desk_of(claimed)).text


def test_neither_a_co_applicant_who_reviews_nor_a_recused_reviewer_reads_it(
    claimed: Application,
    rita: Account,
    second_reviewer: Account,
    mallory: Account,
) -> None:
    refer(token_to(REFEREE["email"]))
    page, api = desk_of(claimed), f"/api/v1/applications/{claimed.pk}/"
    assert SECRET in signed_in(second_reviewer).get(page).text
    assert "an office" in with_token(second_reviewer).get(api).text
    member = services.invite(claimed.pk, actor=claimed.applicant, email="sam@other.test")
    CoApplicant.objects.filter(pk=member.pk).update(account=second_reviewer, status="joined")
    assert SECRET not in signed_in(second_reviewer).get(page).text
    assert with_token(second_reviewer).get(api).json()["review"] is None
    services.recuse(claimed.pk, actor=rita, reason="My student.")
    recused = signed_in(rita).get(page).text
    assert SECRET not in recused
    assert "ORCID" in recused, "the other evidence stays"
    checks = with_token(rita).get(api).json()["review"]["evidence"]
    assert "referee" not in [one["key"] for one in checks]
    assert signed_in(mallory).get(page).status_code in (302, 404)
    assert with_token(mallory).get(api).status_code == 404


# ---- REST ----------------------------------------------------------------------------------------


def test_over_rest_one_names_sees_the_state_and_sends_again(
    asking: Application,
    alice: Account,
    rita: Account,
    manager: Account,
    mallory: Account,
) -> None:
    program, base = with_token(alice), f"/api/v1/applications/{asking.pk}/"

    def post(who: Client, address: str, **given: str) -> tuple[int, dict[str, object]]:
        answer = who.post(address, given, content_type="application/json")
        return answer.status_code, answer.json()

    submission = {"typed_name": alice.name}
    status, problem = post(program, f"{base}submit/", **submission)
    assert (status, problem["code"]) == (400, "invalid")
    assert post(program, f"{base}witnesses/", kind="official", **OFFICIAL)[0] == 200
    status, problem = post(program, f"{base}witnesses/", kind="referee", **OFFICIAL)
    assert list(problem["fields"]) == ["email"]  # type: ignore[call-overload]
    assert post(program, f"{base}witnesses/", kind="referee", **REFEREE)[0] == 200
    assert post(with_token(mallory), f"{base}witnesses/", kind="referee", **REFEREE)[0] == 404
    assert post(program, f"{base}submit/", **submission)[0] == 200
    shown = program.get(base).json()
    assert shown["waits_for"] == ["official", "referee"]
    assert [(one["kind"], one["status"]) for one in shown["witnesses"]] == [
        ("official", "asked"),
        ("referee", "asked"),
    ]
    assert "statement" not in shown["witnesses"][0]
    again = f"/api/v1/witnesses/{shown['witnesses'][1]['id']}/again/"
    assert post(program, again)[1]["code"] == "too_early"
    passed(1)
    assert post(program, again)[0] == 200
    passed(1)
    assert post(with_token(rita), again)[0] == 200
    assert post(with_token(mallory), again)[0] == 404
    without = {"kind": "referee", "reason": "We know him."}
    assert post(with_token(rita), f"{base}go_without/", **without)[0] == 403
    assert post(program, f"{base}go_without/", **without)[0] == 404
    assert post(with_token(manager), f"{base}go_without/", **without)[0] == 200
    assert program.get(base).json()["waits_for"] == ["official"]
    services.claim(asking.pk, actor=rita)
    version = seen_now(asking.pk)
    missing = post(with_token(rita), f"{base}approve/", version=version)[1]
    assert missing["code"] == "evidence_missing"


def test_managers_set_it_per_release(release: Release, manager: Account, rita: Account) -> None:
    ask_for(release)
    policy = release.decision_policy
    address = reverse("admin:access_requests_decisionpolicy_change", args=[policy.pk])
    given = {"release": release.pk, "approvals": 1, "checklist": "", "asks_referee": "on"}
    given |= {"second_looks": 0, "max_grant_days": 365}
    assert signed_in(rita).post(address, given).status_code in (302, 403)
    policy.refresh_from_db()
    assert not policy.asks_referee
    assert "ask for a signing official" in signed_in(manager).get(address).text.lower()
    signed_in(manager).post(address, given)
    policy.refresh_from_db()
    assert (policy.asks_referee, policy.asks_official) == (True, False)


def test_a_submission_says_on_the_status_page_who_is_missing_after_a_lapse(
    waiting: Application,
    alice: Account,
) -> None:
    passed(31)
    services.follow_up_witnesses()
    page = signed_in(alice).get(waiting.get_absolute_url()).text
    assert "Something waits for you" in page
    assert "We wait for" not in page
    assert "did not answer in time" in page
