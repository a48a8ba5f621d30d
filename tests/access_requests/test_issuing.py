"""One way to a grant: every entry point ends in `issue_grant`, which asks every rule."""

import ast
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from access_requests import selectors, services, versions
from access_requests.models import (
    Application,
    CoApplicant,
    DecisionPolicy,
    Grant,
    Recusal,
    Renewal,
    Tier,
)
from portal.accounts.models import Account
from portal.accounts.roles import Role
from portal.audit.models import Verb
from portal.catalog.models import Release
from portal.refusals import Code
from tests.access_requests import vouching
from tests.access_requests.people import ANSWERS, applicant, denials, mails_to, seen_now, verbs
from tests.access_requests.test_coapplicants import joined, token_of
from tests.access_requests.test_grants import shut
from tests.access_requests.test_seen import version_on
from tests.access_requests.test_submit import refusal_of
from tests.people import person, signed_in

Status = CoApplicant.Status


@pytest.fixture
def bob(db: None) -> Account:
    return applicant("bob")


@pytest.fixture
def second_manager(db: None) -> Account:
    return person("marc", Role.MANAGER)


@pytest.fixture
def renewal(grant: Grant, alice: Account) -> Renewal:
    return services.ask_renewal(grant.pk, actor=alice, used_for="Probing.")


def two_must_approve(release: Release) -> None:
    DecisionPolicy.objects.update_or_create(release=release, defaults={"approvals": 2})


def recuse(account: Account, application: Application) -> None:
    """As it was declared while the application was open."""
    Recusal.objects.create(application=application, reviewer=account, reason="A former student.")


def next_year() -> datetime:
    return timezone.now() + timedelta(days=400)


# ---- The block list ------------------------------------------------------------------------------


def test_a_blocked_person_cannot_join_an_application(
    in_review: Application, bob: Account, manager: Account
) -> None:
    services.invite(in_review.pk, actor=in_review.applicant, email=bob.email)
    token = token_of(bob.email)
    services.block(actor=manager, family=in_review.family, reason="Leaked.", account=bob)
    refusal = refusal_of(services.join, token, actor=bob, typed_name=bob.name)
    assert refusal.code == Code.BLOCKED
    assert signed_in(bob).get(f"/applications/join/{token}/").status_code == 403
    assert not CoApplicant.objects.filter(status=Status.JOINED).exists()


def test_a_person_refused_until_a_day_does_not_join_another_application_before_it(
    applied_by: Callable[..., Application], in_review: Application, bob: Account, rita: Account
) -> None:
    own = applied_by(bob, until="in_review")
    again = timezone.now() + timedelta(days=30)
    services.decide(
        own.pk,
        seen=seen_now(own.pk),
        actor=rita,
        approve=False,
        reason="No plan.",
        apply_again_from=again,
    )
    services.invite(in_review.pk, actor=in_review.applicant, email=bob.email)
    refusal = refusal_of(services.join, token_of(bob.email), actor=bob, typed_name=bob.name)
    assert refusal.code == Code.TOO_EARLY


def test_a_person_blocked_after_joining_gets_nothing_with_the_approval(
    in_review: Application,
    alice: Account,
    bob: Account,
    rita: Account,
    manager: Account,
    release: Release,
) -> None:
    member, carl = joined(in_review, bob), joined(in_review, applicant("carl"))
    services.block(actor=manager, family=in_review.family, reason="Leaked.", account=bob)
    services.decide(in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True)
    assert selectors.grant_for(alice, release)
    carl.refresh_from_db()
    assert carl.account is not None
    assert selectors.grant_for(carl.account, release)
    assert shut(bob, release).code == Code.NOT_GRANTED
    member.refresh_from_db()
    assert member.status == Status.JOINED, "a reviewer still says no to them, with a reason"
    assert refusal_of(services.admit, member.pk, actor=rita).code == Code.BLOCKED
    assert not bob.grants.exists()


def test_nobody_is_admitted_to_the_application_of_a_blocked_person(
    approved: Application, alice: Account, bob: Account, rita: Account, manager: Account
) -> None:
    member = joined(approved, bob)
    services.block(actor=manager, family=approved.family, reason="Leaked.", account=alice)
    assert refusal_of(services.admit, member.pk, actor=rita).code == Code.BLOCKED
    assert not bob.grants.exists()


