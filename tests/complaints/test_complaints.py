"""The loudest complaints on record of people who applied for gated weights, each as a test that bears its name.

Two rows of the design's table are not here yet: the appeal after a refusal, and the mark in every copy.
What was said of download scripts stands in test_complaints_about_scripts.py.
"""

import html
import inspect
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

import access_requests.selectors.doors
from access_requests import selectors, services
from access_requests.models import Application, Grant
from distribution import links
from distribution.models import Download, Revision
from distribution.services import issue_links, publish, quotas
from portal.accounts.models import Account, Affiliation
from portal.audit.models import Event, Verb
from portal.catalog.models import LicenceVersion, Release
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.access_requests.people import seen_now
from tests.distribution.asking import ask
from tests.distribution.weights import original
from tests.people import person, signed_in, with_token

ANSWERS = {"research_purpose": "Negation.", "intended_use": "Probing.", "sharing": "outputs"}


@pytest.fixture(autouse=True)
def published(release: Release, tmp_path: Path, settings: object) -> Revision:
    settings.STORE_URL = f"local:{tmp_path / 'store'}"  # type: ignore[attr-defined]
    return publish(original(tmp_path / "weights"), repo_id=release.repo_id, actor=None)


@pytest.fixture
def submitted(alice: Account, release: Release) -> Application:
    application = services.start(actor=alice, releases=[release], answers=ANSWERS)
    return services.submit(application.pk, actor=alice, typed_name=alice.name)


@pytest.fixture
def grant(submitted: Application, rita: Account) -> Grant:
    services.claim(submitted.pk, actor=rita)
    services.decide(submitted.pk, seen=seen_now(submitted.pk), actor=rita, approve=True)
    return submitted.grants.get()


def test_403_from_a_fresh_link_and_no_word_why(
    grant: Grant, alice: Account, manager: Account
) -> None:
    """llama#278, #317, #360, #653."""
    link = issue_links(grant.release, actor=alice)[0]
    services.revoke(grant.pk, actor=manager, reason="A copy was found on a public server.")
    line = ask(link.url, accept="*/*")
    assert line.status == 403
    assert line.text.startswith("revoked: ")
    assert "A copy was found on a public server." in line.text
    assert re.search(r"\[request [0-9a-f]+\]", line.text)
    assert "What to do now" in ask(link.url, accept="text/html").text


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        (Code.EXPIRED, 403, "to get a fresh one"),
        (Code.REVOKED, 403, "A copy was found."),
        (Code.QUOTA_EXHAUSTED, 429, "Ask a manager of this site to allow another."),
        (Code.LICENCE_CHANGED, 403, "Read and accept it"),
        (Code.SIGNATURE_INVALID, 403, "a character was changed"),
        (Code.NOT_GRANTED, 403, "Apply for it"),
    ],
)
def test_every_refusal_of_a_download_names_its_cause_and_the_way_out(
    grant: Grant, alice: Account, manager: Account, code: Code, status: int, says: str
) -> None:
    """llama#278, #317, #360, #653: the six causes of the design, for people and programs, with a request id."""
    url = issue_links(grant.release, actor=alice, paths=["params.json"])[0].url
    match code:
        case Code.EXPIRED:
            artifact = Revision.objects.get().artifacts.get(path="params.json")
            past = timezone.now() - timedelta(minutes=1)
            url = links.url(grant.pk, artifact, expires_at=past)
        case Code.REVOKED:
            services.revoke(grant.pk, actor=manager, reason="A copy was found.")
        case Code.QUOTA_EXHAUSTED:
            quotas.set_quota(
                actor=manager, grant=grant, bytes_per_day=None, copies=1, transfers=None
            )
            assert ask(url).status == 200
        case Code.LICENCE_CHANGED:
            licence = grant.release.family.licence
            LicenceVersion.objects.create(
                licence=licence, number=2, text="New.", standing_grants="suspend"
            )
        case Code.SIGNATURE_INVALID:
            at = url.rindex("/") - 5
            url = url[:at] + ("A" if url[at] != "A" else "B") + url[at + 1 :]
        case Code.NOT_GRANTED:
            answer = with_token(manager).post(f"/api/v1/releases/{grant.release.slug}/links/")
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert says in answer.json()["way_out"]
            return
    line, problem = ask(url), ask(url, accept="application/json")
    for answer in (line, problem):
        assert (answer.status, answer.headers["X-Error-Code"]) == (status, code)
    said = json.loads(problem.body)
    assert line.text.startswith(f"{code}: ")
    assert said["code"] == code
    for text in (line.text, said["detail"] + said["way_out"]):
        assert says in text
    assert said["request_id"] == problem.headers["X-Request-Id"]
    assert line.headers["X-Request-Id"] in line.text


def test_a_mail_client_turned_the_ampersand_into_amp_and_broke_the_link(
    grant: Grant, alice: Account
) -> None:
    """llama#584, #353. There is nothing in a link that a mail client would escape."""
    for link in issue_links(grant.release, actor=alice):
        assert html.escape(link.url) == link.url
        assert "?" not in link.url
        assert ask(html.escape(link.url)).status == 200


def test_one_wildcard_link_opens_every_shard_to_anyone_who_gets_it(
    grant: Grant, alice: Account
) -> None:
    links = {link.path: link for link in issue_links(grant.release, actor=alice)}
    assert len({link.url for link in links.values()}) == len(links) > 1
    params, shard = links["params.json"], links["consolidated.00.pth"]
    stolen = params.url.rsplit("/", 1)[0] + "/consolidated.00.pth"
    assert ask(stolen).status == 403
    assert ask(shard.url).status == 200


