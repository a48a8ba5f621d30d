"""The pages to which no link leads: behind a form that was sent, and behind a link in a mail."""

import time
from collections.abc import Iterator
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from django.db import transaction
from django.test import Client
from django.utils import timezone

from access_requests import mailed_links
from access_requests.models import Application, Block, CoApplicant, Form, Witness
from portal.catalog.models import Licence
from tests.every_page.crawl import Page
from tests.people import signed_in
from tests.walker.marks import World
from tests.walker.walk import Walker

# Who asks, how, for which address, with what in the form.
Step = tuple[str, str, str, dict[str, Any]]
PASSWORD = "a-password-for-tests"


def typed(world: World) -> list[Page]:
    """Forms and mails to everybody: alice and mallory apply, rita, mona and audrey review."""
    clients = {who: _just_now(signed_in(account)) for who, account in world.people.items()}
    clients["stranger"] = Client(headers={"accept": "text/html"})
    steps = [*_mailed(world), *_doors(world), *_own(world), *_at_the_desk(world), *_refused()]
    return [_taken(clients[who], who, *step) for who, *step in steps]


def _taken(client: Client, who: str, method: str, address: str, data: dict[str, Any]) -> Page:
    """The page at the end of the step, whose effects are undone."""
    cookies = client.cookies.copy()
    with transaction.atomic():
        response = getattr(client, method)(address, data, follow=True)
        transaction.set_rollback(True)
    client.cookies = cookies
    assert response.status_code < 500, address
    if response.redirect_chain:
        address = response.redirect_chain[-1][0]
    return Page(who, address, response.content.decode())


def as_walker(world: World, who: str) -> Walker:
    """Those who apply typed their password just now; the others are asked for it again."""
    walker = Walker(world, who)
    if walker.account and not walker.account.is_staff:
        client = _just_now(signed_in(walker.account))
        walker.cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    return walker


def _just_now(client: Client) -> Client:
    """As somebody who typed the password a moment ago, whom the pages that guard the account let in."""
    session = client.session
    typed = {"method": "password", "at": time.time(), "reauthenticated": True}
    session["account_authentication_methods"] = [typed]
    session["account_authentication_methods_user"] = session["_auth_user_id"]
    session.save()
    return client


def _mailed(world: World) -> Iterator[Step]:
    bob, mallory = world.people["bob"], world.people["mallory"]
    for witness in Witness.objects.filter(application__applicant=bob, status="asked"):
        address = _at("vouch", witness)
        yield "stranger", "get", address, {}
        yield "stranger", "post", address, {}
    yield "stranger", "get", f"/applications/vouch/{world.things['bob']['mailed question'][0]}/", {}
    invited = _at("join", CoApplicant.objects.get(email=mallory.email))
    yield "mallory", "get", invited, {}
    yield "mallory", "post", invited, {}
    yield "alice", "get", invited, {}
    unconfirmed = world.people["carol"].emailaddress_set.create(email="carol@home.test")
    key = EmailConfirmationHMAC(unconfirmed).key
    yield "stranger", "get", f"/account/confirm-email/{key}/", {}
    yield "stranger", "get", "/account/confirm-email/no-such-key/", {}
    reset = f"{user_pk_to_url_str(bob)}-{default_token_generator.make_token(bob)}"
    yield "stranger", "get", f"/account/password/reset/key/{reset}/", {}
    yield "stranger", "get", f"/account/password/reset/key/{user_pk_to_url_str(bob)}-no-key/", {}


def _at(way: str, one: Any) -> str:
    return "/" + mailed_links.url(way, one.pk, one.nonce).split("/", 3)[3]


def _doors(world: World) -> Iterator[Step]:
    alice, mallory = world.people["alice"], world.people["mallory"]
    new = {
        "email": "new@lab.test",
        "name": "Noor New",
        "password1": PASSWORD,
        "password2": PASSWORD,
    }
    yield "stranger", "post", "/account/signup/", new
    yield "stranger", "post", "/account/signup/", {"email": "no address"}
    yield "stranger", "post", "/account/login/", {"login": alice.email, "password": "wrong"}
    yield "stranger", "post", "/account/login/", {"login": alice.email, "password": PASSWORD}
    yield "stranger", "post", "/account/password/reset/", {"email": mallory.email}
    yield "stranger", "get", "/account/password/reset/key/done/", {}
    yield "stranger", "get", "/account/inactive/", {}
    yield "alice", "get", "/account/logout/", {}
    yield "rita", "get", "/admin/password_change/done/", {}


