"""Who comes in, and who decides who may decide."""

import re

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import DatabaseError, connection, transaction
from django.test import Client

from portal.accounts.models import Account
from portal.accounts.roles import Role, is_reviewer
from portal.audit import services
from portal.audit.models import Event, Verb
from portal.mail.models import OutgoingMail
from tests.people import person, signed_in, with_token

PASSWORD = {"username": "rita@lab.test", "password": "a-password-for-tests"}


def test_the_admin_has_no_door_of_its_own_beside_the_sign_in_page(rita: Account) -> None:
    """Django's own form there would know no limit on guesses, and no second factor."""
    stranger = Client()
    answer = stranger.post("/admin/login/?next=/admin/", PASSWORD)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login/")
    assert "_auth_user_id" not in stranger.session
    assert signed_in(rita).get("/admin/", follow=True).status_code == 200


def test_guessing_a_password_is_slowed_down(rita: Account) -> None:
    cache.clear()
    stranger = Client()
    for _ in range(12):
        stranger.post("/account/login/", {"login": rita.email, "password": "wrong"})
    right = {"login": rita.email, "password": PASSWORD["password"]}
    stranger.post("/account/login/", right)
    assert "_auth_user_id" not in stranger.session
    cache.clear()
    stranger.post("/account/login/", right)
    assert "_auth_user_id" in stranger.session


def test_who_has_no_role_is_told_so_at_the_admin(mallory: Account) -> None:
    answer = signed_in(mallory).get("/admin/", follow=True)
    assert answer.status_code == 403
    assert "ask a manager" in answer.text


def change(client: Client, account: Account, **changes: object) -> int:
    fields = {"name": account.name, "is_active": "on", "groups": [], **changes}
    forms = {f"affiliation-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL")}
    data = {name: value for name, value in {**fields, **forms}.items() if value is not None}
    return client.post(f"/admin/accounts/account/{account.pk}/change/", data).status_code


def test_giving_and_taking_a_role_is_an_event(manager: Account, mallory: Account) -> None:
    reviewers = Group.objects.get(name=Role.REVIEWER).pk
    assert change(signed_in(manager), mallory, groups=[reviewers]) == 302
    given = Event.objects.get(verb=Verb.ROLES_CHANGED)
    assert (given.actor_id, given.subject_id) == (manager.pk, str(mallory.pk))
    assert given.data == {"given": ["Reviewers"], "taken": []}
    assert is_reviewer(mallory)

    change(signed_in(manager), mallory, groups=[reviewers])  # saved again: nothing happened
    assert Event.objects.filter(verb=Verb.ROLES_CHANGED).count() == 1
    change(signed_in(manager), mallory)
    assert Event.objects.filter(verb=Verb.ROLES_CHANGED).first().data["taken"] == ["Reviewers"]  # type: ignore[union-attr]
    mallory.refresh_from_db()
    assert not mallory.is_staff


def test_nobody_changes_their_own_roles(manager: Account) -> None:
    person("mo", Role.MANAGER)
    both = [Group.objects.get(name=role).pk for role in (Role.MANAGER, Role.AUDITOR)]
    assert change(signed_in(manager), manager, groups=both) == 200  # the form again, with why
    assert change(signed_in(manager), manager, groups=both[:1], is_active=None) == 200
    assert change(signed_in(manager), manager) == 200
    manager.refresh_from_db()
    assert manager.is_active
    assert [group.name for group in manager.groups.all()] == ["Managers"]
    assert not Event.objects.filter(verb=Verb.ROLES_CHANGED).exists()
    assert change(signed_in(manager), manager, groups=both[:1], name="Mona New") == 302


def test_the_last_manager_stays(manager: Account) -> None:
    root = Account.objects.create_superuser("root@lab.test", "a-password", name="Root")
    assert change(signed_in(root), manager) == 200
    group = Group.objects.get(name=Role.MANAGER).pk
    assert change(signed_in(root), manager, groups=[group], is_active=None) == 200
    assert manager.groups.exists()
    person("mo", Role.MANAGER)
    assert change(signed_in(root), manager) == 302
    assert not manager.groups.exists()


