"""A person is erased: who they were is nowhere, what was decided still is, and the log verifies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core import mail
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from access_requests import services
from access_requests.models import (
    Application,
    Attachment,
    BlockedAddress,
    CoApplicant,
    Grant,
    LicenceAcceptance,
    OrcidRecord,
    Renewal,
    SavedFilter,
    SecondLook,
    State,
    Waiver,
    Witness,
)
from access_requests.selectors import past
from portal.accounts import erasing
from portal.accounts import services as accounts
from portal.accounts.models import Account, Erasure
from portal.accounts.roles import Role
from portal.audit import sealing, verifying
from portal.audit.models import Event, Verb
from portal.catalog.models import Family, Release
from portal.mail.models import OutgoingMail
from portal.mail.services import deliver, waiting_ids
from portal.refusals import Code, Refusal
from tests.access_requests.clock import Clock
from tests.access_requests.people import applicant, mails_to, seen_now
from tests.access_requests.samples import EVERY_QUESTION, GOOD, PDF, upload
from tests.access_requests.test_coapplicants import joined
from tests.access_requests.test_submit import refusal_of
from tests.people import person, signed_in, with_token

# Each of these is planted somewhere; none may be left anywhere.
NAME, ADDRESS, SECOND = "Aloysia Planted", "aloysia@planted.test", "al@second-planted.test"
INVITED, PLANTED = "friend@invited-planted.test", "planted-words"
SECRETS = [NAME, ADDRESS, SECOND, INVITED, PLANTED, "Aloysia", "0000-0002-1825-0097"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def everything() -> Iterator[tuple[str, str]]:
    """Every value of every row of the database, in lower case, and where it stands."""
    for model in apps.get_models():
        for row in model._default_manager.all():
            yield from _values_of(row)


def _values_of(row: Model) -> Iterator[tuple[str, str]]:
    for field in row._meta.concrete_fields:
        yield f"{row._meta.label} {row.pk} {field.name}", str(field.value_from_object(row)).lower()
    if isinstance(row, Session):
        yield f"session {row.pk}", str(row.get_decoded()).lower()


def traces(secret: str) -> list[str]:
    return [where for where, text in everything() if secret.lower() in text]


@pytest.fixture
def aloysia(db: None) -> Account:
    """With everything that an account can hold."""
    account = applicant(
        "alice",
        institution=f"Institute of {PLANTED}",
        position=f"{PLANTED} reader",
        web_page=f"https://{PLANTED}.test/",
        orcid="0000-0002-1825-0097",
    )
    account.name, account.email = NAME, ADDRESS
    account.save()
    account.emailaddress_set.update(email=ADDRESS)  # type: ignore[attr-defined]
    account.emailaddress_set.create(email=SECOND, verified=True)  # type: ignore[attr-defined]
    accounts.create_token(account, actor=account, name=PLANTED, scopes=["read"])
    Authenticator.objects.create(user=account, type="totp", data={"secret": PLANTED})
    SocialAccount.objects.create(
        user=account, provider="orcid", uid=PLANTED, extra_data={"name": NAME}
    )
    SavedFilter.objects.create(owner=account, name=PLANTED, query=PLANTED)
    LogEntry.objects.create(
        user=account,
        content_type=ContentType.objects.get_for_model(Account),
        object_id=str(account.pk),
        object_repr=NAME,
        action_flag=CHANGE,
    )
    signed_in(account)
    return account


@pytest.fixture
def story(
    clock: Clock,
    aloysia: Account,
    rita: Account,
    second_reviewer: Account,
    manager: Account,
    family: Family,
    release: Release,
) -> Grant:
    """A long one: refused, appealed, approved, talked about, renewed, suspended, closed out."""
    services.make_form(family, EVERY_QUESTION)
    answers = {**GOOD, "plan": PLANTED, "title": NAME}
    made = services.start(actor=aloysia, releases=[release], answers=answers)
    services.attach(made.pk, "letter", upload(PDF, f"{PLANTED}.pdf"), actor=aloysia)
    Application.objects.filter(pk=made.pk).update(carried={"dropped": [[PLANTED, PLANTED]]})
    services.submit(made.pk, actor=aloysia, typed_name=NAME)
    services.claim(made.pk, actor=rita)
    services.write(made.pk, actor=aloysia, body=f"{PLANTED} {NAME}")
    services.note(made.pk, actor=rita, body=f"{PLANTED} {NAME}")
    services.ask(made.pk, actor=rita, reviewer=second_reviewer, question=f"Do you know {NAME}?")
    services.advise(
        made.pk, seen=seen_now(made.pk), actor=second_reviewer, advice="unsure", answer=PLANTED
    )
    services.return_for_correction(made.pk, seen=seen_now(made.pk), actor=rita, message=PLANTED)
    services.submit(made.pk, actor=aloysia, typed_name=NAME)
    services.decide(
        made.pk, seen=seen_now(made.pk), actor=rita, approve=False, reason=f"No, {PLANTED}."
    )
    services.appeal(made.pk, actor=aloysia, text=PLANTED)
    sam = person("samuel", Role.REVIEWER)
    services.recuse(made.pk, actor=sam, reason=f"{NAME} is my sister.")
    services.claim(made.pk, actor=manager)
    services.decide(made.pk, seen=seen_now(made.pk), actor=manager, approve=True, reason=PLANTED)
    services.invite(made.pk, actor=aloysia, email=INVITED)
    grant = Grant.objects.get()
    _in_the_lab_of_another(aloysia, family, rita)
    services.suspend(grant.pk, actor=manager, reason=PLANTED)
    services.reinstate(grant.pk, actor=manager, reason=PLANTED)
    services.ask_renewal(grant.pk, actor=aloysia, used_for=PLANTED, publications=PLANTED)
    services.refuse_renewal(Renewal.objects.get().pk, actor=rita, reason=PLANTED)
    for one in Grant.objects.filter(account=aloysia):
        services.close_out(one.pk, actor=aloysia, typed_name=NAME, remarks=PLANTED)
    services.start(actor=aloysia, releases=[release], answers=answers)  # a draft that nobody saw
    _what_others_said(made, aloysia, sam, manager)
    return grant


def _what_others_said(made: Application, aloysia: Account, sam: Account, manager: Account) -> None:
    """Of the person, and the person of another."""
    said = {"relation": f"I taught {NAME}.", "research": "yes", "typed_name": NAME}
    given: dict[str, Any] = {"position": PLANTED, "status": "answered", "statement": said}
    Witness.objects.create(
        application=made, kind="referee", name=PLANTED, email=f"{PLANTED}@a.test", **given
    )
    bobs = Application.objects.get(applicant__email="bob@lab.test")
    Witness.objects.create(
        application=bobs,
        kind="official",
        name=NAME,
        email=ADDRESS,
        **{**given, "statement": {"confirms": True, "typed_name": NAME}},
    )
    Waiver.objects.create(
        application=made, kind="official", reason=f"{NAME}, {PLANTED}", decided_by=manager
    )
    SecondLook.objects.create(
        review=made.reviews.get(outcome="approved"),
        application=made,
        reviewer=sam,
        seen={"answers": made.answers, "affiliation": {"institution": PLANTED}},
        outcome="approve",
        reason=PLANTED,
    )
    OrcidRecord.objects.create(
        orcid="0000-0002-1825-0097", found=True, name=NAME, looked_up_at=timezone.now()
    )


def _in_the_lab_of_another(aloysia: Account, family: Family, rita: Account) -> None:
    bob = applicant("bob")
    theirs = {**GOOD, "orcid": "0000-0001-5109-3700"}
    made = services.start(actor=bob, releases=list(family.releases.all()), answers=theirs)
    services.attach(made.pk, "letter", upload(PDF, "cv.pdf"), actor=bob)
    services.submit(made.pk, actor=bob, typed_name=bob.name)
    joined(made, aloysia)
    services.claim(made.pk, actor=rita)
    services.decide(made.pk, seen=seen_now(made.pk), actor=rita, approve=True)


def erase_in_time(clock: Clock, account: Account) -> Account:
    erasing.ask(account.pk, actor=account)
    clock.forward(days=erasing.DAYS, minutes=1)
    assert erasing.erase_due() == 1
    account.refresh_from_db()
    return account


def files() -> list[Path]:
    return [path for path in (settings.MEDIA_ROOT / "attachments").rglob("*") if path.is_file()]


@pytest.mark.django_db(transaction=True)
def test_nothing_that_shows_who_it_was_is_left_anywhere(clock: Clock, story: Grant) -> None:
    aloysia = story.account
    assert all(traces(secret) for secret in SECRETS), "a secret was not planted"
    before = len(files())
    sealing.seal_waiting()
    erase_in_time(clock, aloysia)
    for pk in waiting_ids():
        assert deliver(pk)
    last = mail.outbox[-1]
    assert last.to == [ADDRESS]
    assert "Your data was erased" in last.subject
    assert NAME in last.body
    assert sum(ADDRESS in sent.to for sent in mail.outbox) == 1, "none of the older ones"
    for secret in SECRETS:
        assert traces(secret) == []
    assert len(files()) == before - 1, "the attached file, and no other's"
    clock.forward(minutes=5)
    sealing.seal_waiting()
    assert verifying.verify().events == Event.objects.count()


def test_the_record_of_the_decisions_is_kept(
    clock: Clock, story: Grant, rita: Account, manager: Account
) -> None:
    aloysia, events = story.account, Event.objects.count()
    moment = clock.time
    application = story.application
    assert application is not None
    digests = list(LicenceAcceptance.objects.values_list("pk", "text_sha256").order_by("pk"))
    erase_in_time(clock, aloysia)
    application.refresh_from_db()
    assert application.state == State.APPROVED
    assert application.decided_by == manager
    assert application.affiliation == {"category": "Academia", "country": "Netherlands"}
    decision = application.reviews.get(outcome="approved")
    assert decision.reviewer == manager
    assert {check["result"] for check in decision.evidence} <= {"supports", "attention", "neutral"}
    assert {check["finding"] for check in decision.evidence} == {erasing.GONE}
    assert digests == list(
        LicenceAcceptance.objects.values_list("pk", "text_sha256").order_by("pk")
    )
    assert Event.objects.count() >= events
    (then,) = past.grants_then(Grant.objects.filter(pk=story.pk), moment)
    assert then.grant.account.name == f"Erased person {aloysia.pk}"
    others = CoApplicant.objects.exclude(application=application)
    assert {row.email for row in others} == {f"erased-{aloysia.pk}@erased.invalid"}
    bob = Application.objects.get(applicant__email="bob@lab.test")
    assert bob.answers, "another's application is as it was"
    assert bob.attachments.exists()


def rename(account: Account, name: str) -> None:
    account.name = name
    account.save()


@pytest.mark.parametrize("common", ["Your", "grant", "lab.test"])
def test_a_name_that_is_a_common_word_clears_nothing_of_others(
    clock: Clock, mallory: Account, submitted: Application, alice: Account, common: str
) -> None:
    LogEntry.objects.create(
        user=alice,
        content_type=ContentType.objects.get_for_model(Grant),
        object_id="1",
        object_repr="Your grant, lab.test",
        action_flag=CHANGE,
    )
    of_others = OutgoingMail.objects.filter(to=alice.email)
    before = list(of_others.values_list("pk", "subject", "body"))
    assert any("your" in body for *_, body in before)
    rename(mallory, common)
    erase_in_time(clock, mallory)
    assert list(of_others.values_list("pk", "subject", "body")) == before
    assert LogEntry.objects.get().object_repr == "Your grant, lab.test"


def test_a_mail_that_holds_an_earlier_name_is_cleared_too(
    clock: Clock, alice: Account, submitted: Application
) -> None:
    services.invite(submitted.pk, actor=alice, email=INVITED)
    bob = applicant("bob")
    place = joined(submitted, bob)
    OutgoingMail.objects.update(sent_at=timezone.now())
    rename(alice, "Alice Married"), rename(bob, "Bob Renamed")
    services.remove(place.pk, actor=bob)
    erase_in_time(clock, bob)
    assert traces("Bob Example") == []
    assert traces("Alice Example"), "who stays, stays"
    services.withdraw(submitted.pk, actor=alice)
    erase_in_time(clock, alice)
    assert traces("Alice Example") == []


def test_the_evidence_that_named_who_vouched_is_cleared(
    clock: Clock, submitted: Application, rita: Account
) -> None:
    dora = applicant("dora")
    found = {"official": f"{dora.name} confirmed", "history": "Example of a first application."}
    services.claim(submitted.pk, actor=rita)
    submitted.reviews.update(
        evidence=[
            {"key": key, "result": "supports", "finding": text} for key, text in found.items()
        ]
    )
    Witness.objects.create(
        application=submitted, kind="official", name=dora.name, email=dora.email, position="Dean"
    )
    erase_in_time(clock, dora)
    kept = {check["key"]: check["finding"] for check in submitted.reviews.get().evidence}
    assert kept == {"official": erasing.GONE, "history": "Example of a first application."}


def test_erasing_twice_changes_nothing(clock: Clock, alice: Account) -> None:
    erase_in_time(clock, alice)
    assert erasing.erase(alice.pk).erased_at == alice.erased_at
    assert erasing.erase_due() == 0
    assert Event.objects.filter(verb=Verb.ACCOUNT_ERASED).count() == 1
    assert OutgoingMail.objects.filter(template="erased").count() == 1
    assert refusal_of(erasing.ask, alice.pk, actor=alice).code == Code.WRONG_STATE


def test_it_waits_for_seven_days_in_which_the_person_takes_it_back(
    clock: Clock, alice: Account
) -> None:
    erasing.ask(alice.pk, actor=alice)
    assert mails_to(alice) == ["erasure_scheduled"]
    clock.forward(days=erasing.DAYS, minutes=-1)
    assert erasing.erase_due() == 0
    with pytest.raises(Refusal) as early:
        erasing.erase(alice.pk)
    assert early.value.code == Code.TOO_EARLY
    assert refusal_of(erasing.ask, alice.pk, actor=alice).code == Code.WRONG_STATE
    erasing.take_back(alice.pk, actor=alice)
    clock.forward(days=30)
    assert erasing.erase_due() == 0
    alice.refresh_from_db()
    assert alice.name == "Alice Example"
    assert refusal_of(erasing.take_back, alice.pk, actor=alice).code == Code.WRONG_STATE


def test_a_standing_grant_comes_first(clock: Clock, grant: Grant, alice: Account) -> None:
    refusal = refusal_of(erasing.ask, alice.pk, actor=alice)
    assert refusal.code == Code.WRONG_STATE
    assert "Close it" in refusal.way_out
    services.close_out(grant.pk, actor=alice, typed_name=alice.name)
    assert erasing.ask(alice.pk, actor=alice)


def test_an_open_application_comes_first(
    clock: Clock, submitted: Application, alice: Account
) -> None:
    assert "Withdraw it" in refusal_of(erasing.ask, alice.pk, actor=alice).way_out
    services.withdraw(submitted.pk, actor=alice)
    assert erasing.ask(alice.pk, actor=alice)


def test_what_came_in_the_meantime_makes_it_wait(
    clock: Clock, alice: Account, draft: Application
) -> None:
    erasing.ask(alice.pk, actor=alice)
    services.submit(draft.pk, actor=alice, typed_name=alice.name)
    clock.forward(days=erasing.DAYS, hours=1)
    assert erasing.erase_due() == 0
    assert "It waits longer" in signed_in(alice).get("/account/erase/").content.decode()
    services.withdraw(draft.pk, actor=alice)
    assert erasing.erase_due() == 1


def test_who_holds_a_role_gives_it_back_first(
    clock: Clock, rita: Account, manager: Account
) -> None:
    assert "role" in refusal_of(erasing.ask, rita.pk, actor=rita).detail
    rita.groups.clear()
    assert erasing.ask(rita.pk, actor=manager)


def test_only_oneself_and_managers_ask(
    clock: Clock, alice: Account, mallory: Account, rita: Account, manager: Account
) -> None:
    for who in (mallory, rita):
        assert refusal_of(erasing.ask, alice.pk, actor=who).code == Code.NOT_FOUND
    assert not Erasure.objects.exists()
    assert erasing.ask(alice.pk, actor=manager)
    assert refusal_of(erasing.take_back, alice.pk, actor=mallory).code == Code.NOT_FOUND
    body = OutgoingMail.objects.get(template="erasure_scheduled").body
    assert "a manager of this site asked" in body


def test_an_erased_account_signs_in_no_more_and_its_address_is_free(
    clock: Clock, alice: Account, settings: Settings
) -> None:
    settings.ACCOUNT_RATE_LIMITS = False
    program = with_token(alice)
    browser = signed_in(alice)
    assert program.get("/api/v1/applications/").status_code == 200
    erase_in_time(clock, alice)
    assert program.get("/api/v1/applications/").status_code == 401
    assert browser.get("/account/").status_code == 302
    guess = {"login": "alice@lab.test", "password": "a-password-for-tests"}
    client = Client()
    client.post("/account/login/", guess)
    assert client.get("/account/").status_code == 302
    new = {"name": "Alice Again", "email": "alice@lab.test"}
    new |= {"password1": "a-long-passphrase-7", "password2": "a-long-passphrase-7"}
    Client().post("/account/signup/", new)
    assert Account.objects.get(email="alice@lab.test").pk != alice.pk


def test_a_block_holds_under_the_same_address(
    clock: Clock, alice: Account, manager: Account, family: Family, release: Release
) -> None:
    services.block(actor=manager, family=family, reason="Shared weights.", account=alice)
    erase_in_time(clock, alice)
    assert BlockedAddress.objects.count() == 1
    again, other = applicant("alice"), applicant("other")
    assert refusal_of(services.start, actor=again, releases=[release]).code == Code.BLOCKED
    assert services.start(actor=other, releases=[release])


def test_a_block_holds_after_the_secret_key_changed(
    clock: Clock,
    alice: Account,
    manager: Account,
    family: Family,
    release: Release,
    settings: Settings,
) -> None:
    services.block(actor=manager, family=family, reason="Shared weights.", account=alice)
    erase_in_time(clock, alice)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key of the tests, just as long as the first"
    again = applicant("alice")
    assert refusal_of(services.start, actor=again, releases=[release]).code == Code.BLOCKED


def test_the_person_asks_and_takes_back_on_their_account_page(clock: Clock, alice: Account) -> None:
    client = signed_in(alice)
    assert "/account/erase/" in client.get("/account/").content.decode()
    assert "What is kept" in client.get("/account/erase/").content.decode()
    assert client.post("/account/erase/").status_code == 422
    assert not Erasure.objects.exists()
    assert client.post("/account/erase/", {"read": "on"}).status_code == 302
    assert "Take it back" in client.get("/account/erase/").content.decode()
    assert client.post("/account/erase/take-back/").status_code == 302
    assert erasing.waiting(alice) is None


def test_a_manager_asks_in_the_admin_and_a_reviewer_cannot(
    clock: Clock, alice: Account, manager: Account, rita: Account
) -> None:
    url = f"/admin/accounts/account/{alice.pk}/erase/"
    change = f"/admin/accounts/account/{alice.pk}/change/"
    assert signed_in(rita).get(url).status_code == 403
    assert signed_in(rita).post(url, {"read": "on"}).status_code == 403
    assert url not in signed_in(rita).get(change).content.decode()
    client = signed_in(manager)
    assert url in client.get(change).content.decode()
    assert client.post(url, {"read": "on"}).status_code == 302
    waits = erasing.waiting(alice)
    assert waits is not None
    assert waits.asked_by == manager
    assert client.post(url, {"take_back": "1"}).status_code == 302
    assert erasing.waiting(alice) is None


def test_an_erased_account_is_opened_by_nobody(
    clock: Clock, alice: Account, manager: Account
) -> None:
    erase_in_time(clock, alice)
    url = f"/admin/accounts/account/{alice.pk}/change/"
    client = signed_in(manager)
    assert client.get(url).status_code == 200
    assert client.post(url, {"name": "X", "is_active": "on"}).status_code == 403
    alice.refresh_from_db()
    assert not alice.is_active


def test_attachments_are_gone_and_others_stay(clock: Clock, story: Grant) -> None:
    erase_in_time(clock, story.account)
    assert not Attachment.objects.filter(application__applicant=story.account).exists()
    assert Attachment.objects.count() == 1
