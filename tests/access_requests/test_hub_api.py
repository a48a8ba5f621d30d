"""The hub's API for access requests, called by the real `huggingface_hub` client over HTTP."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from huggingface_hub import HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError

from access_requests import services
from access_requests.models import Application, Block, DecisionPolicy, Grant, State, Tier
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from portal.hub_words import BAD_TOKEN
from tests.access_requests.people import ANSWERS, applicant, denials, mails_to, seen_now, verbs
from tests.people import with_token

pytestmark = pytest.mark.django_db(transaction=True)
REPO = "meta/llama-7b"


@pytest.fixture(autouse=True)
def _groups(transactional_db: None) -> None:
    """A transactional test before this one may have emptied the table of roles."""
    from portal.accounts.roles import make_groups

    make_groups()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the client says to whoever runs the script; its logger hands nothing upward."""
    logger = logging.getLogger("huggingface_hub")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def hub(live_server: Any, settings: Any) -> Callable[..., HfApi]:
    """The client, as a person whose token has the scope `review`."""
    settings.BASE_URL = live_server.url  # which links to further pages are under

    def client(account: Account, *scopes: Scope) -> HfApi:
        chosen = [str(scope) for scope in scopes or [Scope.REVIEW]]
        _, text = ApiToken.make(account, name="automation", scopes=chosen)
        return HfApi(endpoint=live_server.url, token=text)

    return client


def listed(api: HfApi, status: str) -> list[str | None]:
    found = getattr(api, f"list_{status}_access_requests")(REPO)
    return [one.username for one in found]


def refused_with(status: int, call: Callable[[], Any]) -> HfHubHTTPError:
    with pytest.raises(HfHubHTTPError) as raised:
        call()
    assert raised.value.response.status_code == status, raised.value
    assert raised.value.response.headers["X-Error-Message"].isascii()
    return raised.value


def said(error: HfHubHTTPError) -> str:
    assert error.server_message
    return error.server_message


# ---- lists -----------------------------------------------------------------------------------------


def test_a_waiting_application_is_a_pending_request(
    hub: Callable[..., HfApi], submitted: Application, alice: Account, rita: Account
) -> None:
    [one] = hub(rita).list_pending_access_requests(REPO)
    assert one.username == alice.handle == f"u{alice.pk}"
    assert one.request_id == submitted.reference
    assert (one.fullname, one.email, one.status) == (alice.name, alice.email, "pending")
    submitted.refresh_from_db()
    assert abs((one.timestamp - submitted.submitted_at).total_seconds()) < 0.001  # type: ignore[operator]
    assert one.fields
    assert one.fields["Institution"] == "University of Testing"
    assert ANSWERS["research_purpose"] in one.fields.values()
    assert listed(hub(rita), "accepted") == listed(hub(rita), "rejected") == []


def test_a_draft_and_a_returned_application_are_in_no_list(
    hub: Callable[..., HfApi], draft: Application, alice: Account, rita: Account
) -> None:
    api = hub(rita)
    assert listed(api, "pending") == []
    refused_with(404, lambda: api.accept_access_request(REPO, alice.handle))
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    services.claim(draft.pk, actor=rita)
    services.return_for_correction(
        draft.pk, seen=seen_now(draft.pk), actor=rita, message="Which corpus?"
    )
    assert listed(api, "pending") == []
    error = refused_with(409, lambda: api.accept_access_request(REPO, alice.handle))
    assert "returned" in said(error)


def test_lists_are_paged_and_survive_accepting_while_reading(
    hub: Callable[..., HfApi],
    applied_by: Callable[..., Application],
    rita: Account,
    live_server: Any,
) -> None:
    made = [applied_by(applicant(f"person{n}")).applicant.handle for n in range(5)]
    api = hub(rita)
    headers = {"Authorization": f"Bearer {api.token}"}
    seen = []
    url = f"{live_server.url}/api/models/{REPO}/user-access-request/pending?limit=2"
    while url:
        page = httpx.get(url, headers=headers)
        seen += [one["user"]["user"] for one in page.json()]
        for one in page.json():
            api.accept_access_request(REPO, request_id=one["requestId"])
        url = page.links.get("next", {}).get("url", "")
    assert seen == made
    assert sorted(map(str, listed(api, "accepted"))) == sorted(made)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=99999", "cursor=b1", "cursor=a"])
