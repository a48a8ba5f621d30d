"""The audit log is append-only below the ORM."""

import pytest
from allauth.mfa.models import Authenticator
from django.db import DatabaseError, connection, transaction

from portal.accounts.models import Account
from portal.audit import services
from portal.audit.models import Event, Verb


@pytest.fixture
def event(alice: Account) -> Event:
    return services.record(Verb.AFFILIATION_CHANGED, alice, actor=alice)


def test_the_database_refuses_to_change_an_event(event: Event) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=event.pk).update(verb="nothing.happened")
    assert Event.objects.get(pk=event.pk).verb == Verb.AFFILIATION_CHANGED


def test_the_database_refuses_to_delete_an_event(event: Event) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM audit_event")
    assert Event.objects.filter(pk=event.pk).exists()


def test_an_event_object_refuses_to_be_saved_again_or_deleted(event: Event) -> None:
    with pytest.raises(TypeError):
        event.save()
    with pytest.raises(TypeError):
        event.delete()


@pytest.mark.parametrize("by", ["the row", "a query"])
def test_deleting_a_person_deletes_no_event(mallory: Account, by: str) -> None:
    """Their addresses and second factors go along, and nobody is left to be mailed about those."""
    Authenticator.objects.create(user=mallory, type=Authenticator.Type.TOTP, data={})
    event = services.record(Verb.TOKEN_CREATED, mallory, actor=mallory)
    mallory.delete() if by == "the row" else Account.objects.filter(pk=mallory.pk).delete()
    kept = Event.objects.get(pk=event.pk)
    assert kept.actor_id is not None
    assert not Account.objects.filter(pk=kept.actor_id).exists()


@pytest.mark.django_db(transaction=True)
def test_the_triggers_survive_a_transactional_test_one() -> None:
    person = Account.objects.create_user("erin@lab.test", "x", name="Erin")
    services.record(Verb.ACCOUNT_SIGNED_UP, person, actor=person)


@pytest.mark.django_db(transaction=True)
def test_the_triggers_survive_a_transactional_test_two() -> None:
    person = Account.objects.create_user("erin@lab.test", "x", name="Erin")
    event = services.record(Verb.ACCOUNT_SIGNED_UP, person, actor=person)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Event.objects.filter(pk=event.pk).delete()
