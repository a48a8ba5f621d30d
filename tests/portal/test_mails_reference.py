"""Every mail is listed in docs/reference/mails.md, is sent once, and reads as a mail should."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from access_requests import services
from access_requests.models import Grant, Witness
from distribution.models import Download
from distribution.services import alarms
from portal.accounts import erasing
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.mail.models import OutgoingMail
from portal.mail.services import GIVE_UP_AFTER
from tests.access_requests import vouching
from tests.access_requests.people import ANSWERS, seen_now
from tests.distribution.weights import granted
from tests.people import signed_in

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "portal" / "templates"
PAGE = (ROOT / "docs" / "reference" / "mails.md").read_text()
OURS = sorted(path.stem for path in (TEMPLATES / "mail").glob("*.txt"))
ALLAUTH = sorted(
    path.name.removesuffix("_message.txt")
    for path in (TEMPLATES / "account" / "email").glob("*_message.txt")
)
FLOORS = ("portal", "access_requests", "distribution", "inference_sandbox")


def listed() -> list[str]:
    return re.findall(r"^\| `(\w+)` \| [^|]{12,} \| [^|]{5,} \|$", PAGE, re.MULTILINE)


def test_the_page_lists_every_mail_once_and_no_other() -> None:
    assert sorted(listed()) == sorted(OURS + ALLAUTH)


@pytest.mark.parametrize("name", OURS)
def test_some_act_sends_the_mail(name: str) -> None:
    code = "".join(p.read_text() for floor in FLOORS for p in (ROOT / floor).rglob("*.py"))
    assert f'"{name}"' in code


@pytest.mark.parametrize("name", OURS)
def test_a_template_has_a_subject_a_blank_line_and_a_link_onward(name: str) -> None:
    text = (TEMPLATES / "mail" / f"{name}.txt").read_text()
    subject, blank, *body = text.splitlines()
    assert re.sub(r"{%.*?%}", "", subject).strip(), "the first line is the subject"
    assert not blank.strip()
    onward = ("base_url", "{{ url }}")  # `url` is a link signed for its reader
    assert any(link in "\n".join(body) for link in onward), "no link to where the way goes on"
    assert not re.search(r"<(p|a|br|html)\b", text), "plain text"


def read_well(mail: OutgoingMail) -> None:
    """What holds for each rendered mail."""
    text = f"{mail.subject}\n{mail.body}"
    assert not re.search(r"{[{%]|[%}]}|None|&(amp|#x?\w+|quot|lt|gt);", text), text
    assert 10 < len(mail.subject) < 100
    assert not mail.subject.endswith(".")
    assert "http://testserver/" in mail.body
    assert not re.search(r"\n{3,}", mail.body), "a gap of more than one line"
    assert not mail.body.startswith("\n")
    names = {
        account.pk for account in Account.objects.all() if account.name and account.name in text
    }
    known = {mail.account_id, *mail.about.values_list("pk", flat=True)}
    assert names <= known | {_owner(mail.to)}, f"{mail.template} names an account unasked"


def _owner(address: str) -> int | None:
    return Account.objects.filter(email=address).values_list("pk", flat=True).first()


def all_mails(*templates: str) -> None:
    """Just these mails were written, in this order, each once; and each reads well."""
    mails = list(OutgoingMail.objects.order_by("id"))
    assert [mail.template for mail in mails] == list(templates)
    for mail in mails:
        read_well(mail)


def submitted(alice: Account, release: Release) -> int:
    made = services.start(actor=alice, releases=[release], answers=ANSWERS)
    services.submit(made.pk, actor=alice, typed_name=alice.name)
    return made.pk


def test_the_mails_of_a_returned_and_approved_application_and_its_grant(
    alice: Account, rita: Account, manager: Account, release: Release
) -> None:
    alice.name = "Alice O'Neil & <Co>"
    alice.save()
    pk = submitted(alice, release)
    services.claim(pk, actor=rita)
    services.return_for_correction(
        pk, seen=seen_now(pk), actor=rita, message="Say which corpus & why."
    )
    services.submit(pk, actor=alice, typed_name=alice.name)
    services.decide(
        pk, seen=seen_now(pk), actor=rita, approve=True, reason='A sound plan, with "ethics".'
    )
    grant = Grant.objects.get()
    services.suspend(grant.pk, actor=manager, reason="We have a question.")
    services.reinstate(grant.pk, actor=manager, reason="Answered.")
    services.revoke(grant.pk, actor=manager, reason="A copy was public.")
    all_mails(
        "application_submitted",
        "application_returned",
        "application_submitted",
        "application_corrected",
        "application_approved",
        "grant_suspended",
        "grant_reinstated",
        "grant_revoked",
    )
    assert all(
        "Dear Alice O'Neil & <Co>," in m.body for m in OutgoingMail.objects.filter(to=alice.email)
    )


def test_the_mails_of_a_refusal_a_withdrawal_and_an_end(
    alice: Account, rita: Account, release: Release
) -> None:
    pk = submitted(alice, release)
    services.claim(pk, actor=rita)
    services.decide(
        pk, seen=seen_now(pk), actor=rita, approve=False, reason="No research question."
    )
    services.withdraw(submitted(alice, release), actor=alice)
    draft = services.start(actor=alice, releases=[release], answers=ANSWERS)
    services.withdraw(draft.pk, actor=alice)  # which nobody knew of: no mail
    pk = submitted(alice, release)
    services.claim(pk, actor=rita)
    services.decide(pk, seen=seen_now(pk), actor=rita, approve=True)
    Grant.objects.update(ends_at=timezone.now() - timedelta(hours=1))
    assert services.expire_grants() == 1
    assert services.expire_grants() == 0
    all_mails(
        "application_submitted",
        "application_refused",
        "application_submitted",
        "application_withdrawn",
        "application_submitted",
        "application_approved",
        "grant_ended",
    )


def test_the_mails_of_those_who_vouch(alice: Account, rita: Account, release: Release) -> None:
    vouching.ask_for(release, official=True, referee=True)
    made = services.start(actor=alice, releases=[release], answers=ANSWERS)
    vouching.name(made, "official"), vouching.name(made, "referee", name="Ralf O'Peer & <Co>")
    vouching.submit(made)
    services.claim(made.pk, actor=rita)
    vouching.confirm(vouching.token_to(vouching.OFFICIAL["email"]))
    Witness.objects.update(asked_at=timezone.now() - timedelta(days=8))
    assert services.follow_up_witnesses() == 1
    token = vouching.token_to(vouching.REFEREE["email"])
    services.decline_reference(token, read=services.reading_behind(token).digest)
    vouching.name(made, "referee")
    Witness.objects.filter(status="asked").update(expires_at=timezone.now())
    assert services.follow_up_witnesses() == 1
    last = services.ask_again(_an_hour_later(), actor=alice)
    OutgoingMail.objects.filter(pk=last.mail_id).update(attempts=GIVE_UP_AFTER)
    assert services.follow_up_witnesses() == 1
    all_mails(
        "official_asked",
        "referee_asked",
        "application_submitted",
        "witness_answered",
        "witness_answered_at_the_desk",
        "witness_reminder",
        "witness_declined",
        "witness_answered_at_the_desk",
        "referee_asked",
        "witness_lapsed",
        "referee_asked",
        "witness_unreachable",
    )
    said = "".join(mail.body for mail in OutgoingMail.objects.filter(to=alice.email))
    assert vouching.SECRET not in said


def _an_hour_later() -> int:
    last = Witness.objects.get(status="lapsed")
    Witness.objects.filter(pk=last.pk).update(asked_at=timezone.now() - timedelta(hours=2))
    return last.pk


def test_the_mails_about_an_account(alice: Account, client: Client, settings: Settings) -> None:
    settings.ACCOUNT_RATE_LIMITS = False  # which would count against the next test's people
    new = {"name": "Bob Lee", "email": "bob@lab.test"}
    new |= {"password1": "a-long-passphrase-7", "password2": "a-long-passphrase-7"}
    client.post("/account/signup/", new)
    client.post("/account/signup/", {**new, "email": alice.email})
    client.post("/account/password/reset/", {"email": alice.email})
    client.post("/account/password/reset/", {"email": "nobody@lab.test"})
    signed_in(alice).post("/account/email/", {"action_add": "", "email": "alice@home.test"})
    all_mails(
        "email_confirmation_signup",
        "account_already_exists",
        "password_reset_key",
        "unknown_account",
        "account_changed",
        "email_confirmation",
    )
    for mail in OutgoingMail.objects.all():
        assert "example.com" not in f"{mail.subject}{mail.body}"


def test_the_mail_of_an_alarm(alice: Account, manager: Account, release: Release) -> None:
    grant = granted(alice, release)
    for network in range(10):
        Download.objects.create(
            grant=grant,
            outcome="served",
            method="GET",
            request_id="x",
            network=f"192.0.{network}.0/24",
        )
    assert alarms.raise_due() == 1
    assert alarms.raise_due() == 0
    all_mails("download_alarm")


def test_the_mails_of_an_erasure(alice: Account) -> None:
    made = erasing.ask(alice.pk, actor=alice)
    all_mails("erasure_scheduled")
    made.due_at = timezone.now()
    made.save()
    erasing.erase(alice.pk)
    last = OutgoingMail.objects.get(template="erased")
    read_well(last)
    assert last.body.startswith("Dear Alice Example,")
    assert OutgoingMail.objects.count() == 2
