"""Those who vouch: named by the applicant, asked by mail, read by reviewers alone."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access_requests import evidence, selectors, services
from access_requests.models import Application, CoApplicant, Review, State, Witness
from portal.accounts.models import Account, Affiliation
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from portal.mail.services import GIVE_UP_AFTER
from portal.refusals import Code
from tests.access_requests.conftest import another_release
from tests.access_requests.people import ANSWERS, applicant, denials, mails_to, seen_now, verbs
from tests.access_requests.test_submit import refusal_of
from tests.access_requests.vouching import (
    OFFICIAL,
    REFEREE,
    REFERENCE,
    SECRET,
    ask_for,
    confirm,
    decide,
    mails,
    name,
    refer,
    submit,
    token_to,
)

Status = Witness.Status


def check(application: Application, key: str) -> evidence.Check:
    return next(one for one in evidence.gather(application) if one.key == key)


def passed(days: float) -> None:
    """As if the mails had left so much earlier."""
    earlier = timedelta(days=days)
    for one in Witness.objects.exclude(asked_at=None):
        assert one.asked_at
        assert one.expires_at
        one.asked_at, one.expires_at = one.asked_at - earlier, one.expires_at - earlier
        one.save()


# ---- Naming --------------------------------------------------------------------------------------


def test_a_submission_asks_for_the_people_that_the_release_asks_for(asking: Application) -> None:
    refusal = refusal_of(submit, asking)
    assert (refusal.code, list(refusal.fields)) == (Code.INVALID, ["witnesses"])
    assert refusal.url == f"/applications/{asking.pk}/witnesses/"
    name(asking, "official")
    assert "referee" in refusal_of(submit, asking).detail
    name(asking, "referee")
    assert mails(OFFICIAL["email"]) == [], "nobody is asked about a draft"
    assert submit(asking).state == State.SUBMITTED
    assert mails(OFFICIAL["email"]) == ["official_asked"]
    assert mails(REFEREE["email"]) == ["referee_asked"]


def test_a_release_that_asks_for_nobody_takes_nobody(draft: Application) -> None:
    refusal = refusal_of(name, draft, "referee")
    assert list(refusal.fields) == ["kind"]
    assert submit(draft).state == State.SUBMITTED
    assert [one.key for one in evidence.gather(draft) if one.key in ("official", "referee")] == []


def test_who_is_named_in_a_draft_can_be_corrected(asking: Application) -> None:
    first = name(asking, "referee")
    again = name(asking, "referee", email="ralf@right.example")
    assert (again.pk, again.email) == (first.pk, "ralf@right.example")
    assert asking.witnesses.count() == 1


@pytest.mark.parametrize(
    "address",
    ["alice@lab.test", "ALICE@LAB.TEST", "alice+ref@lab.test", "second@lab.test", "bob@lab.test"],
)
def test_nobody_vouches_for_themself_or_for_their_lab(asking: Application, address: str) -> None:
    alice = asking.applicant
    alice.emailaddress_set.create(email="second@lab.test", verified=False)  # type: ignore[attr-defined]
    services.invite(asking.pk, actor=alice, email="bob@lab.test")
    assert list(refusal_of(name, asking, "referee", email=address).fields) == ["email"]
    assert not asking.witnesses.exists()


def test_a_co_applicant_is_known_by_each_of_their_addresses(asking: Application) -> None:
    bob = applicant("bob")
    bob.emailaddress_set.create(email="bob@home.test", verified=True)  # type: ignore[attr-defined]
    member = services.invite(asking.pk, actor=asking.applicant, email=bob.email)
    CoApplicant.objects.filter(pk=member.pk).update(account=bob, status="joined")
    assert "email" in refusal_of(name, asking, "official", email="bob@home.test").fields
    services.remove(member.pk, actor=asking.applicant)
    assert name(asking, "official", email="bob@home.test").pk


def test_what_does_not_fit_is_named_field_by_field(asking: Application) -> None:
    refusal = refusal_of(name, asking, "referee", name=" ", email="nobody", position="")
    assert set(refusal.fields) == {"name", "email", "position"}
    assert "name" in refusal_of(name, asking, "referee", name="ALICE  example").fields
    for lure in ("You won, see http://a.test", "write to win@a.test", "WWW.A.TEST"):
        assert "name" in refusal_of(name, asking, "referee", name=lure).fields
    name(asking, "official")
    one_for_both = refusal_of(name, asking, "referee", email=OFFICIAL["email"])
    assert list(one_for_both.fields) == ["email"]


def test_who_vouches_cannot_be_invited_to_apply(asking: Application) -> None:
    name(asking, "referee")
    alice = asking.applicant
    refusal = refusal_of(services.invite, asking.pk, actor=alice, email=REFEREE["email"])
    assert "vouches" in refusal.detail


def test_only_the_applicant_names(
    asking: Application, rita: Account, manager: Account, mallory: Account
) -> None:
    for other in (rita, manager, mallory):
        refusal = refusal_of(services.name_witness, asking.pk, "referee", actor=other, **REFEREE)
        assert refusal.code == Code.NOT_FOUND
    assert len(denials(asking)) == 3
    assert not asking.witnesses.exists()


# ---- Answering -----------------------------------------------------------------------------------


def test_an_approval_waits_for_both_answers(claimed: Application, rita: Account) -> None:
    refusal = refusal_of(decide, claimed, rita)
    assert (refusal.code, refusal.status) == (Code.EVIDENCE_MISSING, 409)
    assert "signing official and a referee" in refusal.detail
    confirm(token_to(OFFICIAL["email"]))
    assert "referee" in refusal_of(decide, claimed, rita).detail
    refer(token_to(REFEREE["email"]))
    assert decide(claimed, rita).state == State.APPROVED
    assert {Verb.WITNESS_NAMED, Verb.WITNESS_ASKED, Verb.WITNESS_ANSWERED} <= set(verbs(claimed))
    said = [event.data for event in Event.objects.filter(verb=Verb.WITNESS_ANSWERED)]
    assert [set(data) for data in said] == [{"witness", "kind"}] * 2


def test_refusing_and_returning_never_wait(
    waiting: Application, rita: Account, second_reviewer: Account
) -> None:
    services.claim(waiting.pk, actor=rita)
    services.return_for_correction(
        waiting.pk, seen=seen_now(waiting.pk), actor=rita, message="Which corpus?"
    )
    submit(waiting)
    refused = services.decide(
        waiting.pk, seen=seen_now(waiting.pk), actor=rita, approve=False, reason="No plan."
    )
    assert refused.state == State.REFUSED


def test_only_the_releases_that_ask_are_held_back(
    claimed: Application, release: Release, rita: Account
) -> None:
    other = another_release(release, "13b")
    claimed.releases.add(other)
    assert refusal_of(decide, claimed, rita).code == Code.EVIDENCE_MISSING
    assert decide(claimed, rita, releases=[other]).state == State.APPROVED


def test_the_answer_is_evidence_and_kept_with_the_decision(
    claimed: Application, rita: Account
) -> None:
    assert check(claimed, "official").result == "neutral"
    confirm(token_to(OFFICIAL["email"]), comment="Our cluster is ready.")
    official = check(claimed, "official")
    assert official.result == "supports"
    for part in ("Olga Dean", "meta/llama-7b", "version 1", "Our cluster", "belong together"):
        assert part in official.finding
    refer(token_to(REFEREE["email"]))
    referee = check(claimed, "referee")
    assert (referee.result, SECRET in referee.finding) == ("supports", True)
    assert referee.source
    assert referee.limits
    decide(claimed, rita)
    kept = {one["key"]: one["finding"] for one in Review.objects.get().evidence}
    assert SECRET in kept["referee"]
    assert "Our cluster" in kept["official"]


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"research": "no"}, "real and theirs: No."),
        ({"research": "unknown"}, "They cannot say."),
        ({"against": True, "against_more": "He sold weights."}, "He sold weights."),
    ],
)
def test_a_doubtful_reference_asks_for_attention(
    waiting: Application, changed: dict[str, object], part: str
) -> None:
    refer(token_to(REFEREE["email"]), **changed)
    found = check(waiting, "referee")
    assert (found.result, part in found.finding) == ("attention", True)


@pytest.mark.parametrize(
    ("email", "result"),
    [
        ("dean@cs.testing.example", "supports"),
        ("dean@other.example", "attention"),
        ("dean.testing@gmail.com", "attention"),
    ],
)
def test_the_officials_mail_domain_is_evidence_and_no_rule(
    asking: Application, email: str, result: str
) -> None:
    name(asking, "official", email=email), name(asking, "referee")
    submitted = submit(asking)
    confirm(token_to(email))
    assert check(submitted, "official").result == result


def test_a_changed_description_is_told_beside_the_reference(
    claimed: Application, rita: Account
) -> None:
    refer(token_to(REFEREE["email"]))
    assert "changed since" not in check(claimed, "referee").finding
    services.return_for_correction(
        claimed.pk, seen=seen_now(claimed.pk), actor=rita, message="Which corpus?"
    )
    alice = claimed.applicant
    services.save_draft(claimed.pk, actor=alice, answers={"research_purpose": "Another plan."})
    assert "changed since" not in check(claimed, "referee").finding, "nobody has seen it yet"
    submit(claimed)
    claimed.refresh_from_db()
    assert "changed since" in check(claimed, "referee").finding


def test_an_official_who_declines_needs_a_reason_and_opens_nothing(
    claimed: Application, alice: Account, rita: Account
) -> None:
    token = token_to(OFFICIAL["email"])
    assert "comment" in refusal_of(confirm, token, confirms=False).fields
    confirm(token, confirms=False, comment="He left us.")
    assert check(claimed, "official").result == "attention"
    assert "He left us." in check(claimed, "official").finding
    refer(token_to(REFEREE["email"]))
    assert refusal_of(decide, claimed, rita).code == Code.EVIDENCE_MISSING
    assert mails_to(alice)[-2:] == ["witness_declined", "witness_answered"]
    name(claimed, "official", name="Otto Provost", email="provost@testing.example")
    confirm(token_to("provost@testing.example"))
    assert "Before: Olga Dean" in check(claimed, "official").finding
    assert decide(claimed, rita).state == State.APPROVED


def test_an_answer_has_to_be_whole(waiting: Application) -> None:
    official, referee = token_to(OFFICIAL["email"]), token_to(REFEREE["email"])
    assert "typed_name" in refusal_of(confirm, official, typed_name=" ").fields
    assert "relation" in refusal_of(refer, referee, relation=" ").fields
    assert "research" in refusal_of(refer, referee, research="maybe").fields
    assert "against_more" in refusal_of(refer, referee, against=True).fields
    assert set(Witness.objects.values_list("status", flat=True)) == {Status.ASKED}


def test_a_referee_may_decline_and_another_is_named(waiting: Application) -> None:
    token = token_to(REFEREE["email"])
    services.decline_reference(token, read=services.reading_behind(token).digest)
    assert check(waiting, "referee").result == "attention"
    assert refusal_of(services.reading_behind, token).code == Code.EXPIRED
    name(waiting, "referee", email="rosa@elsewhere.example")
    assert mails("rosa@elsewhere.example") == ["referee_asked"]


def test_a_link_of_one_kind_is_not_the_others(waiting: Application) -> None:
    digest = services.reading_behind(token_to(OFFICIAL["email"])).digest
    wrong = refusal_of(
        services.give_reference, token_to(OFFICIAL["email"]), read=digest, **REFERENCE
    )
    assert wrong.code == Code.EXPIRED
    assert Witness.objects.get(kind="official").status == Status.ASKED


def test_what_was_corrected_meanwhile_is_read_again(claimed: Application, rita: Account) -> None:
    token = token_to(REFEREE["email"])
    old = services.reading_behind(token).digest
    services.return_for_correction(
        claimed.pk, seen=seen_now(claimed.pk), actor=rita, message="Which corpus?"
    )
    alice = claimed.applicant
    services.save_draft(claimed.pk, actor=alice, answers={"research_purpose": "Another plan."})
    assert services.reading_behind(token).digest == old, "nobody reads what is being typed"
    submit(claimed)
    late = refusal_of(services.give_reference, token, read=old, **REFERENCE)
    assert late.code == Code.CONFLICT
    refer(token)


def test_an_official_who_confirmed_less_is_asked_again(
    claimed: Application, release: Release, rita: Account
) -> None:
    other = another_release(release, "13b")
    confirm(token_to(OFFICIAL["email"]))
    services.return_for_correction(
        claimed.pk, seen=seen_now(claimed.pk), actor=rita, message="The bigger one too?"
    )
    alice = claimed.applicant
    services.save_draft(claimed.pk, actor=alice, releases=[release, other])
    submit(claimed)
    assert mails(OFFICIAL["email"]) == ["official_asked"] * 2
    assert "official" in refusal_of(decide, claimed, rita).detail
    confirm(token_to(OFFICIAL["email"]))
    refer(token_to(REFEREE["email"]))
    assert decide(claimed, rita).state == State.APPROVED


# ---- The link ------------------------------------------------------------------------------------


def test_a_link_opens_once_whole_and_in_time(waiting: Application) -> None:
    token = token_to(REFEREE["email"])
    for broken in ("", "x", "é", token[:-1], token + "a", "1.a~b", "x" * 300):
        assert refusal_of(services.reading_behind, broken).code == Code.SIGNATURE_INVALID
    passed(29.9)
    assert services.reading_behind(token)
    passed(0.2)
    assert refusal_of(services.reading_behind, token).code == Code.EXPIRED
    passed(-1)
    refer(token)
    assert refusal_of(services.reading_behind, token).code == Code.EXPIRED
    assert refusal_of(refer_blind, token).code == Code.EXPIRED


def refer_blind(token: str) -> Witness:
    return services.give_reference(token, read="", **REFERENCE)


def test_a_mail_sent_again_ends_the_older_link_and_goes_once_an_hour(
    waiting: Application, alice: Account, rita: Account, mallory: Account
) -> None:
    token, witness = token_to(REFEREE["email"]), Witness.objects.get(kind="referee")
    assert refusal_of(services.ask_again, witness.pk, actor=alice).code == Code.TOO_EARLY
    for number in range(4):
        passed(0.05)
        services.ask_again(witness.pk, actor=(alice, rita)[number % 2])
    assert refusal_of(services.reading_behind, token).code == Code.EXPIRED
    assert services.reading_behind(token_to(REFEREE["email"]))
    passed(0.05)
    assert refusal_of(services.ask_again, witness.pk, actor=rita).code == Code.WRONG_STATE
    assert refusal_of(services.ask_again, witness.pk, actor=mallory).code == Code.NOT_FOUND
    assert mails(REFEREE["email"]) == ["referee_asked"] * 5


def test_who_answered_is_not_asked_again_nor_replaced(waiting: Application, alice: Account) -> None:
    witness = refer(token_to(REFEREE["email"]))
    passed(1)
    assert refusal_of(services.ask_again, witness.pk, actor=alice).code == Code.WRONG_STATE
    assert refusal_of(name, waiting, "referee").code == Code.WRONG_STATE


def test_naming_another_ends_the_link_of_who_was_asked(
    waiting: Application, alice: Account
) -> None:
    token, first = token_to(REFEREE["email"]), Witness.objects.get(kind="referee")
    name(waiting, "referee", email="rosa@elsewhere.example")
    assert "Nobody waits" in refusal_of(services.reading_behind, token).detail
    passed(1)
    assert refusal_of(services.ask_again, first.pk, actor=alice).code == Code.WRONG_STATE
    for number in range(3):
        name(waiting, "referee", email=f"r{number}@elsewhere.example")
    assert refusal_of(name, waiting, "referee", email="r9@elsewhere.example").code == (
        Code.WRONG_STATE
    )
    assert "Before: Ralf Peer" in check(waiting, "referee").finding


@pytest.mark.parametrize("end", ["withdrawn", "refused", "approved", "closed"])
def test_outstanding_links_end_with_the_application(
    claimed: Application, rita: Account, manager: Account, end: str
) -> None:
    token, alice = token_to(REFEREE["email"]), claimed.applicant
    confirm(token_to(OFFICIAL["email"]))
    if end == "withdrawn":
        services.withdraw(claimed.pk, actor=alice)
    elif end == "refused":
        services.decide(
            claimed.pk, seen=seen_now(claimed.pk), actor=rita, approve=False, reason="No."
        )
    elif end == "approved":
        services.go_without(claimed.pk, "referee", actor=manager, reason="We know him.")
        decide(claimed, rita)
    else:
        Account.objects.filter(pk=alice.pk).update(is_active=False)
    assert "Nobody waits" in refusal_of(services.reading_behind, token).detail
    assert refusal_of(refer_blind, token).code == Code.EXPIRED
    witness = Witness.objects.get(kind="referee")
    assert witness.statement == {}
    if end != "closed":
        assert witness.status == Status.CANCELLED
        assert refusal_of(services.ask_again, witness.pk, actor=alice).code == Code.WRONG_STATE
    passed(10)
    assert services.follow_up_witnesses() == 0
    passed(21)
    assert mails(REFEREE["email"]) == ["referee_asked"]


def test_after_an_appeal_people_can_be_named_again(
    claimed: Application, rita: Account, second_reviewer: Account
) -> None:
    services.decide(claimed.pk, seen=seen_now(claimed.pk), actor=rita, approve=False, reason="No.")
    services.appeal(claimed.pk, actor=claimed.applicant, text="It was a misunderstanding.")
    services.claim(claimed.pk, actor=second_reviewer)
    assert refusal_of(decide, claimed, second_reviewer).code == Code.EVIDENCE_MISSING
    name(claimed, "official"), name(claimed, "referee")
    confirm(token_to(OFFICIAL["email"])), refer(token_to(REFEREE["email"]))
    assert decide(claimed, second_reviewer).state == State.APPROVED


# ---- Time passes ---------------------------------------------------------------------------------


def test_a_reminder_after_a_week_with_the_same_link_once(waiting: Application) -> None:
    token = token_to(REFEREE["email"])
    passed(6.9)
    assert services.follow_up_witnesses() == 0
    passed(0.2)
    assert services.follow_up_witnesses() == 2
    assert services.follow_up_witnesses() == 0
    assert mails(REFEREE["email"]) == ["referee_asked", "witness_reminder"]
    assert token_to(REFEREE["email"]) == token
    refer(token)


def test_no_answer_in_thirty_days_lapses_and_the_applicant_is_told(
    waiting: Application, alice: Account
) -> None:
    token = token_to(REFEREE["email"])
    confirm(token_to(OFFICIAL["email"]))
    passed(30.1)
    assert services.follow_up_witnesses() == 1
    assert services.follow_up_witnesses() == 0
    assert mails_to(alice)[-1] == "witness_lapsed"
    assert refusal_of(services.reading_behind, token).code == Code.EXPIRED
    witness = Witness.objects.get(kind="referee")
    assert witness.status == Status.LAPSED
    services.ask_again(witness.pk, actor=alice)
    refer(token_to(REFEREE["email"]))


def test_a_mail_that_never_leaves_is_told_and_another_can_be_named(
    waiting: Application, alice: Account
) -> None:
    dead = Witness.objects.get(kind="referee").mail
    assert dead is not None
    OutgoingMail.objects.filter(pk=dead.pk).update(attempts=GIVE_UP_AFTER - 1, sent_at=None)
    OutgoingMail.objects.exclude(pk=dead.pk).update(sent_at=timezone.now())
    assert services.follow_up_witnesses() == 0
    OutgoingMail.objects.filter(pk=dead.pk).update(attempts=GIVE_UP_AFTER)
    assert services.follow_up_witnesses() == 1
    assert Witness.objects.get(kind="referee").status == Status.BOUNCED
    assert mails_to(alice)[-1] == "witness_unreachable"
    name(waiting, "referee", email="ralf@right.example")
    assert mails("ralf@right.example") == ["referee_asked"]


# ---- Going without -------------------------------------------------------------------------------


def test_a_manager_goes_without_with_a_reason_that_is_kept(
    claimed: Application, rita: Account, manager: Account
) -> None:
    confirm(token_to(OFFICIAL["email"]))
    go = services.go_without
    assert "reason" in refusal_of(go, claimed.pk, "referee", actor=manager, reason=" ").fields
    go(claimed.pk, "referee", actor=manager, reason="We know him.")
    again = refusal_of(go, claimed.pk, "referee", actor=manager, reason="Twice.")
    assert again.code == Code.WRONG_STATE
    assert decide(claimed, rita).state == State.APPROVED
    kept = next(one for one in Review.objects.get().evidence if one["key"] == "referee")
    assert "Mona Example goes without" in kept["finding"]
    assert "We know him." in kept["finding"]
    assert Verb.EVIDENCE_WAIVED in verbs(claimed)


def test_nobody_else_goes_without(
    claimed: Application, alice: Account, rita: Account, manager: Account, mallory: Account
) -> None:
    go = services.go_without
    for other, code in (
        (alice, Code.NOT_FOUND),
        (mallory, Code.NOT_FOUND),
        (rita, Code.NOT_ALLOWED),
    ):
        refusal = refusal_of(go, claimed.pk, "referee", actor=other, reason="I want to.")
        assert refusal.code == code
    services.recuse(claimed.pk, actor=manager, reason="My student.")
    recused = refusal_of(go, claimed.pk, "referee", actor=manager, reason="My student.")
    assert recused.code == Code.NOT_ALLOWED
    assert not claimed.waivers.exists()


def test_a_manager_does_not_go_without_for_themself(
    release: Release, manager: Account, rita: Account
) -> None:
    ask_for(release, referee=True)
    Affiliation.objects.create(
        account=manager, category="academia", institution="X", country="NL", position="Y"
    )
    made = services.start(actor=manager, releases=[release], answers=ANSWERS)
    name(made, "referee"), submit(made)
    refusal = refusal_of(services.go_without, made.pk, "referee", actor=manager, reason="Me.")
    assert refusal.code in (Code.NOT_ALLOWED, Code.NOT_FOUND)
    assert not made.waivers.exists()


def test_who_vouched_does_not_decide(
    asking: Application, rita: Account, second_reviewer: Account
) -> None:
    name(asking, "official"), name(asking, "referee", email=second_reviewer.email)
    submit(asking)
    refer(token_to(second_reviewer.email))
    refusal = refusal_of(services.claim, asking.pk, actor=second_reviewer)
    assert (refusal.code, "witness" in refusal.detail) == (Code.NOT_ALLOWED, True)
    assert services.claim(asking.pk, actor=rita).claimed_by == rita
    handed = refusal_of(services.assign, asking.pk, actor=rita, reviewer=second_reviewer)
    assert handed.code == Code.INVALID
    assert second_reviewer not in selectors.colleagues(asking)


def test_being_named_alone_keeps_no_reviewer_away(
    asking: Application, second_reviewer: Account
) -> None:
    name(asking, "official"), name(asking, "referee", email=second_reviewer.email)
    submit(asking)
    assert services.claim(asking.pk, actor=second_reviewer).claimed_by == second_reviewer


# ---- The queue -----------------------------------------------------------------------------------


def test_the_tab_holds_what_waits_for_an_answer_and_nothing_else(
    waiting: Application, rita: Account, manager: Account, release: Release
) -> None:
    def tab() -> list[int]:
        found = selectors.in_tab(Application.objects.all(), "evidence", rita)
        assert selectors.tab_counts(rita)["evidence"] == found.count()
        return list(found.values_list("pk", flat=True))

    assert tab() == [waiting.pk]
    confirm(token_to(OFFICIAL["email"]))
    services.claim(waiting.pk, actor=rita)
    assert tab() == [waiting.pk]
    services.return_for_correction(
        waiting.pk, seen=seen_now(waiting.pk), actor=rita, message="Which corpus?"
    )
    assert tab() == [], "it waits for the applicant"
    submit(waiting)
    assert tab() == [waiting.pk]
    services.go_without(waiting.pk, "referee", actor=manager, reason="We know him.")
    assert tab() == []
    ask_for(release, official=True)
    assert tab() == []


def test_the_tab_does_not_hold_what_is_decided(waiting: Application, rita: Account) -> None:
    services.claim(waiting.pk, actor=rita)
    services.decide(waiting.pk, seen=seen_now(waiting.pk), actor=rita, approve=False, reason="No.")
    assert selectors.tab_counts(rita)["evidence"] == 0
