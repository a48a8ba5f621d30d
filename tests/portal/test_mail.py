"""Mail leaves from a row, once, and is tried again until it does."""

from datetime import timedelta
from unittest import mock

import pytest
from django.core import mail as django_mail
from django.db import transaction
from django.utils import timezone

from portal.mail import services
from portal.mail.models import OutgoingMail


@pytest.fixture
def waiting(db: None) -> OutgoingMail:
    return services.enqueue(
        "test", address="alice@lab.test", subject="Hello\n  there", body="A line."
    )


def test_a_mail_is_sent_once_even_if_its_task_comes_twice(waiting: OutgoingMail) -> None:
    assert services.deliver(waiting.pk)
    assert not services.deliver(waiting.pk)
    assert [m.subject for m in django_mail.outbox] == ["Hello there"]


def test_a_failed_mail_waits_and_is_tried_again(waiting: OutgoingMail) -> None:
    with mock.patch(
        "portal.mail.services.EmailMessage.send", side_effect=ConnectionRefusedError("no postman")
    ):
        assert not services.deliver(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.sent_at is None
    assert "no postman" in waiting.last_error
    assert services.waiting_ids() == [], "not at once"
    OutgoingMail.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    assert services.waiting_ids() == [waiting.pk]
    assert services.deliver(waiting.pk)
    assert len(django_mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_an_act_that_fails_sends_no_mail() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        services.enqueue("test", address="alice@lab.test", subject="You are approved", body="Yes.")
        raise RuntimeError("the act failed after all")
    assert not OutgoingMail.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_act_succeeds_though_the_broker_is_down_and_the_mail_waits() -> None:
    with mock.patch("portal.mail.tasks.deliver.apply_async", side_effect=OSError("broker down")):
        services.enqueue("test", address="alice@lab.test", subject="A receipt", body="Yes.")
    assert services.waiting_ids() == [OutgoingMail.objects.get().pk]
