"""Webhooks in the admin: managers make, test, pause and end them; nobody else knows of them."""

import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.refusals import Code, Refusal
from portal.webhooks import delivering, services, signing
from portal.webhooks.models import Subscription
from tests.people import signed_in
from tests.portal.webhooks.receiver import Receiver, status

pytestmark = pytest.mark.django_db
LIST, ADD = "/admin/webhooks/subscription/", "/admin/webhooks/subscription/add/"


def page(hook: Subscription) -> str:
    return f"{LIST}{hook.pk}/change/"


def press(client: Client, hook: Subscription, action: str, **data: object) -> str:
    answer = client.post(f"{LIST}{hook.pk}/act/{action}/", data, follow=True)
    return answer.content.decode()


def shown_secret(html: str) -> str:
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", html)
    assert found
    return found[0]


def test_a_manager_makes_one_and_sees_its_secret_once(manager: Account, receiver: Receiver) -> None:
    client = signed_in(manager)
    assert LIST in client.get("/admin/", follow=True).content.decode(), "the side bar leads there"
    assert ADD in client.get(LIST).content.decode()
    answer = client.post(
        ADD, {"name": "Tracker", "url": receiver.url, "verbs": ["grant.issued", "grant.revoked"]}
    )
    hook = Subscription.objects.get()
    assert hook.verbs == ["grant.issued", "grant.revoked"]
    secret = shown_secret(answer.content.decode())
    assert signing.opened(hook.secret) == secret
    assert "no-store" in answer["Cache-Control"]
    assert "whsec_" not in client.get(page(hook)).content.decode()
    made = Event.objects.get(verb=Verb.WEBHOOK_MADE)
    assert (made.actor, made.subject_id) == (manager, str(hook.pk))
    assert receiver.url not in str(made.data)


def test_what_does_not_fit_is_said_beside_the_field(manager: Account) -> None:
    client = signed_in(manager)
    answer = client.post(ADD, {"name": "T", "url": "https://10.0.0.1/"})
    assert answer.status_code == 422
    assert "10.0.0.1 is not a public address" in answer.content.decode()
    assert "grant.issued" in client.get(ADD).content.decode()
    assert client.post(ADD, {"name": "", "url": ""}).status_code == 422
    assert (
        client.post(ADD, {"name": "T", "url": "https://a.example/", "verbs": ["x"]}).status_code
        == 422
    )
    assert not Subscription.objects.exists()


def test_a_test_message_says_what_came_of_it(
    manager: Account, hook: Subscription, receiver: Receiver
) -> None:
    client = signed_in(manager)
    assert "Nothing was sent yet" in client.get(page(hook)).content.decode()
    assert "The test was received" in press(client, hook, "ping")
    assert receiver.messages[0]["type"] == "webhook.ping"
    receiver.answer = status(500, "our <b>fault</b>")
    html = press(client, hook, "ping")
    assert "The test failed" in html
    assert "It answers 500" in html
    assert "our &lt;b&gt;fault&lt;/b&gt;" in html
    hook.refresh_from_db()
    assert (hook.delivered, hook.failures) == (0, 0), "a test is outside the line"


def test_the_page_shows_how_it_goes(
    manager: Account,
    hook: Subscription,
    receiver: Receiver,
    happen: Callable[..., list[Event]],
) -> None:
    client = signed_in(manager)
    receiver.answer = status(503, "Down for repair.")
    happen(2)
    delivering.deliver(hook.pk)
    html = client.get(page(hook)).content.decode()
    assert "failing since" in html
    assert "Down for repair." in html
    assert "Number 1 was not received" in html
    assert "failing since" in client.get(LIST).content.decode()
    receiver.answer = status(200)
    assert "tried again within seconds" in press(client, hook, "try-now")
    assert delivering.deliver(hook.pk) == 2
    assert "up to date" in client.get(page(hook)).content.decode()


