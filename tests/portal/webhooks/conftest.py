"""A receiver on this machine, which the site may send to as in the demo; and a clock that stands still."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_network

import pytest
from django.utils import timezone
from pytest_django import Settings

from portal.accounts.models import Account
from portal.accounts.roles import make_groups
from portal.audit import sealing
from portal.audit.models import Event, Verb
from portal.audit.services import record
from portal.webhooks import services
from portal.webhooks.models import Subscription
from tests.portal.webhooks.receiver import Receiver, running


@pytest.fixture(autouse=True)
def _groups(db: None) -> None:
    """A transactional test before this one may have emptied the table of roles."""
    make_groups()


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.WEBHOOK_HTTP = True
    settings.WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    with running() as one:
        yield one


@pytest.fixture
def hook(receiver: Receiver, manager: Account) -> Subscription:
    """Hears of links and runs, and of nothing that making it brings about."""
    sealing.seal_waiting()
    verbs = [Verb.LINK_ISSUED, Verb.RUN_STARTED]
    made, _ = services.subscribe(actor=manager, name="Tracker", url=receiver.url, verbs=verbs)
    return made


@pytest.fixture
def happen(alice: Account) -> Callable[..., list[Event]]:
    """Some events, sealed."""

    def make(number: int, verb: Verb = Verb.LINK_ISSUED) -> list[Event]:
        made = [record(verb, alice, actor=alice, n=n) for n in range(number)]
        sealing.seal_waiting()
        return made

    return make


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=timezone.get_default_timezone())

    def forward(self, **delta: float) -> None:
        self.now += timedelta(**delta)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", lambda: clock.now)
    return clock