def test_a_blocked_persons_grant_is_neither_renewed_nor_reinstated(
    renewal: Renewal, alice: Account, rita: Account, manager: Account
) -> None:
    grant, before = renewal.grant, renewal.grant.ends_at
    services.suspend(grant.pk, actor=manager, reason="Open question.")
    services.block(actor=manager, family=grant.release.family, reason="Leaked.", account=alice)
    refusal = refusal_of(
        services.approve_renewal, renewal.pk, actor=rita, ends_at=before + timedelta(days=30)
    )
    assert refusal.code == Code.BLOCKED
    assert refusal_of(services.reinstate, grant.pk, actor=manager).code == Code.BLOCKED
    grant.refresh_from_db()
    assert (grant.ends_at, grant.status) == (before, Grant.Status.SUSPENDED)


def test_a_domain_block_looks_at_every_verified_address(
    draft: Application, alice: Account, manager: Account
) -> None:
    services.block(actor=manager, family=draft.family, reason="Sanctions.", domain="corp.example")
    alice.emailaddress_set.create(email="alice@ai.corp.example", verified=False)  # type: ignore[attr-defined]
    assert selectors.running_block(alice, draft.family) is None, "an address that is not proven"
    alice.emailaddress_set.update(verified=True)  # type: ignore[attr-defined]
    refusal = refusal_of(services.submit, draft.pk, actor=alice, typed_name=alice.name)
    assert refusal.code == Code.BLOCKED


# ---- Conflicts of interest -----------------------------------------------------------------------


def test_a_reviewer_with_a_conflict_decides_on_no_late_co_applicant(
    approved: Application, bob: Account, rita: Account, second_reviewer: Account
) -> None:
    member = joined(approved, bob)
    recuse(rita, approved)
    assert refusal_of(services.admit, member.pk, actor=rita).code == Code.NOT_ALLOWED
    assert refusal_of(services.decline, member.pk, actor=rita, reason="No.").code == (
        Code.NOT_ALLOWED
    )
    page = f"/admin/access_requests/coapplicant/{member.pk}/"
    assert "You declared a conflict of interest" in signed_in(rita).get(f"{page}change/").text
    assert signed_in(rita).post(f"{page}act/admit/").status_code == 403
    assert not bob.grants.exists()
    assert denials(member)
    services.admit(member.pk, actor=second_reviewer)
    assert bob.grants.exists()


def test_a_reviewer_with_a_conflict_decides_on_no_renewal(
    renewal: Renewal, rita: Account, second_reviewer: Account
) -> None:
    application = renewal.grant.application
    assert application is not None
    recuse(rita, application)
    end = renewal.grant.ends_at + timedelta(days=30)
    assert refusal_of(services.approve_renewal, renewal.pk, actor=rita, ends_at=end).code == (
        Code.NOT_ALLOWED
    )
    assert refusal_of(services.refuse_renewal, renewal.pk, actor=rita, reason="No.").code == (
        Code.NOT_ALLOWED
    )
    page = f"/admin/access_requests/renewal/{renewal.pk}/change/"
    assert "You declared a conflict of interest" in signed_in(rita).get(page).text
    services.approve_renewal(renewal.pk, actor=second_reviewer, ends_at=end)
    renewal.grant.refresh_from_db()
    assert renewal.grant.ends_at == end


def test_the_applicant_does_not_decide_on_the_renewal_of_a_co_applicant(
    approved: Application, bob: Account, rita: Account
) -> None:
    services.admit(joined(approved, bob).pk, actor=rita)
    renewal = services.ask_renewal(bob.grants.get().pk, actor=bob, used_for="Probing.")
    Application.objects.filter(pk=approved.pk).update(applicant=rita)
    refusal = refusal_of(services.approve_renewal, renewal.pk, actor=rita, ends_at=next_year())
    assert refusal.code == Code.NOT_ALLOWED


def test_a_manager_with_a_conflict_reinstates_nothing(
    grant: Grant, manager: Account, second_manager: Account
) -> None:
    services.suspend(grant.pk, actor=manager, reason="Open question.")
    assert grant.application is not None
    recuse(manager, grant.application)
    assert refusal_of(services.reinstate, grant.pk, actor=manager).code == Code.NOT_ALLOWED
    services.reinstate(grant.pk, actor=second_manager)
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE


def test_a_manager_with_a_conflict_does_not_assign_through_sharing_out(
    submitted: Application, manager: Account, second_manager: Account, rita: Account
) -> None:
    recuse(manager, submitted)
    assert refusal_of(services.assign, submitted.pk, actor=manager, reviewer=rita).code == (
        Code.NOT_ALLOWED
    )
    assert services.share_out([submitted.pk], actor=manager) == []
    submitted.refresh_from_db()
    assert submitted.claimed_by is None
    assert services.share_out([submitted.pk], actor=second_manager) == [submitted]


# ---- Number of approvals -------------------------------------------------------------------------


def test_where_two_must_approve_one_reviewer_does_not_admit_a_late_co_applicant(
    approved: Application, bob: Account, rita: Account, second_reviewer: Account, release: Release
) -> None:
    member = joined(approved, bob)
    two_must_approve(release)
    services.admit(member.pk, actor=rita)
    member.refresh_from_db()
    assert (member.status, member.first_approval_by) == (Status.JOINED, rita)
    assert not bob.grants.exists()
    assert "coapplicant_admitted" not in mails_to(bob)
    assert Verb.MEMBER_ENDORSED in verbs(approved)
    assert refusal_of(services.admit, member.pk, actor=rita).code == Code.NOT_ALLOWED
    page = f"/admin/access_requests/coapplicant/{member.pk}/change/"
    assert f"First of two approvals: {rita}" in signed_in(second_reviewer).get(page).text
    services.admit(member.pk, actor=second_reviewer)
    assert bob.grants.count() == 1


def test_a_late_co_applicant_is_admitted_as_they_were_on_the_screen(
    approved: Application, bob: Account, rita: Account, second_reviewer: Account, release: Release
) -> None:
    """Her page says that two approvals are still to come; meanwhile a colleague gave the first."""
    member = joined(approved, bob)
    two_must_approve(release)
    base = f"/admin/access_requests/coapplicant/{member.pk}"
    tab = signed_in(rita)
    seen = version_on(tab.get(f"{base}/change/").text)
    services.admit(member.pk, actor=second_reviewer)
    answer = tab.post(f"{base}/act/admit/", {"seen": seen})
    assert answer.status_code == 409
    assert "changed since you opened it: the first of two approvals" in answer.content.decode()
    assert not bob.grants.exists()
    without = tab.post(f"{base}/act/decline/", {"reason": "Not of this lab."})
    assert without.status_code == 409
    assert "Not of this lab." in without.content.decode()
    again = tab.post(f"{base}/act/admit/", {"seen": version_on(answer.content.decode())})
    assert again.status_code == 302
    assert bob.grants.count() == 1


def test_a_first_approval_counts_no_more_once_its_giver_declares_a_conflict(
    approved: Application, bob: Account, rita: Account, second_reviewer: Account, release: Release
) -> None:
    member = joined(approved, bob)
    two_must_approve(release)
    services.admit(member.pk, actor=rita)
    recuse(rita, approved)
    services.admit(member.pk, actor=second_reviewer)
    assert not bob.grants.exists()
    member.refresh_from_db()
    assert member.first_approval_by == second_reviewer


def test_where_two_must_approve_one_reviewer_does_not_renew(
    renewal: Renewal, rita: Account, second_reviewer: Account, release: Release, alice: Account
) -> None:
    two_must_approve(release)
    before = renewal.grant.ends_at
    end = before + timedelta(days=30)
    services.approve_renewal(renewal.pk, actor=rita, ends_at=end)
    renewal.refresh_from_db()
    assert (renewal.status, renewal.grant.ends_at) == (Renewal.Status.OPEN, before)
    assert "renewal_approved" not in mails_to(alice)
    again = refusal_of(services.approve_renewal, renewal.pk, actor=rita, ends_at=end)
    assert again.code == Code.NOT_ALLOWED
    later = end + timedelta(days=1)
    wide = refusal_of(services.approve_renewal, renewal.pk, actor=second_reviewer, ends_at=later)
    assert "ends_at" in wide.fields
    services.approve_renewal(renewal.pk, actor=second_reviewer, ends_at=end)
    renewal.grant.refresh_from_db()
    assert renewal.grant.ends_at == end


# ---- References, the longest end, the licence ----------------------------------------------------