def test_closing_an_account_is_an_event_and_shuts_every_door(
    manager: Account, mallory: Account
) -> None:
    browser, program = signed_in(mallory), with_token(mallory)
    assert browser.get("/account/").status_code == 200
    assert change(signed_in(manager), mallory, is_active=None) == 302
    event = Event.objects.get(verb=Verb.ACCOUNT_CLOSED)
    assert (event.actor_id, event.subject_id) == (manager.pk, str(mallory.pk))
    assert browser.get("/account/").status_code == 302
    assert program.get("/api/v1/applications/").status_code == 401
    change(signed_in(manager), mallory)
    assert Event.objects.filter(verb=Verb.ACCOUNT_OPENED).count() == 1


def test_a_manager_reads_no_key_to_another_persons_account(manager: Account, rita: Account) -> None:
    """Else one asks for a new password in another's name, and reads the link in the admin."""
    Client().post("/account/password/reset/", {"email": rita.email})
    mail = OutgoingMail.objects.get(to=rita.email)
    key = re.search(r"/account/password/reset/key/[^/\s]+", mail.body)
    assert key
    page = signed_in(manager).get(f"/admin/mail/outgoingmail/{mail.pk}/change/").text
    assert mail.subject in page
    assert key[0] not in page


def test_a_mail_server_that_hangs_is_given_up_before_the_mail_is_tried_again() -> None:
    assert settings.EMAIL_TIMEOUT < 60


def test_a_reviewer_gives_nobody_a_role(rita: Account, mallory: Account) -> None:
    managers = Group.objects.get(name=Role.MANAGER).pk
    assert change(signed_in(rita), rita, groups=[managers]) == 403
    assert change(signed_in(mallory), mallory, groups=[managers]) in (302, 403)
    assert not Event.objects.filter(verb=Verb.ROLES_CHANGED).exists()
    assert not mallory.groups.exists()


def test_an_event_is_not_replaced_by_another_of_its_number(
    alice: Account, mallory: Account
) -> None:
    event = services.record(Verb.TOKEN_CREATED, alice, actor=alice)
    columns = "id, at, verb, actor_id, subject_type, subject_id, data"
    replace = {
        "sqlite": f"INSERT OR REPLACE INTO audit_event ({columns}) "
        f"SELECT id, at, verb, {mallory.pk}, subject_type, subject_id, data FROM audit_event",
        "postgresql": f"INSERT INTO audit_event ({columns}) SELECT {columns} FROM audit_event "
        f"ON CONFLICT (id) DO UPDATE SET actor_id = {mallory.pk}",
    }
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(replace[connection.vendor])
    assert Event.objects.get(pk=event.pk).actor_id == alice.pk


@pytest.mark.parametrize("actor", ["²", "-1", "1e3", "9" * 30, "alice", "\0"])
def test_an_odd_actor_is_refused_by_the_list_of_events(manager: Account, actor: str) -> None:
    answer = with_token(manager).get("/api/v1/events/", {"actor": actor})
    assert answer.status_code == 400
    assert answer.json()["fields"]["actor"]


def test_nul_is_refused_by_the_list_of_events(manager: Account) -> None:
    answer = with_token(manager).get("/api/v1/events/", {"subject_type": "a\0b"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize("body", ["[" * 100_000, '{"releases": ' * 50_000])
def test_a_body_that_is_nested_too_deeply_is_refused(alice: Account, body: str) -> None:
    answer = with_token(alice).post("/api/v1/applications/", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "nested" in answer.json()["detail"]


def test_a_body_of_many_megabytes_is_refused_unread(alice: Account) -> None:
    body = '{"releases": ["' + "x" * 3_000_000 + '"]}'
    answer = with_token(alice).post("/api/v1/applications/", body, content_type="application/json")
    assert answer.status_code == 413
    assert "2.5\xa0MB" in answer.json()["detail"]