def test_pause_resume_change_rotate_and_deliver_again(
    manager: Account,
    hook: Subscription,
    receiver: Receiver,
    happen: Callable[..., list[Event]],
) -> None:
    client = signed_in(manager)
    assert "paused since" in press(client, hook, "pause")
    assert "It is paused already" in press(client, hook, "pause")
    assert "Resumed." in press(client, hook, "resume")
    assert "signed with the old one too" in (html := press(client, hook, "rotate"))
    hook.refresh_from_db()
    assert signing.opened(hook.secret) == shown_secret(html)
    changed = {"name": "Desk", "url": receiver.url + "/2", "verbs": ["link.issued"]}
    assert "Saved." in press(client, hook, "change", **changed)
    hook.refresh_from_db()
    assert (hook.name, hook.url, hook.verbs) == ("Desk", receiver.url + "/2", ["link.issued"])
    assert "not a public address" in press(
        client, hook, "change", **{**changed, "url": "https://192.168.0.1/"}
    )
    happen(2)
    delivering.deliver(hook.pk)
    assert "Choose a number from 1 to 2" in press(client, hook, "replay", sequence=3)
    assert "sent again" in press(client, hook, "replay", sequence=2)
    assert delivering.deliver(hook.pk) == 1
    done = set(
        Event.objects.filter(subject_type=hook._meta.label_lower).values_list("verb", flat=True)
    )
    assert done >= {
        "webhook.made",
        "webhook.paused",
        "webhook.resumed",
        "webhook.secret_rotated",
        "webhook.changed",
        "webhook.replayed",
    }


def test_ending_one_forgets_it_and_the_log_does_not(
    manager: Account,
    hook: Subscription,
    receiver: Receiver,
    happen: Callable[..., list[Event]],
) -> None:
    happen(1)
    delivering.deliver(hook.pk)
    client = signed_in(manager)
    html = press(client, hook, "end")
    assert "is ended" in html
    assert not Subscription.objects.exists()
    ended = Event.objects.get(verb=Verb.WEBHOOK_ENDED)
    assert ended.data == {"delivered": 1}
    assert client.post(f"{LIST}{hook.pk}/act/ping/").status_code in (302, 404)


@pytest.mark.parametrize("who", ["mallory", "rita", "alice"])
def test_others_find_nothing_and_the_services_refuse_them(
    who: str, hook: Subscription, receiver: Receiver, request: pytest.FixtureRequest
) -> None:
    account: Account = request.getfixturevalue(who)
    client = signed_in(account)
    for address in (LIST, ADD, page(hook)):
        assert client.get(address).status_code in (302, 403, 404)
    for action in ("ping", "pause", "rotate", "end", "change", "replay", "try-now", "nonsense"):
        assert client.post(f"{LIST}{hook.pk}/act/{action}/").status_code in (302, 403, 404)
    assert receiver.seen == []
    hook.refresh_from_db()
    assert hook.paused_at is None
    for act in (services.ping, services.pause, services.rotate, services.end):
        with pytest.raises(Refusal) as refused:
            act(hook.pk, actor=account)
        assert refused.value.code == Code.NOT_ALLOWED


def test_a_button_takes_a_post_alone_and_an_unknown_one_is_refused(
    manager: Account, hook: Subscription
) -> None:
    client = signed_in(manager)
    assert client.get(f"{LIST}{hook.pk}/act/end/").status_code == 405
    assert client.post(f"{LIST}{hook.pk}/act/nonsense/").status_code == 404


def test_the_number_of_queries_does_not_grow(
    manager: Account,
    hook: Subscription,
    receiver: Receiver,
    happen: Callable[..., list[Event]],
) -> None:
    client = signed_in(manager)

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client.get(page(hook))
            client.get(LIST)
        return len(seen)

    happen(1)
    delivering.deliver(hook.pk)
    few = queries()
    happen(10)
    delivering.deliver(hook.pk)
    for n in range(5):
        services.subscribe(actor=manager, name=f"T{n}", url=receiver.url, verbs=[])
    assert queries() == few