def test_odd_paging_is_a_clear_400(rita: Account, release: Release, query: str) -> None:
    address = f"/api/models/{REPO}/user-access-request/pending?{query}"
    answer = with_token(rita, Scope.REVIEW).get(address)
    assert answer.status_code == 400
    assert answer["X-Error-Code"] == "invalid"


def test_the_number_of_queries_does_not_grow_with_the_list(
    applied_by: Callable[..., Application], rita: Account
) -> None:
    program = with_token(rita, Scope.REVIEW)

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            for status in ("pending", "accepted", "rejected"):
                address = f"/api/models/{REPO}/user-access-request/{status}"
                assert program.get(address).status_code == 200
        return len(seen)

    def fill(names: str) -> None:
        for name in names:
            applied_by(applicant(f"waits{name}"))
            applied_by(applicant(f"holds{name}"), until="approved")
            no = applied_by(applicant(f"refused{name}"), until="in_review")
            services.decide(
                no.pk, seen=seen_now(no.pk), actor=rita, approve=False, reason="No plan."
            )

    fill("a")
    queries()  # the token's last use is written once a minute
    few = queries()
    fill("bcde")
    assert queries() == few


# ---- accept ----------------------------------------------------------------------------------------


def test_accepting_claims_and_approves(
    hub: Callable[..., HfApi], submitted: Application, alice: Account, rita: Account
) -> None:
    api = hub(rita)
    api.accept_access_request(REPO, alice.handle)
    submitted.refresh_from_db()
    assert (submitted.state, submitted.decided_by) == (State.APPROVED, rita)
    assert verbs(submitted)[-2:] == ["application.claimed", "application.approved"]
    assert submitted.reviews.get().evidence, "the evidence is kept as after a click"
    assert mails_to(alice)[-1] == "application_approved"
    assert listed(api, "pending") == []
    assert listed(api, "accepted") == [alice.handle]
    [one] = api.list_accepted_access_requests(REPO)
    assert one.fields is not None
    assert one.fields["Tier"] == "weights"
    again = refused_with(404, lambda: api.accept_access_request(REPO, alice.handle))
    assert "accepted list already" in said(again)
    assert Grant.objects.count() == 1


@pytest.mark.parametrize("name", ["alice@lab.test", "ALICE@lab.test"])
def test_a_person_may_be_named_by_address(
    hub: Callable[..., HfApi], submitted: Application, rita: Account, name: str
) -> None:
    hub(rita).accept_access_request(REPO, name)
    submitted.refresh_from_db()
    assert submitted.state == State.APPROVED


def test_a_request_may_be_named_by_its_id_and_only_under_its_own_release(
    hub: Callable[..., HfApi], submitted: Application, second_release: Release, rita: Account
) -> None:
    api = hub(rita)
    reference = submitted.reference
    for repo, name in (
        (second_release.repo_id, reference),
        (REPO, "WB-999999"),
        (REPO, "nonsense"),
    ):
        refused_with(404, lambda: api.accept_access_request(repo, request_id=name))  # noqa: B023
    api.accept_access_request(REPO, request_id=reference)
    submitted.refresh_from_db()
    assert submitted.state == State.APPROVED


def test_the_first_of_two_approvals_leaves_it_pending_and_says_so(
    hub: Callable[..., HfApi],
    submitted: Application,
    release: Release,
    alice: Account,
    rita: Account,
    second_reviewer: Account,
    logged: pytest.LogCaptureFixture,
) -> None:
    DecisionPolicy.objects.create(release=release, approvals=2)
    api = hub(rita)
    api.accept_access_request(REPO, alice.handle)
    assert not Grant.objects.exists()
    assert listed(api, "pending") == [alice.handle]
    assert "this was the first" in logged.text
    error = refused_with(403, lambda: api.accept_access_request(REPO, alice.handle))
    assert "second approval is another person's" in said(error)
    hub(second_reviewer).accept_access_request(REPO, alice.handle)
    assert listed(api, "accepted") == [alice.handle]


