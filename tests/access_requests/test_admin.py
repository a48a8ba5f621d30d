"""The review desk."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access_requests import services
from access_requests.models import Application, Grant, State
from portal.accounts.models import Account, Affiliation
from portal.catalog.models import Family, Release
from tests.access_requests.people import ANSWERS, applicant, denials, seen_now
from tests.people import person, signed_in

QUEUE = reverse("admin:access_requests_application_changelist")
GRANTS = reverse("admin:access_requests_grant_changelist")


def page_of(thing: Application | Grant) -> str:
    return reverse(f"admin:access_requests_{thing._meta.model_name}_change", args=[thing.pk])


def act_of(thing: Application | Grant, action: str) -> str:
    return reverse(f"admin:access_requests_{thing._meta.model_name}_act", args=[thing.pk, action])


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response
    return response.content.decode()


def terms(release: Release, **changes: Any) -> dict[str, Any]:
    end = (timezone.now() + timedelta(days=90)).date().isoformat()
    return {"releases": [release.pk], "tier": "weights", "ends_at": end, "reason": "", **changes}


# ---- The queue -----------------------------------------------------------------------------------


def test_the_queue_shows_what_waits_oldest_first_and_no_drafts(
    rita: Account, applied_by: Callable[..., Application]
) -> None:
    first, second = applied_by(applicant("bob")), applied_by(applicant("carol"), until="in_review")
    hidden = applied_by(applicant("dave"), until="draft")
    decided = applied_by(applicant("erin"), until="approved")
    page = text(signed_in(rita), QUEUE)
    assert page.index(first.reference) < page.index(second.reference)
    assert hidden.reference not in page
    assert decided.reference not in page
    everything = text(signed_in(rita), f"{QUEUE}?state=all")
    assert decided.reference in everything
    assert hidden.reference not in everything


@pytest.mark.parametrize(
    ("query", "bob_is_shown", "carol_is_shown"),
    [
        ("state=approved", False, False),
        ("state=in_review", False, True),
        ("category=government", True, False),
        ("category=academia", False, True),
        ("claim=me", False, True),
        ("claim=nobody", True, False),
        ("claim=others", False, False),
        ("age=7", True, False),
        ("age=30", False, False),
        ("family__id__exact=1", True, True),
        ("q=bob", True, False),
        ("q=carol@lab.test", False, True),
        ("q=Ministry", True, False),
        ("q=negation", True, True),
        ("q=zebra", False, False),
        ("age=nonsense&category=nonsense&claim=nonsense", True, True),
    ],
)
def test_the_filters_and_the_search_narrow_the_queue(
    rita: Account,
    family: Family,
    applied_by: Callable[..., Application],
    query: str,
    bob_is_shown: bool,
    carol_is_shown: bool,
) -> None:
    bob = applied_by(applicant("bob", category="government", institution="Ministry of Tests"))
    carol = applied_by(applicant("carol"), until="in_review")
    Application.objects.filter(pk=bob.pk).update(submitted_at=timezone.now() - timedelta(days=10))
    query = query.replace("family__id__exact=1", f"family__id__exact={family.pk}")
    page = text(signed_in(rita), f"{QUEUE}?{query}")
    assert (bob.reference in page) is bob_is_shown
    assert (carol.reference in page) is carol_is_shown


def test_the_age_is_said_in_words(submitted: Application, rita: Account) -> None:
    Application.objects.update(submitted_at=timezone.now() - timedelta(days=12, hours=1))
    assert "12 days" in text(signed_in(rita), QUEUE)


# ---- The page ------------------------------------------------------------------------------------


def test_the_page_shows_answers_affiliation_history_and_evidence(
    in_review: Application, rita: Account
) -> None:
    page = text(signed_in(rita), page_of(in_review))
    for expected in (
        ANSWERS["research_purpose"],
        "University of Testing",
        "alice@lab.test",
        "application.claimed",
        "What it does not prove",
        "Mail and web page",
        "Outputs, for example in a paper",
    ):
        assert expected in page
    assert "csrfmiddlewaretoken" in page


def test_the_whole_review_from_the_page(
    submitted: Application, alice: Account, rita: Account, release: Release
) -> None:
    client = signed_in(rita)
    assert "Claim it" in text(client, page_of(submitted))
    assert client.post(act_of(submitted, "claim")).url == page_of(submitted)
    seen = {"seen": seen_now(submitted.pk)}
    client.post(act_of(submitted, "return"), {"message": "Which corpus?", **seen})
    page = text(client, page_of(submitted))
    assert "Which corpus?" in page
    assert "Returned for correction" in page
    services.save_draft(submitted.pk, actor=alice, answers={"intended_use": "Probing of corpus X."})
    services.submit(submitted.pk, actor=alice, typed_name=alice.name)
    page = text(client, page_of(submitted))
    assert page.count(">changed<") == 1
    assert "Probing of corpus X." in page
    assert ANSWERS["intended_use"] in page

    end = (timezone.now() + timedelta(days=90)).date()
    response = client.post(
        act_of(submitted, "approve"),
        terms(release, reason="Good.", seen=seen_now(submitted.pk)),
        follow=True,
    )
    assert "Approved; the grants are open" in response.content.decode()
    grant = Grant.objects.get()
    assert grant.ends_at.date() == end
    assert grant.ends_at > timezone.now() + timedelta(days=89)
    assert "As it was on screen at the decision." in text(client, page_of(submitted))


def test_refusing_from_the_page(in_review: Application, rita: Account) -> None:
    given = {"reason": "No question.", "seen": seen_now(in_review.pk)}
    signed_in(rita).post(act_of(in_review, "refuse"), given)
    in_review.refresh_from_db()
    assert (in_review.state, in_review.decision_reason) == (State.REFUSED, "No question.")


def test_giving_back_from_the_page(in_review: Application, rita: Account) -> None:
    signed_in(rita).post(act_of(in_review, "release"))
    in_review.refresh_from_db()
    assert (in_review.state, in_review.claimed_by) == (State.SUBMITTED, None)


@pytest.mark.parametrize(
    ("action", "changes"),
    [
        ("refuse", {"reason": " "}),
        ("return", {"message": ""}),
        ("approve", {"ends_at": "2001-01-01"}),
        ("approve", {"ends_at": "soon"}),
        ("approve", {"releases": []}),
        ("approve", {"tier": "all"}),
    ],
)
def test_a_form_that_does_not_fit_keeps_what_was_typed(
    in_review: Application, rita: Account, release: Release, action: str, changes: dict[str, Any]
) -> None:
    seen = seen_now(in_review.pk)
    data = {**terms(release, reason="A long sentence.", seen=seen), **changes}
    response = signed_in(rita).post(act_of(in_review, action), data)
    assert response.status_code in (400, 422)
    if action == "approve":
        assert "A long sentence." in response.content.decode()
    in_review.refresh_from_db()
    assert in_review.state == State.IN_REVIEW


def test_the_second_decider_is_told_by_whom_and_keeps_the_text(
    approved: Application, rita: Account, second_reviewer: Account
) -> None:
    response = signed_in(second_reviewer).post(
        act_of(approved, "refuse"), {"reason": "My long reasoning."}
    )
    page = response.content.decode()
    assert response.status_code == 409
    assert f"already approved by {rita.name}" in page
    assert "My long reasoning." in page
    approved.refresh_from_db()
    assert approved.state == State.APPROVED


def test_ones_own_application_can_be_read_and_not_acted_on(rita: Account, release: Release) -> None:
    Affiliation.objects.create(
        account=rita, category="academia", institution="U", country="NL", position="Dr"
    )
    own = services.start(actor=rita, releases=[release], answers=ANSWERS)
    services.submit(own.pk, actor=rita, typed_name=rita.name)
    client = signed_in(rita)
    page = text(client, page_of(own))
    assert "This is your own application" in page
    assert "Claim it" not in page
    response = client.post(act_of(own, "claim"))
    assert response.status_code == 403
    assert "Nobody reviews their own application." in response.content.decode()
    own.refresh_from_db()
    assert own.state == State.SUBMITTED


def test_the_buttons_are_posts_with_a_token_against_forgery(
    submitted: Application, rita: Account
) -> None:
    assert signed_in(rita).get(act_of(submitted, "claim")).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(rita, backend="django.contrib.auth.backends.ModelBackend")
    assert strict.post(act_of(submitted, "claim")).status_code == 403
    submitted.refresh_from_db()
    assert submitted.state == State.SUBMITTED


def test_an_action_that_does_not_exist_is_not_found(submitted: Application, rita: Account) -> None:
    assert signed_in(rita).post(act_of(submitted, "erase")).status_code == 404


def test_what_applicants_write_is_escaped_at_the_desk(
    alice: Account, rita: Account, release: Release
) -> None:
    evil = "<img src=x onerror=alert(1)>"
    made = services.start(
        actor=alice, releases=[release], answers={**ANSWERS, "intended_use": evil}
    )
    services.submit(made.pk, actor=alice, typed_name=alice.name)
    page = text(signed_in(rita), page_of(made))
    assert evil not in page
    assert "&lt;img src=x" in page


# ---- Who may be at the desk ----------------------------------------------------------------------


def test_the_desk_is_closed_to_who_does_not_review(
    submitted: Application, grant: Grant, mallory: Account
) -> None:
    staff_without_role = person("nora")
    staff_without_role.is_staff = True
    staff_without_role.save(update_fields=["is_staff"])
    for outsider in (mallory, staff_without_role):
        client = signed_in(outsider)
        for address in (QUEUE, GRANTS, page_of(submitted), page_of(grant)):
            assert client.get(address).status_code in (302, 403, 404)
        assert client.post(act_of(submitted, "claim")).status_code in (302, 403, 404)
        assert client.post(act_of(grant, "revoke"), {"reason": "x"}).status_code in (302, 403, 404)
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE


def test_a_draft_has_no_page_at_the_desk(draft: Application, rita: Account) -> None:
    client = signed_in(rita)
    assert client.get(page_of(draft)).status_code == 404
    assert client.post(act_of(draft, "claim")).status_code == 404


def test_nothing_is_added_or_deleted_by_hand(submitted: Application, manager: Account) -> None:
    client = signed_in(manager)
    assert client.get(f"{QUEUE}add/").status_code in (403, 404)
    assert client.post(f"{QUEUE}{submitted.pk}/delete/", {"post": "yes"}).status_code in (403, 404)
    assert Application.objects.filter(pk=submitted.pk).exists()


# ---- Grants, forms, agreements -------------------------------------------------------------------


def test_a_manager_revokes_suspends_and_reinstates(grant: Grant, manager: Account) -> None:
    client = signed_in(manager)
    assert "LLaMA 7B for Alice Example" in text(client, page_of(grant))
    for action, status in (
        ("suspend", "suspended"),
        ("reinstate", "active"),
        ("revoke", "revoked"),
    ):
        data = {"reason": "Because.", "confirm": str(grant)}
        assert client.post(act_of(grant, action), data).status_code == 302
        grant.refresh_from_db()
        assert grant.status == status
    assert "revoked for good" in text(client, page_of(grant))


def test_a_reason_is_asked_for_before_a_grant_is_closed(grant: Grant, manager: Account) -> None:
    refused = signed_in(manager).post(act_of(grant, "revoke"), {"reason": ""})
    assert refused.status_code == 422
    assert "Not done yet." in refused.content.decode()
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE


def test_revoking_asks_for_a_typed_confirmation_and_stands_below_suspend(
    grant: Grant, manager: Account
) -> None:
    client = signed_in(manager)
    page = text(client, page_of(grant))
    assert page.index("act/suspend") < page.index("act/revoke")
    assert f"Type {grant} to confirm" in page
    ids = re.findall(r'<(?:textarea|input)[^>]* id="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "a label leads to the field of its own form"
    for typed in ("", "G-999999"):
        data = {"reason": "Shared.", "confirm": typed}
        refused = client.post(act_of(grant, "revoke"), data)
        assert refused.status_code == 422
        assert "Shared." in refused.content.decode(), "what was typed comes back"
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE


def test_a_reviewer_sees_grants_and_changes_none(grant: Grant, rita: Account) -> None:
    client = signed_in(rita)
    page = text(client, page_of(grant))
    assert "Managers revoke, suspend and reinstate grants." in page
    assert (
        "<button" not in page.split('class="wb"')[1].split("</main>")[0] or "act/revoke" not in page
    )
    assert client.post(act_of(grant, "revoke")).status_code == 403, "not told what is missing"
    grant.refresh_from_db()
    assert grant.status == Grant.Status.ACTIVE
    assert len(denials(grant)) == 1


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("q=alice", True),
        ("q=llama-7b", True),
        ("q=mallory", False),
        ("time=running", True),
        ("time=soon", False),
        ("time=ended", False),
        ("status__exact=revoked", False),
    ],
)
def test_grants_are_found_by_filter_and_search(
    grant: Grant, rita: Account, query: str, shown: bool
) -> None:
    assert (f"G-{grant.pk:06d}" in text(signed_in(rita), f"{GRANTS}?{query}")) is shown


def test_agreements_are_read_and_never_changed(
    submitted: Application, rita: Account, manager: Account, mallory: Account
) -> None:
    address = reverse("admin:access_requests_licenceacceptance_changelist")
    assert "Alice Example" in text(signed_in(rita), address)
    one = reverse("admin:access_requests_licenceacceptance_change", args=[submitted.acceptance_id])
    assert signed_in(manager).post(one, {"typed_name": "Mallory"}).status_code == 403
    assert signed_in(mallory).get(address).status_code == 302


def test_the_history_speaks_in_words(rita: Account, applied_by: Callable[..., Application]) -> None:
    application = applied_by(applicant("bob"), until="in_review")
    page = text(signed_in(rita), page_of(application))
    for done in ("Draft started", "Submitted", "Claimed"):
        assert f">{done}</span>" in page
    assert ">application.claimed<" not in page