def _own(world: World) -> Iterator[Step]:
    draft, grant = world.things["alice"]["application"][0], world.things["alice"]["grant"][0]
    returned = world.things["alice"]["application"][2]
    releases = [release.slug for release in world.releases["draft"]]
    yield "alice", "post", "/account/", {}
    yield "alice", "post", "/account/password/change/", {"oldpassword": "wrong"}
    yield "alice", "post", "/account/email/", {"action_add": "1", "email": "alice@home.test"}
    yield "alice", "post", "/account/tokens/", {"name": "laptop", "scopes": ["read"], "days": 30}
    yield "alice", "post", "/account/tokens/", {}
    yield "alice", "post", "/account/erase/", {}
    yield "mallory", "post", "/account/2fa/totp/activate/", {"code": "1"}
    yield "alice", "post", f"/applications/{draft}/edit/", {"go_on": "1", "releases": releases}
    yield "alice", "get", f"/applications/{draft}/licence/", {}
    yield "alice", "post", f"/applications/{draft}/licence/", {}
    yield "alice", "post", f"/applications/{returned}/witnesses/", {"kind": "referee"}
    yield "alice", "post", f"/applications/{draft}/people/", {"email": "nobody"}
    yield "alice", "post", f"/applications/grants/{grant}/renew/", {}
    yield "alice", "post", f"/applications/grants/{grant}/close/", {}
    yield "alice", "post", f"/applications/grants/{grant}/licence/", {}
    yield "alice", "post", "/sandbox/runs/", {"release": "llama-7b"}


def _at_the_desk(world: World) -> Iterator[Step]:
    pk = Application.objects.get(applicant=world.people["bob"], family__slug="claimed-by-mona").pk
    desk = "/admin/access_requests"
    for action in ("approve", "refuse", "ask"):
        yield "mona", "post", f"{desk}/application/{pk}/act/{action}/", {}
    yield "mona", "get", f"{desk}/application/", {"q": "nobody of this name"}
    now = f"{timezone.now():%Y-%m-%dT%H:%M:%S}"
    filled = {"release": "llama-7b", "at": now, "tier": "weights", "show": "all"}
    yield "audrey", "get", f"{desk}/grant/then/", filled
    licence = Licence.objects.get().pk
    text = {"text": "# Another\n\nText.", "standing": "keep", "reaccept_days": 30}
    yield "mona", "post", f"/admin/catalog/licence/{licence}/act/preview/", text
    yield "mona", "post", f"{desk}/automaticrule/add/", {}
    yield "mona", "post", f"{desk}/block/add/", {}
    yield "mona", "get", f"{desk}/block/{Block.objects.get().pk}/history/", {}
    yield "mona", "post", f"{desk}/form/add/", {"do": "save"}
    yield "mona", "post", f"{desk}/form/preview/", {"family": "llama"}
    yield "mona", "get", f"{desk}/form/{Form.objects.order_by('pk')[0].pk}/preview/", {}
    yield "mona", "post", f"{desk}/evidencelist/load/institutions/", {}
    yield "mona", "post", "/admin/webhooks/subscription/add/", {}
    address = world.people["alice"].emailaddress_set.get().pk
    chosen = {"action": "delete_selected", "_selected_action": [address]}
    yield "root", "post", "/admin/account/emailaddress/", chosen


def _refused() -> Iterator[Step]:
    yield "stranger", "get", "/nothing/here/", {}
    yield "stranger", "get", "/applications/vouch/no-such-link/", {}
    yield "stranger", "get", "/download/no-such-link/weights.pth", {}
    yield "mallory", "get", "/admin/state/", {}
    yield "mona", "get", "/admin/nothing/here/", {}
    yield "mona", "get", "/admin/access_requests/block/999999/change/", {}