def test_a_checklist_cannot_be_skipped_and_the_claim_is_given_back(
    hub: Callable[..., HfApi], submitted: Application, release: Release, rita: Account
) -> None:
    DecisionPolicy.objects.create(release=release, checklist="Identity checked")
    with pytest.raises(BadRequestError) as raised:
        hub(rita).accept_access_request(REPO, submitted.applicant.handle)
    assert "Identity checked" in said(raised.value)
    submitted.refresh_from_db()
    assert (submitted.state, submitted.claimed_by) == (State.SUBMITTED, None)


def test_nobody_accepts_their_own_request(
    hub: Callable[..., HfApi], applied_by: Callable[..., Application], release: Release
) -> None:
    robin = applicant("robin")
    from django.contrib.auth.models import Group

    robin.groups.set(Group.objects.filter(name="Managers"))
    own = applied_by(robin)
    error = refused_with(403, lambda: hub(robin).accept_access_request(REPO, robin.handle))
    assert "own application" in said(error)
    assert [event.actor_id for event in denials(own)] == [robin.pk], "the attempt is on record"
    own.refresh_from_db()
    assert own.state == State.SUBMITTED


def test_who_is_recused_sees_and_accepts_nothing(
    hub: Callable[..., HfApi], submitted: Application, alice: Account, rita: Account
) -> None:
    services.recuse(submitted.pk, actor=rita, reason="We share a flat.")
    assert listed(hub(rita), "pending") == []
    refused_with(403, lambda: hub(rita).accept_access_request(REPO, alice.handle))


def test_a_colleagues_claim_is_respected(
    hub: Callable[..., HfApi], in_review: Application, alice: Account, second_reviewer: Account
) -> None:
    api = hub(second_reviewer)
    error = refused_with(409, lambda: api.accept_access_request(REPO, alice.handle))
    assert "Rita" in said(error)
    refused_with(409, lambda: api.reject_access_request(REPO, alice.handle, rejection_reason="No."))


def test_the_block_list_holds(
    hub: Callable[..., HfApi], submitted: Application, alice: Account, rita: Account
) -> None:
    Block.objects.create(
        family=submitted.family, account=alice, reason="Leaked a copy.", created_by=rita
    )
    error = refused_with(403, lambda: hub(rita).accept_access_request(REPO, alice.handle))
    assert "Leaked a copy." in said(error)


def test_a_withdrawn_release_is_not_gated_but_closed(
    hub: Callable[..., HfApi], submitted: Application, release: Release, rita: Account
) -> None:
    release.status = Release.Status.WITHDRAWN
    release.save()
    for call in ("accept_access_request", "grant_access"):
        with pytest.raises(BadRequestError):
            getattr(hub(rita), call)(REPO, submitted.applicant.handle)


def both_releases(alice: Account, release: Release, second: Release) -> Application:
    made = services.start(actor=alice, releases=[release, second], answers=ANSWERS)
    return services.submit(made.pk, actor=alice, typed_name=alice.name)


def test_accepting_one_of_two_releases_grants_that_one_and_says_so(
    hub: Callable[..., HfApi],
    alice: Account,
    rita: Account,
    release: Release,
    second_release: Release,
    logged: pytest.LogCaptureFixture,
) -> None:
    both_releases(alice, release, second_release)
    hub(rita).accept_access_request(REPO, alice.handle)
    assert Grant.objects.get().release == release
    assert "meta/llama-13b" in logged.text


