"""A random second look: drawn after a decision, given without knowing it, changing nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from access_requests import selectors, services
from access_requests.models import Application, DecisionPolicy, Recusal, SecondLook, State
from access_requests.services import second_looks
from portal.accounts.models import Account
from portal.accounts.roles import Role
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.access_requests.people import ANSWERS, seen_now
from tests.people import person, signed_in, with_token

REASON = "Sound plan, says the first one."
NOTE = "A note between colleagues."


@pytest.fixture
def always(release: Release) -> DecisionPolicy:
    return DecisionPolicy.objects.create(release=release, second_looks=100)


@pytest.fixture
def sam(second_reviewer: Account) -> Account:
    return second_reviewer


@pytest.fixture
def look(always: DecisionPolicy, sam: Account, in_review: Application, rita: Account) -> SecondLook:
    services.note(in_review.pk, actor=rita, body=NOTE)
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True, reason=REASON
    )
    return SecondLook.objects.get()


def test_without_a_policy_nothing_is_drawn(sam: Account, approved: Application) -> None:
    assert not SecondLook.objects.exists()
    assert not Event.objects.filter(verb=Verb.SECOND_LOOK_DRAWN).exists()


def test_the_lot_decides_and_is_on_record(
    always: DecisionPolicy,
    sam: Account,
    in_review: Application,
    rita: Account,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    DecisionPolicy.objects.update(second_looks=30)
    monkeypatch.setattr(second_looks, "_lot", lambda review: 30)
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=False, reason="No."
    )
    assert not SecondLook.objects.exists()
    event = Event.objects.get(verb=Verb.SECOND_LOOK_DRAWN)
    assert event.data == {"percent": 30, "lot": 30, "reviewer": None}
    assert event.actor is None


def test_a_lot_below_the_percentage_asks(
    always: DecisionPolicy,
    sam: Account,
    in_review: Application,
    rita: Account,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    DecisionPolicy.objects.update(second_looks=30)
    monkeypatch.setattr(second_looks, "_lot", lambda review: 29)
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=False, reason="No."
    )
    assert SecondLook.objects.get().reviewer == sam


@pytest.mark.parametrize(("approve", "status"), [(True, "accepted"), (False, "rejected")])
def test_no_list_of_the_hub_tells_who_looks_again_what_was_decided(
    always: DecisionPolicy,
    sam: Account,
    in_review: Application,
    rita: Account,
    approve: bool,
    status: selectors.HubStatus,
) -> None:
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=approve, reason=REASON
    )
    release = in_review.releases.get()

    def listed(account: Account) -> int:
        return len(selectors.hub_requests(account, release, status, limit=10)[0])

    assert (listed(rita), listed(sam)) == (1, 0)
    look = SecondLook.objects.get(reviewer=sam)
    services.look_again(look.pk, actor=sam, outcome="approve", reason=REASON)
    assert listed(sam) == 1


def test_lots_are_spread_over_the_hundred() -> None:
    class Row:
        def __init__(self, pk: int) -> None:
            self.pk = pk

    lots = [second_looks._lot(Row(pk)) for pk in range(2000)]  # type: ignore[arg-type]
    assert set(lots) == set(range(100))
    assert 120 < sum(lot < 10 for lot in lots) < 290


def test_it_asks_who_had_nothing_to_do_with_it(look: SecondLook, sam: Account) -> None:
    assert look.reviewer == sam
    mail = OutgoingMail.objects.get(template="second_look_asked")
    assert mail.to == sam.email
    for word in (REASON, "Rita", "approved", NOTE):
        assert word not in mail.body


@pytest.mark.parametrize("why", ["asked", "noted", "recused", "manager", "auditor"])
def test_it_asks_nobody_who_knows(
    always: DecisionPolicy, sam: Account, in_review: Application, rita: Account, why: str
) -> None:
    match why:
        case "asked":
            services.ask(in_review.pk, actor=rita, reviewer=sam)
        case "noted":
            services.note(in_review.pk, actor=sam, body="I know them.")
        case "recused":
            services.recuse(in_review.pk, actor=sam, reason="We share a flat.")
        case "manager" | "auditor":  # who reads the log, or may
            role = Role.MANAGER if why == "manager" else Role.AUDITOR
            from django.contrib.auth.models import Group

            sam.groups.add(Group.objects.get(name=role.value))
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    assert not SecondLook.objects.exists()
    assert Event.objects.get(verb=Verb.SECOND_LOOK_DRAWN).data["reviewer"] is None


def test_the_least_loaded_is_asked(
    always: DecisionPolicy,
    look: SecondLook,
    rita: Account,
    applied_by: Callable[..., Application],
) -> None:
    tim = person("tim", Role.REVIEWER)
    bob = person("bob")
    _affiliate(bob)
    applied_by(bob, until="approved")
    assert SecondLook.objects.exclude(pk=look.pk).get().reviewer == tim


def _affiliate(account: Account) -> None:
    from portal.accounts.models import Affiliation

    Affiliation.objects.create(
        account=account, category="academia", institution="U", country="NL", position="PhD"
    )


def test_an_appeal_is_a_second_look_already(
    always: DecisionPolicy, sam: Account, refused: Application, alice: Account, manager: Account
) -> None:
    first = SecondLook.objects.get()
    services.look_again(first.pk, actor=sam, outcome="refuse", reason="So would I.")
    services.appeal(refused.pk, actor=alice, text="Please.")
    services.claim(refused.pk, actor=manager)
    services.decide(refused.pk, seen=seen_now(refused.pk), actor=manager, approve=True)
    assert SecondLook.objects.count() == 1


# ---- Blindness -----------------------------------------------------------------------------------


def addresses(look: SecondLook) -> list[str]:
    pk, grant = look.application_id, look.application.grants.get().pk
    return [
        "/admin/access_requests/application/?tab=queue",
        "/admin/access_requests/application/?state=all",
        "/admin/access_requests/application/?state=approved",
        "/admin/access_requests/application/?state=all&q=alice",
        f"/admin/access_requests/application/{pk}/change/",
        f"/admin/access_requests/application/{pk}/history/",
        f"/admin/access_requests/application/{pk}/next/",
        "/admin/access_requests/application/?state=all&claim=others",
        "/admin/access_requests/grant/",
        f"/admin/access_requests/grant/{grant}/change/",
        f"/admin/access_requests/grant/{grant}/history/",
        "/admin/access_requests/renewal/?state=all",
        "/admin/access_requests/coapplicant/?state=all",
        "/admin/access_requests/secondlook/",
        f"/admin/access_requests/secondlook/{look.pk}/change/",
        f"/admin/access_requests/secondlook/{look.pk}/history/",
        f"/applications/{pk}/",
        f"/api/v1/applications/{pk}/",
        "/api/v1/applications/?queue=1",
        "/api/v1/grants/?all=1",
        f"/admin/accounts/account/{look.application.applicant_id}/change/",
    ]


def visit(account: Account, address: str) -> Any:
    """By the browser, or where programs go by a token that may all."""
    client = with_token(account) if address.startswith("/api/") else signed_in(account)
    return client.get(address, follow=True)


def traces(look: SecondLook) -> tuple[str, ...]:
    grant = look.application.grants.get()
    return (
        REASON, NOTE, "Rita", "rita@lab.test", f"G-{grant.pk:06d}", f"{grant.ends_at:%Y-%m-%d}",
        "Approved by", '"state":"approved"', '"state": "approved"',
    )  # fmt: skip


def test_no_page_of_the_second_one_shows_a_trace_of_the_decision(
    look: SecondLook, sam: Account
) -> None:
    for address in addresses(look):
        page = visit(sam, address)
        assert page.status_code in (200, 403, 404), address
        for trace in traces(look):
            assert trace not in page.text, (address, trace)


def test_the_traces_are_there_for_others_or_that_proves_nothing(
    look: SecondLook, manager: Account
) -> None:
    text = "".join(visit(manager, address).text for address in addresses(look))
    assert [trace for trace in traces(look)[:5] if trace not in text] == []


def test_the_application_s_page_leads_to_the_second_look(look: SecondLook, sam: Account) -> None:
    page = signed_in(sam).get(f"/admin/access_requests/application/{look.application_id}/change/")
    assert page.status_code == 403
    assert f"/admin/access_requests/secondlook/{look.pk}/change/" in page.text


def test_it_shows_the_application_as_it_was(look: SecondLook, sam: Account, alice: Account) -> None:
    alice.affiliation.institution = "Another place"  # type: ignore[attr-defined]
    alice.affiliation.save()  # type: ignore[attr-defined]
    page = signed_in(sam).get(f"/admin/access_requests/secondlook/{look.pk}/change/").text
    assert ANSWERS["research_purpose"] in page
    assert "University of Testing" in page
    assert "Another place" not in page
    assert look.review.evidence
    assert look.review.evidence[0]["finding"] in page


def test_while_it_is_open_its_reviewer_takes_no_part_in_an_appeal(
    always: DecisionPolicy, sam: Account, refused: Application, alice: Account, manager: Account
) -> None:
    services.appeal(refused.pk, actor=alice, text="Please.")
    assert refused.pk not in {one.pk for one in selectors.review_queue(sam)}
    assert selectors.next_for(sam) is None
    assert selectors.tab_counts(sam)["queue"] == 0
    assert selectors.tab_counts(manager)["queue"] == 1
    with pytest.raises(Refusal) as refusal:
        services.claim(refused.pk, actor=sam)
    assert refusal.value.code == Code.NOT_ALLOWED
    assert sam not in selectors.colleagues(refused)


# ---- The answer ----------------------------------------------------------------------------------


def post(account: Account, look: SecondLook, act: str, **data: str) -> Any:
    return signed_in(account).post(f"/admin/access_requests/secondlook/{look.pk}/act/{act}/", data)


@pytest.mark.parametrize("outcome", ["approve", "refuse", "return"])
def test_the_answer_is_kept_and_changes_nothing(
    look: SecondLook, sam: Account, outcome: str
) -> None:
    mails = OutgoingMail.objects.count()
    before = Application.objects.filter(pk=look.application_id).values().get()
    assert post(sam, look, "look", outcome=outcome, reason="It is thin.").status_code == 302
    look.refresh_from_db()
    assert (look.outcome, look.reason) == (outcome, "It is thin.")
    assert Application.objects.filter(pk=look.application_id).values().get() == before
    assert OutgoingMail.objects.count() == mails
    event = Event.objects.get(verb=Verb.SECOND_LOOK_GIVEN)
    assert (event.actor, event.data) == (sam, {"outcome": outcome})
    page = signed_in(sam).get(f"/admin/access_requests/application/{look.application_id}/change/")
    assert REASON in page.text


def test_it_is_given_once_with_a_reason_and_by_nobody_else(
    look: SecondLook, sam: Account, rita: Account, manager: Account, alice: Account
) -> None:
    assert post(sam, look, "look", outcome="approve", reason=" ").status_code == 422
    assert post(sam, look, "look", outcome="perhaps", reason="r").status_code == 422
    for other in (rita, manager):
        assert post(other, look, "look", outcome="refuse", reason="r").status_code == 404
    assert post(alice, look, "look", outcome="refuse", reason="r").status_code == 302  # sign in
    with pytest.raises(Refusal) as denied:
        services.look_again(look.pk, actor=rita, outcome="refuse", reason="r")
    assert denied.value.code == Code.NOT_FOUND
    look.refresh_from_db()
    assert look.outcome == ""
    assert post(sam, look, "look", outcome="approve", reason="Yes.").status_code == 302
    assert post(sam, look, "look", outcome="refuse", reason="No.").status_code == 409
    look.refresh_from_db()
    assert look.outcome == "approve"


def test_whoever_has_a_conflict_hands_it_to_another(look: SecondLook, sam: Account) -> None:
    tim = person("tim", Role.REVIEWER)
    assert post(sam, look, "decline", conflict="").status_code == 422
    assert post(sam, look, "decline", conflict="We share a flat.").status_code == 302
    look.refresh_from_db()
    assert (look.reviewer, look.outcome) == (tim, "")
    assert Recusal.objects.get().reviewer == sam
    assert OutgoingMail.objects.filter(template="second_look_asked", to=tim.email).exists()
    services.decline_look(look.pk, actor=tim, reason="So do I.")
    look.refresh_from_db()
    assert look.outcome == "recused"
    assert selectors.fairness_of(365).blind.pairs == 0


def test_the_list_says_what_waits_and_helps_when_nothing_does(
    look: SecondLook, sam: Account, rita: Account
) -> None:
    here = "/admin/access_requests/secondlook/"
    assert "1 waits for you" in signed_in(sam).get(here).text
    assert "Nobody asked you for one yet" in signed_in(rita).get(here).text
    assert look.application.reference not in signed_in(rita).get(here).text
    services.look_again(look.pk, actor=sam, outcome="approve", reason="Yes.")
    assert "Nothing waits for you" in signed_in(sam).get(here).text


def test_managers_read_the_answers_once_given(
    look: SecondLook, sam: Account, manager: Account, rita: Account
) -> None:
    path = f"/admin/access_requests/secondlook/{look.pk}/change/"
    assert signed_in(manager).get(path).status_code == 404
    services.look_again(look.pk, actor=sam, outcome="refuse", reason="Too thin for me.")
    assert "Too thin for me." in signed_in(manager).get(path).text
    assert "Sam Example would refuse" in signed_in(manager).get(path).text
    assert signed_in(rita).get(path).status_code == 404


def test_agreement_counts_on_the_fairness_page(
    always: DecisionPolicy,
    sam: Account,
    rita: Account,
    manager: Account,
    applied_by: Callable[..., Application],
) -> None:
    answers = ["approve", "approve", "approve", "refuse", "return"]
    for number, answer in enumerate(answers):
        applicant = person(f"p{number}")
        _affiliate(applicant)
        applied_by(applicant, until="approved")
        look = SecondLook.objects.latest("pk")
        services.look_again(look.pk, actor=sam, outcome=answer, reason="r")
    report = selectors.fairness_of(365)
    assert (report.blind.pairs, report.blind.same) == (5, 3)
    assert (report.agreement.pairs, report.agreement.same) == (5, 3)
    page = signed_in(manager).get("/admin/access_requests/application/fairness/").text
    assert "3 came to the same result, 60 %" in page


def test_the_applicant_never_hears_of_it(look: SecondLook, sam: Account, alice: Account) -> None:
    services.look_again(look.pk, actor=sam, outcome="refuse", reason="Too thin for me.")
    for address in (f"/applications/{look.application_id}/", "/applications/"):
        page = signed_in(alice).get(address).text
        assert "Too thin" not in page
        assert "econd look" not in page
    told = with_token(alice).get(f"/api/v1/applications/{look.application_id}/").text
    assert "Too thin" not in told
    look.application.refresh_from_db()
    assert look.application.state == State.APPROVED
