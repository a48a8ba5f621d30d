"""Mail leaves from a row, once, and is tried again until it does."""

from datetime import timedelta
from unittest import mock

import pytest
from django.core import mail as django_mail
from django.db import transaction
from django.utils import timezone

from portal.accounts.models import Account
from portal.mail import limits, services
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from tests.people import person


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


def test_a_person_reaches_an_address_outside_five_times_a_day_and_others_still_do(
    alice: Account, mallory: Account
) -> None:
    def mail(sender: Account | None, address: str = "dean@other.test") -> OutgoingMail:
        return services.enqueue("test", address=address, subject="S", body="B", sender=sender)

    for _ in range(5):
        mail(mallory)
    with pytest.raises(Refusal) as refused:
        mail(mallory)
    assert refused.value.code == Code.RATE_LIMITED
    assert int(refused.value.headers["Retry-After"]) > 80_000
    assert mail(alice), "another person's mail"
    assert mail(None), "the site's own"
    assert mail(mallory, "somebody@else.test")
    OutgoingMail.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert mail(mallory), "and on the next day"


def test_many_accounts_together_do_not_flood_one_address(db: None) -> None:
    for number in range(20):
        sender = person(f"sock{number}")
        services.enqueue("t", address="dean@other.test", subject="S", body="B", sender=sender)
    with pytest.raises(Refusal):
        services.enqueue(
            "t", address="dean@other.test", subject="S", body="B", sender=person("last")
        )


def test_one_person_mails_a_hundred_an_hour_wherever_they_go(
    mallory: Account, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LIMITS", limits.LIMITS[-1:])
    for number in range(100):
        services.enqueue("t", address=f"a{number}@x.test", subject="S", body="B", sender=mallory)
    with pytest.raises(Refusal):
        services.enqueue("t", address="a@x.test", subject="S", body="B", sender=mallory)
    assert services.enqueue("t", address="a@x.test", subject="S", body="B", sender=alice)


def test_a_subject_holds_no_line_break_and_nothing_that_turns_the_text(db: None) -> None:
    mail = services.enqueue(
        "t", address="a@x.test", subject="Hi\u2028Bcc: b@x.test\r\n\u202eevil\x85", body="B"
    )
    assert mail.subject == "Hi Bcc: b@x.test evil"