def test_rejecting_one_of_two_releases_does_not_refuse_both(
    hub: Callable[..., HfApi],
    alice: Account,
    rita: Account,
    release: Release,
    second_release: Release,
) -> None:
    made = both_releases(alice, release, second_release)
    api = hub(rita)
    error = refused_with(
        409, lambda: api.reject_access_request(REPO, alice.handle, rejection_reason="Too large.")
    )
    assert "meta/llama-13b too" in said(error)
    made.refresh_from_db()
    assert (made.state, made.claimed_by) == (State.SUBMITTED, None)


# ---- reject ----------------------------------------------------------------------------------------


def test_rejecting_refuses_with_the_reason(
    hub: Callable[..., HfApi], submitted: Application, alice: Account, rita: Account
) -> None:
    api = hub(rita)
    with pytest.raises(BadRequestError) as raised:
        api.reject_access_request(REPO, alice.handle, rejection_reason=None)
    assert "rejection_reason" in said(raised.value)
    api.reject_access_request(REPO, alice.handle, rejection_reason="No research question.")
    submitted.refresh_from_db()
    assert (submitted.state, submitted.decision_reason) == (State.REFUSED, "No research question.")
    assert mails_to(alice)[-1] == "application_refused"
    assert listed(api, "rejected") == [alice.handle]
    again = refused_with(
        404, lambda: api.reject_access_request(REPO, alice.handle, rejection_reason="No.")
    )
    assert "rejected list already" in said(again)
    for call in (api.accept_access_request, api.cancel_access_request, api.grant_access):
        error = refused_with(409, lambda: call(REPO, alice.handle))  # noqa: B023
        assert "appeal" in said(error)


def test_an_appeal_is_pending_again_and_somebody_else_accepts_it(
    hub: Callable[..., HfApi],
    refused: Application,
    alice: Account,
    rita: Account,
    second_reviewer: Account,
) -> None:
    services.appeal(refused.pk, actor=alice, text="It has a question.")
    assert listed(hub(rita), "rejected") == []
    assert listed(hub(second_reviewer), "pending") == [alice.handle]
    refused_with(403, lambda: hub(rita).accept_access_request(REPO, alice.handle))
    hub(second_reviewer).accept_access_request(REPO, alice.handle)
    assert listed(hub(rita), "accepted") == [alice.handle]


def test_rejecting_who_has_access_revokes_the_grant_and_is_for_managers(
    hub: Callable[..., HfApi], grant: Grant, alice: Account, rita: Account, manager: Account
) -> None:
    refused_with(
        403, lambda: hub(rita).reject_access_request(REPO, alice.handle, rejection_reason="No.")
    )
    hub(manager).reject_access_request(REPO, alice.handle, rejection_reason="A copy was public.")
    grant.refresh_from_db()
    assert (grant.status, grant.status_reason) == ("revoked", "A copy was public.")
    assert listed(hub(rita), "rejected") == [alice.handle]
    error = refused_with(409, lambda: hub(manager).accept_access_request(REPO, alice.handle))
    assert "revoked" in said(error)


# ---- cancel ----------------------------------------------------------------------------------------


def test_cancelling_takes_access_away_until_it_is_accepted_again(
    hub: Callable[..., HfApi], grant: Grant, alice: Account, manager: Account
) -> None:
    api = hub(manager)
    api.cancel_access_request(REPO, alice.handle)
    grant.refresh_from_db()
    assert (grant.status, grant.pending_again) == ("suspended", True)
    assert mails_to(alice)[-1] == "grant_suspended"
    assert listed(api, "accepted") == []
    assert listed(api, "pending") == [alice.handle]
    again = refused_with(404, lambda: api.cancel_access_request(REPO, alice.handle))
    assert "pending list already" in said(again)
    api.accept_access_request(REPO, alice.handle)
    grant.refresh_from_db()
    assert (grant.status, grant.pending_again) == ("active", False)
    assert listed(api, "accepted") == [alice.handle]


def test_what_was_set_back_can_be_rejected(
    hub: Callable[..., HfApi], grant: Grant, alice: Account, manager: Account
) -> None:
    api = hub(manager)
    api.cancel_access_request(REPO, alice.handle)
    api.reject_access_request(REPO, alice.handle, rejection_reason="No answer.")
    assert listed(api, "rejected") == [alice.handle]
    assert listed(api, "pending") == []


