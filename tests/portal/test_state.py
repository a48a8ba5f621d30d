"""The operator's page: whether the parts of the site answer, and nothing of what people wrote."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from portal import state, tasks
from portal.accounts.models import Account
from portal.accounts.roles import Role
from portal.audit import sealing
from portal.audit.models import Verb
from portal.audit.services import record
from portal.mail.models import OutgoingMail
from tests.people import person, signed_in

PAGE = "/admin/state/"


@pytest.fixture
def operator(db: None) -> Account:
    return person("otto", Role.OPERATOR)


@pytest.fixture(autouse=True)
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked over the broker: the answer would depend on what else runs on this machine."""
    from portal.celery import app

    cache.delete(state.HEARTBEAT)
    monkeypatch.setattr(app.control, "ping", lambda timeout: [])


def said(title: str, what: str) -> state.Line:
    found = next(part for part in state.parts() if part.title == title)
    return next(line for line in found.lines if line.what == what)


def test_the_admin_of_an_operator_begins_with_it_and_shows_nothing_else(operator: Account) -> None:
    client = signed_in(operator)
    assert client.get("/admin/")["Location"] == PAGE
    page = client.get(PAGE)
    assert page.status_code == 200
    for part in ("Database", "Redis", "Outgoing mail", "Seals", "Store of weights", "Sandbox"):
        assert part in page.text
    for shut in (
        "access_requests/application",
        "access_requests/grant",
        "accounts/account",
        "audit/event",
        "mail/outgoingmail",
        "access_requests/decisionpolicy",
    ):
        assert client.get(f"/admin/{shut}/").status_code == 403, shut
        assert f"/admin/{shut}/" not in page.text


@pytest.mark.parametrize("role", [None, Role.REVIEWER, Role.AUDITOR])
def test_others_do_not_see_it(role: Role | None, db: None) -> None:
    account = person("mallory", *([role] if role else []))
    assert signed_in(account).get(PAGE, follow=True).status_code == 403


def test_a_stranger_signs_in_first(client: Any, db: None) -> None:
    assert client.get(PAGE)["Location"].startswith("/admin/login/")


def test_it_says_when_beat_was_last_heard_of(operator: Account) -> None:
    assert said("Work in the background", "Beat").level == "bad"
    tasks.heartbeat()
    assert said("Work in the background", "Beat").level == "ok"
    cache.set(state.HEARTBEAT, timezone.now() - timedelta(minutes=5), None)
    assert said("Work in the background", "Beat").level == "bad"
    assert said("Work in the background", "Workers").level == "bad"


def test_it_counts_mail_and_shows_none_of_it(operator: Account) -> None:
    assert said("Outgoing mail", "Waiting").text == "none"
    old = timezone.now() - timedelta(hours=2)
    mail = OutgoingMail.objects.create(
        to="secret@lab.test",
        subject="Hush",
        body="quiet words",
        attempts=3,
        last_error="at smtp://",
    )
    OutgoingMail.objects.filter(pk=mail.pk).update(created_at=old)
    assert said("Outgoing mail", "Waiting") == state.Line(
        "Waiting", "1, the oldest from 2\xa0hours ago", "warn"
    )
    assert said("Outgoing mail", "Failing").level == "bad"
    page = signed_in(operator).get(PAGE).text
    for words in ("secret@lab.test", "Hush", "quiet words", "smtp://"):
        assert words not in page


def test_it_counts_what_is_not_sealed(operator: Account) -> None:
    record(Verb.TOKEN_CREATED, operator, actor=operator)
    assert said("Seals of the audit log", "Not sealed yet").text.startswith("1 event,")
    sealing.seal_waiting()
    assert said("Seals of the audit log", "Not sealed yet").text == "none"
    assert said("Seals of the audit log", "Last seal").text.startswith("number 1")


def test_a_part_that_fails_hides_no_other_and_no_password(
    operator: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[state.Line]:
        raise OSError("postgres://user:password@host")

    monkeypatch.setitem(state._parts, "Redis", broken)
    page = signed_in(operator).get(PAGE).text
    assert "does not answer (OSError)" in page
    assert "password@host" not in page
    assert "Versions and settings" in page
    assert "something does not work" in page


@pytest.mark.django_db
def test_it_says_whether_a_second_factor_is_asked_for(settings: Any) -> None:
    assert said("Versions and settings", "Second factor").level == "warn"
    settings.REQUIRE_MFA = True
    assert said("Versions and settings", "Second factor").level == "ok"