def test_a_release_that_asks_for_a_referee_is_not_renewed_without_one(
    renewal: Renewal, rita: Account, release: Release
) -> None:
    vouching.ask_for(release, referee=True)
    end = renewal.grant.ends_at + timedelta(days=30)
    refusal = refusal_of(services.approve_renewal, renewal.pk, actor=rita, ends_at=end)
    assert refusal.code == Code.EVIDENCE_MISSING


def test_no_grant_runs_longer_than_its_release_allows(
    in_review: Application, rita: Account, release: Release
) -> None:
    year_9999 = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    refusal = refusal_of(
        services.decide,
        in_review.pk,
        seen=seen_now(in_review.pk),
        actor=rita,
        approve=True,
        ends_at=year_9999,
    )
    assert "ends_at" in refusal.fields
    DecisionPolicy.objects.create(release=release, max_grant_days=30)
    services.decide(
        in_review.pk, seen=seen_now(in_review.pk), actor=rita, approve=True
    )  # no end given: a year, or what is allowed
    grant = in_review.grants.get()
    assert grant.ends_at.date() <= (timezone.now() + timedelta(days=30)).date()


def test_no_renewal_runs_longer_than_its_release_allows(renewal: Renewal, rita: Account) -> None:
    year_9999 = datetime(9999, 12, 31, tzinfo=UTC)
    refusal = refusal_of(services.approve_renewal, renewal.pk, actor=rita, ends_at=year_9999)
    assert "ends_at" in refusal.fields
    page = f"/admin/access_requests/renewal/{renewal.pk}/act/approve/"
    given = {"ends_at": "9999-12-31", "seen": versions.version_of_renewal(renewal)}
    assert signed_in(rita).post(page, given).status_code == 400


def test_a_late_co_applicant_ends_with_the_longest_time_that_is_allowed_now(
    approved: Application, grant: Grant, bob: Account, rita: Account, release: Release
) -> None:
    member = joined(approved, bob)
    DecisionPolicy.objects.create(release=release, max_grant_days=30)
    services.admit(member.pk, actor=rita)
    assert bob.grants.get().ends_at < grant.ends_at


# ---- Two grants for one release ------------------------------------------------------------------


def test_a_persons_own_approval_leaves_the_grant_of_their_lab_as_it_is(
    applied_by: Callable[..., Application],
    alice: Account,
    rita: Account,
    manager: Account,
    release: Release,
) -> None:
    lab = applied_by(applicant("head"), until="in_review")
    member = joined(lab, alice)
    services.decide(lab.pk, seen=seen_now(lab.pk), actor=rita, approve=True)
    lab_grant = alice.grants.get()
    own = services.start(actor=alice, releases=[release], answers=ANSWERS)
    services.submit(own.pk, actor=alice, typed_name=alice.name)
    services.claim(own.pk, actor=rita)
    services.decide(own.pk, seen=seen_now(own.pk), actor=rita, approve=True, tier=Tier.TRY)
    lab_grant.refresh_from_db()
    assert (lab_grant.application, lab_grant.tier) == (lab, Tier.WEIGHTS)
    assert selectors.grant_for(alice, release, tier=Tier.WEIGHTS) == lab_grant
    services.remove(member.pk, actor=manager)
    assert selectors.grant_for(alice, release).application == own
    assert shut(alice, release, tier=Tier.WEIGHTS).code in (Code.REVOKED, Code.TIER_TOO_LOW)


def test_a_persons_own_approval_opens_no_door_past_the_suspension_of_their_lab_grant(
    applied_by: Callable[..., Application],
    alice: Account,
    rita: Account,
    manager: Account,
    release: Release,
) -> None:
    lab = applied_by(applicant("head"), until="in_review")
    joined(lab, alice)
    services.decide(lab.pk, seen=seen_now(lab.pk), actor=rita, approve=True)
    services.suspend(alice.grants.get().pk, actor=manager, reason="Open question.")
    own = applied_by(alice, until="in_review")
    refusal = refusal_of(services.decide, own.pk, seen=seen_now(own.pk), actor=rita, approve=True)
    assert refusal.code == Code.WRONG_STATE
    assert shut(alice, release).code == Code.SUSPENDED


# ---- What becomes of a grant ---------------------------------------------------------------------