def test_cancelling_is_for_managers_and_needs_a_request(
    hub: Callable[..., HfApi],
    grant: Grant,
    alice: Account,
    rita: Account,
    manager: Account,
    mallory: Account,
) -> None:
    refused_with(403, lambda: hub(rita).cancel_access_request(REPO, alice.handle))
    grant.refresh_from_db()
    assert grant.status == "active"
    assert [event.actor_id for event in denials(grant)] == [rita.pk]
    refused_with(404, lambda: hub(manager).cancel_access_request(REPO, mallory.handle))


def test_a_suspension_for_another_cause_is_not_lifted_by_a_script(
    hub: Callable[..., HfApi], grant: Grant, alice: Account, manager: Account
) -> None:
    services.suspend(grant.pk, actor=manager, reason="We have a question.")
    api = hub(manager)
    assert listed(api, "pending") == listed(api, "accepted") == []
    for call in (api.accept_access_request, api.grant_access, api.cancel_access_request):
        error = refused_with(409, lambda: call(REPO, alice.handle))  # noqa: B023
        assert "suspended by a manager" in said(error)


# ---- grant -----------------------------------------------------------------------------------------


def test_granting_access_accepts_what_waits(
    hub: Callable[..., HfApi], submitted: Application, alice: Account, rita: Account
) -> None:
    api = hub(rita)
    api.grant_access(REPO, alice.handle)
    assert listed(api, "accepted") == [alice.handle]
    with pytest.raises(BadRequestError) as raised:
        api.grant_access(REPO, alice.handle)
    assert "has access" in said(raised.value)


def test_nobody_is_granted_access_without_an_application(
    hub: Callable[..., HfApi], release: Release, rita: Account, mallory: Account
) -> None:
    error = refused_with(409, lambda: hub(rita).grant_access(REPO, mallory.handle))
    assert "did not apply" in said(error)
    assert not Grant.objects.exists()


# ---- who, and how a refusal reads ------------------------------------------------------------------

CALLS: list[tuple[str, dict[str, str]]] = [
    ("accept_access_request", {}),
    ("reject_access_request", {"rejection_reason": "No."}),
    ("cancel_access_request", {}),
    ("grant_access", {}),
]


@pytest.mark.parametrize(("call", "more"), CALLS)
def test_mallory_may_not_and_it_is_on_record(
    hub: Callable[..., HfApi], grant: Grant, alice: Account, mallory: Account, call: str, more: Any
) -> None:
    act = getattr(hub(mallory), call)
    error = refused_with(403, lambda: act(REPO, alice.handle, **more))
    assert "reviewers and managers" in said(error)
    grant.refresh_from_db()
    assert grant.status == "active"
    assert [event.actor_id for event in denials(grant.release)] == [mallory.pk]


@pytest.mark.parametrize("status", ["pending", "accepted", "rejected"])
def test_lists_are_shut_to_mallory_and_to_tokens_without_the_scope(
    hub: Callable[..., HfApi], submitted: Application, rita: Account, mallory: Account, status: str
) -> None:
    refused_with(403, lambda: listed(hub(mallory), status))
    error = refused_with(403, lambda: listed(hub(rita, Scope.READ, Scope.APPLY), status))
    assert "`review`" in said(error)
    assert listed(hub(rita), status) is not None


@pytest.mark.parametrize(("call", "more"), CALLS)
def test_the_scope_unknown_people_and_unknown_repos(
    hub: Callable[..., HfApi],
    submitted: Application,
    alice: Account,
    rita: Account,
    call: str,
    more: Any,
) -> None:
    refused_with(403, lambda: getattr(hub(rita, Scope.READ), call)(REPO, alice.handle, **more))
    act = getattr(hub(rita), call)
    for nobody in ("u999999", "nobody@lab.test", "bob", "u0"):
        error = refused_with(404, lambda: act(REPO, nobody, **more))  # noqa: B023
        assert "no user" in said(error)
    for repo in ("meta/llama-8b", "llama-7b"):
        with pytest.raises(RepositoryNotFoundError):
            act(repo, alice.handle, **more)
    submitted.refresh_from_db()
    assert submitted.state == State.SUBMITTED


