"""Conversation, appeal, policy of decisions, queue, fairness: each with who may not."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from access_requests import selectors, services
from access_requests.models import Application, DecisionPolicy, Grant, ReasonTemplate, State
from access_requests.regions import CODES, REGION, region_of
from portal.accounts.models import Account
from portal.catalog.models import Family, Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.access_requests.people import ANSWERS, applicant, mails_to, seen_now
from tests.people import person, signed_in, with_token

QUEUE = reverse("admin:access_requests_application_changelist")
SECRET = "zebra-stripes-only-for-reviewers"


def desk(application: Application) -> str:
    return reverse("admin:access_requests_application_change", args=[application.pk])


def refused_with(code: Code, act: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        act()
    assert caught.value.code == code
    return caught.value


def test_both_sides_write_and_each_is_told_by_mail(
    in_review: Application, alice: Account, rita: Account, mallory: Account
) -> None:
    long = "One.\nTwo.\nThree.\nFour is behind the sign-in."
    services.write(in_review.pk, actor=rita, body=long)
    mail = OutgoingMail.objects.get(to=alice.email, template="application_message")
    assert "Three." in mail.body
    assert "Four" not in mail.body
    client = signed_in(alice)
    address = reverse("access_requests:write", args=[in_review.pk])
    assert client.post(address, {"body": "Here it is."}).status_code == 302
    assert "application_message_at_the_desk" in mails_to(rita)
    assert "Here it is." in signed_in(rita).get(desk(in_review)).content.decode()
    assert client.post(address, {"body": " "}).status_code == 400
    assert signed_in(mallory).post(address, {"body": "x"}).status_code == 404
    refused_with(Code.NOT_FOUND, lambda: services.write(in_review.pk, actor=mallory, body="x"))
    assert in_review.messages.count() == 2


def test_an_internal_note_reaches_no_page_mail_or_answer_of_the_applicant(
    in_review: Application, alice: Account, rita: Account, second_reviewer: Account
) -> None:
    services.note(in_review.pk, actor=rita, body=SECRET)
    services.write(in_review.pk, actor=rita, body="A word to you.")
    services.return_for_correction(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, message="Mend it."
    )
    services.note(in_review.pk, actor=second_reviewer, body=SECRET)
    assert SECRET in signed_in(rita).get(desk(in_review)).content.decode()

    def look() -> None:
        client, api, pk = signed_in(alice), with_token(alice), in_review.pk
        names = ("application", "edit", "licence")
        pages = [reverse(f"access_requests:{name}", args=[pk]) for name in names]
        home = [reverse("access_requests:mine"), reverse("home"), reverse("accounts:profile")]
        catalogue = [reverse("catalog:releases"), reverse("catalog:release", args=["llama-7b"])]
        apply = [reverse("access_requests:apply", args=["llama"]), desk(in_review), QUEUE]
        for address in (*pages, *home, *catalogue, *apply):
            assert SECRET not in client.get(address, follow=True).content.decode(), address
        for address in (f"applications/{pk}/", "applications/", "grants/", "releases/"):
            assert SECRET not in api.get(f"/api/v1/{address}").content.decode(), address

    look()
    services.submit(in_review.pk, actor=alice, typed_name=alice.name)
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=False, reason="No question."
    )
    look()
    services.appeal(in_review.pk, actor=alice, text="There is one.")
    look()
    assert not OutgoingMail.objects.filter(body__contains=SECRET).exists()


def test_a_note_is_not_shown_to_a_reviewer_who_applies_or_is_recused(
    submitted: Application, alice: Account, rita: Account, second_reviewer: Account
) -> None:
    services.note(submitted.pk, actor=rita, body=SECRET)
    services.recuse(submitted.pk, actor=second_reviewer, reason="My student.")
    assert SECRET not in signed_in(second_reviewer).get(desk(submitted)).content.decode()
    alice.groups.set(rita.groups.all())
    Account.objects.filter(pk=alice.pk).update(is_staff=True)
    page = signed_in(alice).get(desk(submitted))
    assert page.status_code == 200
    assert SECRET not in page.content.decode()
    refused_with(Code.NOT_ALLOWED, lambda: services.note(submitted.pk, actor=alice, body="x"))


def test_one_appeal_is_decided_by_somebody_else(
    refused: Application, alice: Account, rita: Account, second_reviewer: Account, mallory: Account
) -> None:
    for outsider, code in ((mallory, Code.NOT_FOUND), (rita, Code.NOT_ALLOWED)):
        with pytest.raises(Refusal) as caught:
            services.appeal(refused.pk, actor=outsider, text="Mine.")
        assert caught.value.code == code
    address = reverse("access_requests:appeal", args=[refused.pk])
    assert signed_in(alice).post(address, {"appeal": ""}).status_code == 400
    assert signed_in(alice).post(address, {"appeal": "It has a question."}).status_code == 302
    refused.refresh_from_db()
    assert refused.state == State.APPEALED
    said = refused_with(Code.NOT_ALLOWED, lambda: services.claim(refused.pk, actor=rita))
    assert "somebody else" in said.detail
    services.claim(refused.pk, actor=second_reviewer)
    services.decide(
        refused.pk,
        seen=seen_now(refused.pk),
        actor=second_reviewer,
        approve=False,
        reason="Still none.",
    )
    refused.refresh_from_db()
    assert (refused.state, refused.decided_by) == (State.REFUSED, second_reviewer)
    refused_with(Code.WRONG_STATE, lambda: services.appeal(refused.pk, actor=alice, text="Again."))


def test_a_won_appeal_opens_the_grant_and_a_withdrawn_one_leaves_the_refusal(
    refused: Application, alice: Account, second_reviewer: Account
) -> None:
    services.appeal(refused.pk, actor=alice, text="It has a question.")
    assert services.withdraw(refused.pk, actor=alice).state == State.REFUSED
    Application.objects.update(appealed_at=None)
    services.appeal(refused.pk, actor=alice, text="It has a question.")
    services.claim(refused.pk, actor=second_reviewer)
    services.decide(refused.pk, seen=seen_now(refused.pk), actor=second_reviewer, approve=True)
    assert Grant.objects.get().account == alice


def test_a_newer_open_application_stands_in_the_way_of_an_appeal(
    refused: Application, alice: Account, release: Release
) -> None:
    services.start(actor=alice, releases=[release])
    refused_with(Code.CONFLICT, lambda: services.appeal(refused.pk, actor=alice, text="Why."))


def test_a_refusal_from_a_template_names_the_day_to_apply_again(
    in_review: Application, alice: Account, rita: Account, release: Release
) -> None:
    template = ReasonTemplate.objects.create(title="Thin", text="The plan is too thin.")
    day = (timezone.now() + timedelta(days=30)).date()
    act = reverse("admin:access_requests_application_act", args=[in_review.pk, "refuse"])
    data = {"template": template.pk, "reason": "Say more.", "apply_again_from": day.isoformat()}
    data["seen"] = seen_now(in_review.pk)
    assert signed_in(rita).post(act, data).status_code == 302
    in_review.refresh_from_db()
    assert in_review.decision_reason == "The plan is too thin.\n\nSay more."
    said = refused_with(
        Code.TOO_EARLY, lambda: services.start(actor=alice, releases=[release], answers={})
    )
    assert f"{day:%-d %B %Y}" in said.detail
    Application.objects.update(apply_again_from=timezone.now() - timedelta(days=1))
    apply = reverse("access_requests:apply", args=["llama"])
    assert ANSWERS["research_purpose"] in signed_in(alice).get(apply).content.decode()


def test_two_different_people_approve_and_only_what_both_approved(
    in_review: Application, alice: Account, rita: Account, second_reviewer: Account,
    release: Release,
) -> None:  # fmt: skip
    DecisionPolicy.objects.create(release=release, approvals=2)
    end = timezone.now() + timedelta(days=30)
    done = services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True, ends_at=end
    )
    assert done.state == State.SUBMITTED
    assert not Grant.objects.exists()
    refused_with(Code.NOT_ALLOWED, lambda: services.claim(in_review.pk, actor=rita))
    services.claim(in_review.pk, actor=second_reviewer)
    refused_with(
        Code.INVALID,
        lambda: services.decide(
            in_review.pk,
            seen=seen_now(in_review.pk),
            actor=second_reviewer,
            approve=True,
            ends_at=end + timedelta(days=1),
        ),
    )
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=second_reviewer, approve=True, ends_at=end
    )
    assert Grant.objects.get().account == alice


def test_a_first_approval_is_void_after_a_correction(
    in_review: Application, alice: Account, rita: Account, second_reviewer: Account,
    release: Release,
) -> None:  # fmt: skip
    DecisionPolicy.objects.create(release=release, approvals=2)
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    services.claim(in_review.pk, actor=second_reviewer)
    services.return_for_correction(
        in_review.pk, seen=seen_now(in_review.pk), actor=second_reviewer, message="Mend."
    )
    services.submit(in_review.pk, actor=alice, typed_name=alice.name)
    done = services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=second_reviewer, approve=True
    )
    assert done.state == State.SUBMITTED
    assert not Grant.objects.exists()


def test_the_second_decision_goes_to_the_named_colleague(
    in_review: Application, rita: Account, second_reviewer: Account, mallory: Account
) -> None:
    refused_with(Code.INVALID, lambda: services.ask(in_review.pk, actor=rita, reviewer=mallory))
    services.ask(in_review.pk, actor=rita, reviewer=second_reviewer, kind="decision")
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    in_review.refresh_from_db()
    assert (in_review.state, in_review.claimed_by) == (State.IN_REVIEW, second_reviewer)


def test_a_review_is_asked_for_and_given_once(
    in_review: Application, rita: Account, second_reviewer: Account, mallory: Account
) -> None:
    def advise(actor: Account) -> object:
        return services.advise(
            in_review.pk,
            seen=seen_now(in_review.pk),
            actor=actor,
            advice="approve",
            answer="Sound.",
        )

    refused_with(Code.NOT_FOUND, lambda: advise(second_reviewer))
    services.ask(in_review.pk, actor=rita, reviewer=second_reviewer, question="Is it sound?")
    assert "Is it sound?" in signed_in(second_reviewer).get(desk(in_review)).content.decode()
    advise(second_reviewer)
    refused_with(Code.NOT_FOUND, lambda: advise(second_reviewer))
    refused_with(Code.NOT_FOUND, lambda: advise(mallory))
    assert "Sound." in signed_in(rita).get(desk(in_review)).content.decode()


def test_a_conflict_of_interest_takes_it_out_of_ones_queue_and_hands(
    in_review: Application, rita: Account, second_reviewer: Account
) -> None:
    services.recuse(in_review.pk, actor=rita, reason="My student.")
    in_review.refresh_from_db()
    assert (in_review.state, in_review.claimed_by) == (State.SUBMITTED, None)
    assert in_review.reference not in signed_in(rita).get(QUEUE).content.decode()
    assert in_review.reference in signed_in(second_reviewer).get(QUEUE).content.decode()
    refused_with(Code.NOT_ALLOWED, lambda: services.claim(in_review.pk, actor=rita))
    refused_with(Code.NOT_ALLOWED, lambda: services.recuse(in_review.pk, actor=rita, reason="x"))
    assert rita not in selectors.colleagues(in_review)


def test_an_approval_needs_the_checklist_and_keeps_it(
    in_review: Application, rita: Account, release: Release
) -> None:
    DecisionPolicy.objects.create(release=release, checklist="Is a person\n\nHas a plan\n")
    said = refused_with(
        Code.INVALID,
        lambda: services.decide(
            in_review.pk,
            seen=seen_now(in_review.pk),
            actor=rita,
            approve=True,
            checklist=["Has a plan"],
        ),
    )
    assert "Is a person" in said.detail
    items = ["Is a person", "Has a plan"]
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True, checklist=items
    )
    kept = in_review.reviews.get().checklist
    assert kept == [{"item": item, "ticked": True} for item in items]
    assert "✓ checked" in signed_in(rita).get(desk(in_review)).content.decode()


@pytest.mark.parametrize("by", ["account", "domain", "domain above"])
def test_who_is_on_the_block_list_neither_starts_nor_submits_nor_is_approved(
    by: str, family: Family, release: Release, manager: Account, rita: Account
) -> None:
    alice = applicant("bob")
    Account.objects.filter(pk=alice.pk).update(email="bob@mail.lab.test")
    alice.refresh_from_db()
    draft = services.start(actor=alice, releases=[release], answers=ANSWERS)
    names = {"account": {"account": alice}, "domain": {"domain": "mail.lab.test"}}
    named = names.get(by, {"domain": "lab.test"})
    refused_with(
        Code.NOT_ALLOWED,
        lambda: services.block(actor=rita, family=family, reason="No.", **named),
    )
    block = services.block(actor=manager, family=family, reason="Shared weights.", **named)
    submit = lambda: services.submit(draft.pk, actor=alice, typed_name=alice.name)  # noqa: E731
    assert "Shared weights." in refused_with(Code.BLOCKED, submit).detail
    past = timezone.now() - timedelta(days=1)
    services.change_block(block.pk, actor=manager, reason="Settled.", ends_at=past)
    submit()
    services.claim(draft.pk, actor=rita)
    services.change_block(block.pk, actor=manager, reason="Again.", ends_at=None)
    refused_with(
        Code.BLOCKED,
        lambda: services.decide(draft.pk, seen=seen_now(draft.pk), actor=rita, approve=True),
    )
    services.withdraw(draft.pk, actor=alice)
    refused_with(Code.BLOCKED, lambda: services.start(actor=alice, releases=[release]))


def test_managers_share_out_by_load_and_remind_and_nobody_else_does(
    rita: Account, second_reviewer: Account, manager: Account,
    applied_by: Callable[..., Application],
) -> None:  # fmt: skip
    applied_by(applicant("zoe"), until="in_review")
    waiting = [applied_by(applicant(name)) for name in ("bob", "carol", "dave")]
    ids = [one.pk for one in waiting]
    data = {"action": "share_out", "_selected_action": ids}
    signed_in(rita).post(QUEUE, data)
    assert not Application.objects.filter(pk__in=ids).exclude(claimed_by=None).exists()
    assert signed_in(manager).post(QUEUE, data).status_code == 302
    holders = [Application.objects.get(pk=pk).claimed_by for pk in ids]
    assert sorted(str(one) for one in holders) == sorted(
        str(one) for one in (second_reviewer, rita, second_reviewer)
    )
    refused_with(Code.NOT_ALLOWED, lambda: services.remind(ids, actor=rita))
    assert services.remind(ids, actor=manager) == 3
    assert mails_to(rita).count("application_reminder_at_the_desk") == 1


def test_a_claim_is_assigned_by_a_manager_or_handed_on_by_its_holder(
    submitted: Application, rita: Account, second_reviewer: Account, manager: Account
) -> None:
    assign = services.assign
    refused_with(
        Code.NOT_ALLOWED, lambda: assign(submitted.pk, actor=rita, reviewer=second_reviewer)
    )
    assign(submitted.pk, actor=manager, reviewer=rita)
    assign(submitted.pk, actor=rita, reviewer=second_reviewer)
    submitted.refresh_from_db()
    assert submitted.claimed_by == second_reviewer
    assert "application_assigned" in mails_to(second_reviewer)
    refused_with(Code.CONFLICT, lambda: assign(submitted.pk, actor=rita, reviewer=rita))


@pytest.mark.parametrize(
    ("tab", "bob", "carol"),
    [
        ("mine", False, True),
        ("unclaimed", True, False),
        ("waiting", False, False),
        ("overdue", True, False),
        ("nonsense", False, False),
    ],
)
def test_the_tabs_of_the_queue(
    tab: str, bob: bool, carol: bool, rita: Account, applied_by: Callable[..., Application]
) -> None:
    first, second = applied_by(applicant("bob")), applied_by(applicant("carol"), until="in_review")
    late = timezone.now() - timedelta(days=16, hours=1)
    Application.objects.filter(pk=first.pk).update(submitted_at=late)
    page = signed_in(rita).get(f"{QUEUE}?tab={tab}").content.decode()
    assert (first.reference in page) is bob
    assert (second.reference in page) is carol
    if tab == "overdue":
        assert "16 days: 2 days over the target" in page


def test_next_leads_through_ones_own_and_then_to_what_nobody_holds(
    rita: Account, applied_by: Callable[..., Application]
) -> None:
    free, mine = applied_by(applicant("bob")), applied_by(applicant("carol"), until="in_review")
    client = signed_in(rita)
    assert client.get(reverse("admin:access_requests_next")).url == desk(mine)
    following = reverse("admin:access_requests_next", args=[mine.pk])
    assert client.get(following).url == desk(free)
    assert client.get(reverse("admin:access_requests_next", args=[free.pk])).url == desk(mine)


def test_a_view_of_the_queue_is_saved_for_oneself(rita: Account, second_reviewer: Account) -> None:
    save = reverse("admin:access_requests_save_filter")
    signed_in(rita).post(save, {"name": "Old ones", "query": "age=14"})
    assert "Old ones" in signed_in(rita).get(QUEUE).content.decode()
    assert "Old ones" not in signed_in(second_reviewer).get(QUEUE).content.decode()
    signed_in(rita).post(save, {"name": "Old ones", "query": "", "forget": "1"})
    assert "Old ones" not in signed_in(rita).get(QUEUE).content.decode()


def test_fairness_hides_small_groups_and_is_for_managers(
    rita: Account, manager: Account, mallory: Account, applied_by: Callable[..., Application]
) -> None:
    for number in range(5):
        applied_by(applicant(f"a{number}"), until="approved")
    applied_by(applicant("lone", category="government", country="KE"), until="approved")
    report = selectors.fairness_of(90)
    category, region, _ = report.tables
    assert [(row.name, row.decisions, row.approved_percent) for row in category.rows] == [
        ("Academia", 5, 100)
    ]
    assert (category.hidden, region.rows[0].name, region.hidden) == (1, "Europe", 1)
    address = reverse("admin:access_requests_fairness")
    page = signed_in(manager).get(address).content.decode()
    assert "Academia" in page
    assert "Government" not in page
    assert signed_in(rita).get(address).status_code == 404
    assert signed_in(mallory).get(address).status_code in (302, 403, 404)


def test_agreement_counts_an_appeal_that_overturns(
    refused: Application, alice: Account, second_reviewer: Account
) -> None:
    services.appeal(refused.pk, actor=alice, text="Look again.")
    services.claim(refused.pk, actor=second_reviewer)
    services.decide(refused.pk, seen=seen_now(refused.pk), actor=second_reviewer, approve=True)
    found = selectors.fairness_of(90).agreement
    assert (found.pairs, found.same) == (1, 0)


def test_every_country_has_one_region() -> None:
    from django_countries import countries

    assert {code for code, _ in countries} == set(REGION)
    assert sum(len(codes.split()) for codes in CODES.values()) == len(REGION)
    assert region_of("Netherlands") == region_of("NL") == "Europe"


def test_managers_keep_policies_reasons_targets_and_blocks_and_reviewers_do_not(
    rita: Account, manager: Account, family: Family
) -> None:
    pages = [
        reverse(f"admin:access_requests_{name}_changelist")
        for name in ("decisionpolicy", "reasontemplate", "reviewtarget", "block")
    ]
    home = signed_in(manager).get(QUEUE).content.decode()
    for page in pages:
        assert page in home
        assert signed_in(manager).get(page).status_code == 200
        assert signed_in(rita).get(page).status_code == 403
    add = reverse("admin:access_requests_block_add")
    data = {"family": family.pk, "domain": "lab.test", "reason": "Shared weights."}
    signed_in(manager).post(add, {**data, "ends_at_0": "", "ends_at_1": ""})
    assert family.blocks.get().created_by == manager
    assert selectors.running_block(person("bob"), family) is not None


def test_a_manager_blocks_a_person_by_the_address_and_nobody_unknown(
    manager: Account, alice: Account, family: Family
) -> None:
    add = reverse("admin:access_requests_block_add")
    data = {"family": family.pk, "reason": "Shared weights.", "ends_at_0": "", "ends_at_1": ""}
    client = signed_in(manager)
    for wrong in ({"person": "nobody@lab.test"}, {}, {"person": alice.email, "domain": "lab.test"}):
        assert client.post(add, {**data, **wrong}).status_code == 200
        assert not family.blocks.exists()
    assert client.post(add, {**data, "person": alice.email.upper()}).status_code == 302
    assert family.blocks.get().account == alice
    assert (
        client.get(f"{add.removesuffix('add/')}{family.blocks.get().pk}/change/").status_code == 200
    )
