"""Events arrive in order, at least once, numbered without a gap, however badly the receiver behaves."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from portal.accounts.models import Account
from portal.audit import sealing
from portal.audit.models import Event, Seal, Verb
from portal.audit.services import record
from portal.mail.models import OutgoingMail
from portal.refusals import Code, Refusal
from portal.webhooks import delivering, selectors, services, tasks
from portal.webhooks.models import Attempt, Delivery, Subscription
from tests.portal.webhooks.conftest import Clock
from tests.portal.webhooks.receiver import Receiver, dies, status

pytestmark = pytest.mark.django_db
Happen = Callable[..., list[Event]]


def test_events_arrive_in_order_with_all_that_a_receiver_needs(
    hook: Subscription, receiver: Receiver, happen: Happen, alice: Account
) -> None:
    made = happen(3)
    assert delivering.deliver(hook.pk) == 3
    assert receiver.sequences == [1, 2, 3]
    first = receiver.messages[0]
    assert first["type"] == "link.issued"
    assert first["subscription"] == str(hook.public_id)
    assert first["data"] == {
        "event": made[0].pk,
        "actor": alice.pk,
        "subject_type": "accounts.account",
        "subject_id": str(alice.pk),
        "seal": Seal.objects.latest("number").number,
        "data": {"n": 0},
    }
    assert first["links"]["proof"].endswith(f"/api/v1/events/{made[0].pk}/proof/")
    assert alice.name not in str(first)
    assert alice.email not in str(first)


def test_nothing_leaves_before_it_is_sealed(
    hook: Subscription, receiver: Receiver, alice: Account
) -> None:
    record(Verb.LINK_ISSUED, alice, actor=alice)
    assert delivering.deliver(hook.pk) == 0
    sealing.seal_waiting()
    assert delivering.deliver(hook.pk) == 1


def test_only_the_verbs_that_are_wanted_and_their_numbers_have_no_gap(
    hook: Subscription, receiver: Receiver, happen: Happen
) -> None:
    happen(2)
    happen(3, Verb.DOWNLOAD_STARTED)
    happen(1, Verb.RUN_STARTED)
    assert delivering.deliver(hook.pk) == 3
    assert receiver.sequences == [1, 2, 3]
    assert [m["type"] for m in receiver.messages] == ["link.issued"] * 2 + ["run.started"]


def test_a_subscription_to_all_hears_of_all_from_then_on(
    receiver: Receiver, happen: Happen, manager: Account
) -> None:
    happen(2)
    made, _ = services.subscribe(actor=manager, name="All", url=receiver.url, verbs=[])
    happen(1, Verb.DOWNLOAD_STARTED)
    delivering.deliver(made.pk)
    assert [m["type"] for m in receiver.messages] == ["webhook.made", "download.started"]


def test_an_event_that_was_committed_late_comes_later_and_is_not_lost(
    hook: Subscription, receiver: Receiver, happen: Happen, alice: Account
) -> None:
    """On PostgreSQL an id is taken at the insert and seen at the commit: here, an id below the sealed ones."""
    (first,) = happen(1)

    def insert(number: int) -> None:
        about = {"subject_type": "accounts.account", "subject_id": str(alice.pk)}
        Event.objects.bulk_create([Event(id=number, verb=Verb.LINK_ISSUED, actor=alice, **about)])

    insert(first.pk + 10)
    sealing.seal_waiting()
    delivering.deliver(hook.pk)
    insert(first.pk + 5)
    sealing.seal_waiting(late=True)
    insert(first.pk + 11)
    sealing.seal_waiting()
    delivering.deliver(hook.pk)
    assert receiver.sequences == [1, 2, 3, 4]
    assert [m["data"]["event"] - first.pk for m in receiver.messages] == [0, 10, 5, 11]


def test_a_failure_holds_back_what_comes_after_it(
    hook: Subscription, receiver: Receiver, happen: Happen, clock: Clock
) -> None:
    hook.next_attempt_at = clock.now
    hook.save()
    happen(3)
    receiver.answer = lambda request, before: status(503 if before == 1 else 200)(request, before)
    assert delivering.deliver(hook.pk) == 1
    assert delivering.deliver(hook.pk) == 0, "it waits for the back-off"
    assert receiver.sequences == [1, 2]
    clock.forward(seconds=5)
    assert delivering.deliver(hook.pk) == 2
    assert receiver.sequences == [1, 2, 2, 3]
    assert receiver.ids[1] == receiver.ids[2], "the same id, so that the receiver can tell"
    assert receiver.seen[1][1] == receiver.seen[2][1], "and the same bytes"
    assert len(set(receiver.ids)) == 3


def test_the_back_off_doubles_from_five_seconds_to_twelve_hours(
    hook: Subscription, receiver: Receiver, happen: Happen, clock: Clock
) -> None:
    Subscription.objects.update(next_attempt_at=clock.now)
    happen(1)
    receiver.answer = status(500)
    pauses = []
    for _ in range(17):
        assert delivering.deliver(hook.pk) == 0
        hook.refresh_from_db()
        pauses.append((hook.next_attempt_at - clock.now).total_seconds())
        clock.now = hook.next_attempt_at - timedelta(seconds=1)
        before = len(receiver.seen)
        delivering.deliver(hook.pk)
        assert len(receiver.seen) == before, "not a second early"
        clock.forward(seconds=1)
    assert pauses[:5] == [5, 10, 20, 40, 80]
    assert pauses[13:] == [40960, 43200, 43200, 43200]
    receiver.answer = status(200)
    assert delivering.deliver(hook.pk) == 1
    hook.refresh_from_db()
    assert (hook.failures, hook.failing_since) == (0, None)


def test_managers_are_told_once_of_a_receiver_that_fails_for_days(
    hook: Subscription, receiver: Receiver, happen: Happen, clock: Clock, manager: Account
) -> None:
    Subscription.objects.update(next_attempt_at=clock.now)
    happen(1)
    receiver.answer = status(500)
    for _ in range(40):
        delivering.deliver(hook.pk)
        hook.refresh_from_db()
        clock.now = hook.next_attempt_at
    assert clock.now - hook.failing_since > timedelta(days=10)  # type: ignore[operator]
    [mail] = OutgoingMail.objects.filter(template="webhook_failing")
    assert mail.to == manager.email
    assert f"/admin/webhooks/subscription/{hook.pk}/change/" in mail.body
    assert Event.objects.filter(verb=Verb.WEBHOOK_FAILING).count() == 1
    assert len(receiver.seen) == 40, "it is never given up"


def test_a_receiver_that_dies_in_the_middle_gets_the_same_message_again(
    hook: Subscription, receiver: Receiver, happen: Happen, clock: Clock
) -> None:
    Subscription.objects.update(next_attempt_at=clock.now)
    happen(2)
    receiver.answer = lambda request, before: (dies if before == 0 else status(204))(
        request, before
    )
    assert delivering.deliver(hook.pk) == 0
    assert "RemoteDisconnected" in hook.attempts.get().error
    clock.forward(seconds=5)
    assert delivering.deliver(hook.pk) == 2
    assert receiver.sequences == [1, 1, 2]
    assert receiver.ids[0] == receiver.ids[1]


def test_a_deliverer_that_dies_before_it_wrote_sends_it_again(
    hook: Subscription,
    receiver: Receiver,
    happen: Happen,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Subscription.objects.update(next_attempt_at=clock.now)
    happen(2)

    class Killed(BaseException):
        pass

    def killed(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(delivering, "_write", killed)
        with pytest.raises(Killed):
            delivering.deliver(hook.pk)
    # A process that is killed does not give its lease back.
    Subscription.objects.update(lease="of a dead one", leased_until=clock.now + delivering.LEASE)
    assert delivering.deliver(hook.pk) == 0
    assert not selectors.due().exists()
    clock.forward(seconds=61)
    assert selectors.due().get() == hook
    assert delivering.deliver(hook.pk) == 2
    assert receiver.sequences == [1, 1, 2]
    assert receiver.ids[0] == receiver.ids[1]


def test_who_lost_the_lease_writes_nothing_but_the_attempt(
    hook: Subscription, receiver: Receiver, happen: Happen
) -> None:
    happen(2)

    lease = delivering._take_lease(hook.pk)
    message = delivering._next(hook.pk, lease)
    assert message
    Subscription.objects.update(lease="another's")
    sent = services.send(message.subscription, message.id, message.body)
    assert not delivering._write(message, sent, lease)
    hook.refresh_from_db()
    assert hook.delivered == 0
    assert hook.attempts.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_deliverers_at_once_one_sends(
    hook: Subscription, receiver: Receiver, happen: Happen
) -> None:
    happen(20)

    def slowly(request: object, before: int) -> None:
        time.sleep(0.02)
        status(204)(request, before)  # type: ignore[arg-type]

    receiver.answer = slowly
    start = threading.Barrier(3)
    received: list[int] = []

    def work() -> None:
        try:
            start.wait()
            received.append(delivering.deliver(hook.pk))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(received) == [0, 0, 20]
    assert receiver.sequences == list(range(1, 21))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_an_event_committed_after_a_later_one_was_delivered_is_delivered_after_it(
    hook: Subscription, receiver: Receiver, happen: Happen, alice: Account
) -> None:
    """Two real transactions: the lower id becomes visible when the higher one has left already."""
    inserted, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                record(Verb.RUN_STARTED, alice, actor=alice)
                inserted.set()
                go_on.wait(20)
        finally:
            connections.close_all()

    thread = threading.Thread(target=slow)
    thread.start()
    assert inserted.wait(20)
    happen(1)
    assert delivering.deliver(hook.pk) == 1
    go_on.set()
    thread.join()
    sealing.seal_waiting(late=True)
    assert delivering.deliver(hook.pk) == 1
    assert [m["type"] for m in receiver.messages] == ["link.issued", "run.started"]
    assert receiver.sequences == [1, 2]
    assert receiver.messages[0]["data"]["event"] > receiver.messages[1]["data"]["event"]


def test_a_pause_loses_nothing(
    hook: Subscription, receiver: Receiver, happen: Happen, manager: Account
) -> None:
    happen(1)
    delivering.deliver(hook.pk)
    services.pause(hook.pk, actor=manager)
    happen(2)
    assert delivering.deliver(hook.pk) == 0
    assert not selectors.due().exists()
    with pytest.raises(Refusal) as twice:
        services.pause(hook.pk, actor=manager)
    assert twice.value.code == Code.WRONG_STATE
    services.resume(hook.pk, actor=manager)
    with pytest.raises(Refusal):
        services.resume(hook.pk, actor=manager)
    assert delivering.deliver(hook.pk) == 2
    assert receiver.sequences == [1, 2, 3]


def test_a_pause_in_the_middle_ends_the_sending(
    hook: Subscription, receiver: Receiver, happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(3)
    send = services.send

    def and_pause(*args: object) -> object:
        Subscription.objects.update(paused_at=timezone.now())
        return send(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(services, "send", and_pause)
    assert delivering.deliver(hook.pk) == 1
    assert receiver.sequences == [1]


def test_delivering_again_begins_at_a_number_and_keeps_the_ids(
    hook: Subscription, receiver: Receiver, happen: Happen, manager: Account
) -> None:
    happen(4)
    delivering.deliver(hook.pk)
    services.replay(hook.pk, actor=manager, sequence=3)
    happen(1)
    assert delivering.deliver(hook.pk) == 3
    assert receiver.sequences == [1, 2, 3, 4, 3, 4, 5]
    assert receiver.ids[4:6] == receiver.ids[2:4]
    for wrong in (0, 6):
        with pytest.raises(Refusal) as refused:
            services.replay(hook.pk, actor=manager, sequence=wrong)
        assert refused.value.code == Code.INVALID


def test_old_deliveries_are_forgotten_and_what_waits_is_not(
    hook: Subscription, receiver: Receiver, happen: Happen, manager: Account
) -> None:
    happen(3)
    receiver.answer = lambda request, before: status(200 if before < 2 else 500)(request, before)
    delivering.deliver(hook.pk)
    assert delivering.prune() == 0
    long_ago = timezone.now() - timedelta(days=91)
    Delivery.objects.update(queued_at=long_ago)
    Attempt.objects.update(at=long_ago)
    assert delivering.prune() == 5
    assert [d.sequence for d in hook.deliveries.all()] == [3]
    with pytest.raises(Refusal):
        services.replay(hook.pk, actor=manager, sequence=1)


def test_two_subscriptions_do_not_wait_for_each_other(
    hook: Subscription, receiver: Receiver, happen: Happen, manager: Account
) -> None:
    broken, _ = services.subscribe(
        actor=manager, name="Broken", url="http://127.0.0.1:9/", verbs=[Verb.LINK_ISSUED]
    )
    happen(1)
    assert delivering.deliver(broken.pk) == 0
    assert "ConnectionRefusedError" in broken.attempts.get().error
    assert delivering.deliver(hook.pk) == 1


def test_beat_finds_what_is_due(
    hook: Subscription, receiver: Receiver, happen: Happen, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[tuple[int]] = []
    monkeypatch.setattr(tasks.deliver, "apply_async", lambda args, expires: handed.append(args))
    tasks.deliver_due()
    assert handed == []
    happen(1)
    tasks.deliver_due()
    assert handed == [(hook.pk,)]
    tasks.deliver(hook.pk)
    tasks.deliver_due()
    assert handed == [(hook.pk,)]