def test_a_bad_token_is_named_as_such(live_server: Any, release: Release) -> None:
    api = HfApi(endpoint=live_server.url, token="wb_wrong")
    error = refused_with(401, lambda: list(api.list_pending_access_requests(REPO)))
    assert error.response.headers["X-Error-Message"] == BAD_TOKEN
    assert "X-Error-Code" not in error.response.headers
    anonymous = HfApi(endpoint=live_server.url, token=False)
    refused_with(401, lambda: list(anonymous.list_pending_access_requests(REPO)))


def test_a_browser_session_opens_nothing_here(submitted: Application, rita: Account) -> None:
    """A page of another site must not accept requests with the reviewer's cookie."""
    client = Client()
    client.force_login(rita, backend="django.contrib.auth.backends.ModelBackend")
    body = json.dumps({"user": submitted.applicant.handle, "status": "accepted"})
    address = f"/api/models/{REPO}/user-access-request/handle"
    assert client.post(address, body, content_type="application/json").status_code == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("handle", "not json"),
        ("handle", "[]"),
        ("handle", "{}"),
        ("handle", '{"user": 7, "status": "accepted"}'),
        ("handle", '{"user": "u1", "requestId": "WB-000001", "status": "accepted"}'),
        ("handle", '{"user": "alice@lab.test", "status": "maybe"}'),
        ("grant", "{}"),
        ("grant", '{"user": ["u1"]}'),
    ],
)
def test_odd_bodies_are_a_clear_400(
    submitted: Application, rita: Account, path: str, body: str
) -> None:
    answer = with_token(rita, Scope.REVIEW).post(
        f"/api/models/{REPO}/user-access-request/{path}", body, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert answer["X-Error-Message"]


def test_a_co_applicant_is_listed_under_a_request_of_their_own(
    hub: Callable[..., HfApi], grant: Grant, manager: Account, rita: Account
) -> None:
    bob = applicant("bob")
    member = grant.application.coapplicants.create(  # type: ignore[union-attr]
        email=bob.email,
        account=bob,
        status="admitted",
        acceptance=grant.acceptance,
        affiliation={"institution": "Second University"},
        invited_at=grant.starts_at,
        expires_at=grant.ends_at,
    )
    Grant.objects.create(
        account=bob,
        release=grant.release,
        application=grant.application,
        acceptance=member.acceptance,
        starts_at=grant.starts_at,
        ends_at=grant.ends_at,
    )
    api = hub(manager)
    _, one = api.list_accepted_access_requests(REPO)
    assert one.username == bob.handle
    assert one.request_id == f"{grant.application.reference}.{bob.handle}"  # type: ignore[union-attr]
    assert one.fields is not None
    assert one.fields["Institution"] == "Second University"
    assert ANSWERS["research_purpose"] not in one.fields.values()
    api.cancel_access_request(REPO, request_id=one.request_id)
    assert [str(u) for u in listed(api, "accepted")] == [grant.account.handle]
    assert listed(api, "pending") == [bob.handle]


def test_a_second_approval_keeps_to_the_tier_and_the_end_of_the_first(
    hub: Callable[..., HfApi],
    in_review: Application,
    release: Release,
    alice: Account,
    rita: Account,
    second_reviewer: Account,
) -> None:
    DecisionPolicy.objects.create(release=release, approvals=2)
    end = timezone.now() + timedelta(days=30)
    services.decide(
        in_review.pk,
        seen=seen_now(in_review.pk),
        actor=rita,
        approve=True,
        tier=Tier.TRY,
        ends_at=end,
    )
    hub(second_reviewer).accept_access_request(REPO, alice.handle)
    grant = Grant.objects.get()
    assert (grant.tier, grant.ends_at) == (Tier.TRY, end)