def test_no_receipt_no_status_no_time_estimate(submitted: Application, alice: Account) -> None:
    """llama#26, metaseq#560."""
    receipt = OutgoingMail.objects.get(to=alice.email)
    assert submitted.reference in receipt.subject + receipt.body
    page = signed_in(alice).get(submitted.get_absolute_url()).text
    assert "Waiting for a reviewer" in page
    assert "Place in the queue" in page
    assert "Time to decision" in page


def test_refused_without_a_reason(submitted: Application, alice: Account, rita: Account) -> None:
    """huggingface_hub#2960."""
    services.claim(submitted.pk, actor=rita)
    with pytest.raises(Refusal) as refused:
        services.decide(
            submitted.pk, seen=seen_now(submitted.pk), actor=rita, approve=False, reason="  "
        )
    assert refused.value.code == Code.INVALID
    services.decide(
        submitted.pk,
        seen=seen_now(submitted.pk),
        actor=rita,
        approve=False,
        reason="The use is a service, not research.",
    )
    assert (
        "The use is a service, not research."
        in OutgoingMail.objects.filter(to=alice.email).first().body
    )
    assert (
        "The use is a service, not research."
        in signed_in(alice).get(submitted.get_absolute_url()).text
    )
    again = services.start(actor=alice, releases=list(submitted.releases.all()))
    assert again.pk != submitted.pk, "not for ever"


def test_rejected_where_one_answer_needed_mending(
    submitted: Application, alice: Account, rita: Account
) -> None:
    """dataverse#11431."""
    services.claim(submitted.pk, actor=rita)
    services.return_for_correction(
        submitted.pk, seen=seen_now(submitted.pk), actor=rita, message="Which server?"
    )
    services.save_draft(
        submitted.pk,
        actor=alice,
        releases=list(submitted.releases.all()),
        answers={**ANSWERS, "intended_use": "Probing, on the server of our department."},
    )
    services.submit(submitted.pk, actor=alice, typed_name=alice.name)
    page = signed_in(rita).get(f"/admin/access_requests/application/{submitted.pk}/change/").text
    assert "on the server of our department" in page
    assert "Probing." in page, "the old answer stands beside the new one"


def test_two_systems_matched_by_e_mail_address(grant: Grant, alice: Account) -> None:
    """llama#962. One account, one grant, every door; a new address changes nothing."""
    Account.objects.filter(pk=alice.pk).update(email="alice@another-lab.test")
    alice.refresh_from_db()
    slug = grant.release.slug
    assert "Download params.json" in signed_in(alice).get(f"/releases/{slug}/files/").text
    assert with_token(alice).post(f"/api/v1/releases/{slug}/links/").status_code == 200
    assert selectors.usable_grants(alice) == [grant]
    namesake = person("alice2")
    with pytest.raises(Refusal):
        selectors.grant_for(namesake, grant.release)


def test_the_access_rule_written_twice_disagreeing(
    grant: Grant, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """physionet-build. Shut the one rule (at its first line), and every door is shut with its words."""
    link = issue_links(grant.release, actor=alice)[0]

    def shut(*args: object, **kwargs: object) -> None:
        raise Refusal(Code.SUSPENDED, "The one rule says no.", "Wait.")

    monkeypatch.setattr(access_requests.selectors.doors, "_check_holder", shut)
    slug = grant.release.slug
    program = with_token(alice)
    assert (
        program.post(f"/api/v1/releases/{slug}/links/").json()["detail"] == "The one rule says no."
    )
    run = program.post(
        "/api/v1/runs/", {"release": slug, "prompt": "x"}, content_type="application/json"
    )
    assert run.json()["detail"] == "The one rule says no."
    assert "The one rule says no." in signed_in(alice).get(f"/releases/{slug}/files/").text
    assert "The one rule says no." in ask(link.url).text


def test_the_columns_of_a_grant_are_read_in_one_place() -> None:
    """What opens a door is decided in doors.py; upper floors never look at a grant's status or dates to decide."""
    root = Path(django_settings.BASE_DIR)
    for floor in ("distribution", "inference_sandbox"):
        for file in (root / floor).rglob("*.py"):
            if "migrations" not in file.parts and file.name != "admin.py":
                assert not re.search(
                    r"grant\.status|Grant\.Status|grant\.starts_at", file.read_text()
                ), file
    assert "def check_grant" in inspect.getsource(access_requests.selectors.doors)


def test_nobody_can_say_who_downloaded_what(grant: Grant, alice: Account, mallory: Account) -> None:
    """physionet, HF: page views only. Here: one row for every download and every denial, and the log agrees."""
    link = {link.path: link for link in issue_links(grant.release, actor=alice)}["params.json"]
    ask(link.url)
    ask(link.url.replace("/download/", "/download/x"))
    with pytest.raises(Refusal):
        issue_links(grant.release, actor=mallory)
    served, denied = Download.objects.order_by("id")
    assert (served.outcome, served.grant, served.artifact.path) == ("served", grant, "params.json")
    assert (denied.outcome, denied.code) == ("denied", "signature_invalid")
    for verb in (Verb.LINK_ISSUED, Verb.DOWNLOAD_STARTED, Verb.DOWNLOAD_DENIED, Verb.LINK_DENIED):
        assert Event.objects.filter(verb=verb).exists(), verb


def test_an_application_needs_an_affiliation_before_it_is_read(
    mallory: Account, release: Release
) -> None:
    assert not Affiliation.objects.filter(account=mallory).exists()
    with pytest.raises(Refusal):
        application = services.start(actor=mallory, releases=[release], answers=ANSWERS)
        services.submit(application.pk, actor=mallory, typed_name=mallory.name)