def test_a_revoked_grant_gets_no_mail_that_it_ended(
    grant: Grant, manager: Account, alice: Account
) -> None:
    from access_requests.services import granting

    Grant.objects.filter(pk=grant.pk).update(ends_at=timezone.now() - timedelta(minutes=1))
    services.revoke(
        grant.pk, actor=manager, reason="Shared."
    )  # between the sweep's look and its lock
    assert not granting._record_expiry(grant.pk)
    assert Verb.GRANT_EXPIRED not in verbs(grant)
    assert "grant_ended" not in mails_to(alice)


# ---- Who may write a grant -----------------------------------------------------------------------

ROOT = Path(__file__).parents[2]
RIGHTS = {
    "account",
    "release",
    "application",
    "acceptance",
    "tier",
    "status",
    "starts_at",
    "ends_at",
}
MAKES = {"create", "bulk_create", "get_or_create", "update_or_create", "bulk_update", "delete"}
WRITERS = {
    "access_requests/services/issuance.py": {"issues", *RIGHTS},
    "access_requests/services/granting.py": {"status", "acceptance", "ends_at"},  # never later
    "access_requests/selectors/past.py": RIGHTS,  # of a copy that is never saved
}


def root_of(node: ast.AST) -> str:
    """The dotted beginning of a chain of calls: `Grant.objects`, `self.account.grants`."""
    while isinstance(node, ast.Call | ast.Attribute):
        if isinstance(node, ast.Attribute) and node.attr in ("objects", "grants"):
            return f"{ast.unparse(node.value)}.{node.attr}"
        node = node.func if isinstance(node, ast.Call) else node.value
    return ast.unparse(node)


def is_grants(node: ast.AST) -> bool:
    root = root_of(node)
    return root.endswith(("Grant.objects", ".grants")) or root in ("grants", "Grant")


def writes_of(source: str) -> set[str]:
    """What a module writes of grants: `issues`, or the rights that it assigns or updates."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign):
            flat = [one for target in node.targets for one in ast.walk(target)]
            for target in flat:
                if isinstance(target, ast.Attribute) and isinstance(target.ctx, ast.Store):
                    owner = ast.unparse(target.value).rpartition(".")[2]
                    if owner == "grant" or owner.endswith("_grant"):
                        found |= {target.attr} & RIGHTS
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = {keyword.arg for keyword in node.keywords if keyword.arg}
            if node.func.attr in MAKES and is_grants(node.func.value):
                found.add("issues")
            if node.func.attr == "update" and is_grants(node.func.value):
                found |= (given & RIGHTS) or {"issues"}
        given_to_model = isinstance(node, ast.Call) and ast.unparse(node.func) == "Grant"
        if given_to_model and {keyword.arg for keyword in node.keywords} - {"pk"}:
            found.add("issues")
    return found


def test_the_look_at_the_source_finds_a_second_way_to_a_grant() -> None:
    assert writes_of("Grant.objects.create(account=a)") == {"issues"}
    assert writes_of("Grant(account=a, tier='weights').save()") == {"issues"}
    assert writes_of("models.Grant.objects.filter(pk=1).update(ends_at=x)") == {"ends_at"}
    assert writes_of("account.grants.filter(pk=1).update(tier='weights')") == {"tier"}
    assert writes_of("renewal.grant.ends_at = x") == {"ends_at"}
    assert writes_of("grant.tier, grant.ends_at = a, b") == {"tier", "ends_at"}
    assert writes_of("Grant(pk=1); Grant.objects.filter(pk=1).first(); other.tier = 1") == set()


def test_no_other_module_writes_what_a_grant_gives() -> None:
    parts = ("portal", "access_requests", "distribution", "inference_sandbox", "demo")
    sources = [path for part in parts for path in (ROOT / part).rglob("*.py")]
    assert len(sources) > 300
    for path in sources:
        name = str(path.relative_to(ROOT))
        if "/migrations/" in name:
            continue
        text = path.read_text()
        if "rant" not in text:
            continue
        others = writes_of(text) - WRITERS.get(name, set())
        assert not others, f"{name} writes {sorted(others)} of a grant beside `issue_grant`"


def test_the_access_history_alone_gives_a_copy_other_rights() -> None:
    assert ".save(" not in (ROOT / "access_requests/selectors/past.py").read_text()
