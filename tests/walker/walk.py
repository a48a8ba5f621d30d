"""The walk: every person to every address, with what came back."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.signals import got_request_exception
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.client import ClientHandler
from django.utils import timezone

from access_requests import versions
from access_requests.models import Application, CoApplicant, Grant, Renewal
from distribution import links
from portal.accounts.models import Account, ApiToken, Scope
from portal.refusals import Refusal
from tests.access_requests.people import seen_now
from tests.walker.addresses import OPENAI, Route, addresses, routes
from tests.walker.around import PDF
from tests.walker.marks import World
from tests.walker.world import OWNERS

# Who walks, in the order of the table's columns. bob does not: his things are foreign to all of them.
WALKERS = ("stranger", "mallory", "alice", "rita", "mona", "audrey", "otto", "root")
READ_HEADS = ("stranger", "alice", "root")
CSRF = "c" * 32
WRITES = re.compile(r'(?:INSERT(?: OR IGNORE)? INTO|UPDATE|DELETE FROM) "(\w+)"')
HUB = ("/api/models", "/api/datasets/", "/api/spaces/", "/api/whoami-v2")  # and files
# Whoever may prompt is told that no tokens cannot be asked for, and no worker is waited for.
OF_OPENAI: dict[str, Any] = {
    "model": "meta/llama-7b",
    "prompt": "Enough said.",
    "messages": [{"role": "user", "content": "Enough said."}],
    "max_tokens": 0,
    "tokens": [5],
}
OF_RESPONSES = {"model": OF_OPENAI["model"], "input": "Enough said.", "max_output_tokens": 0}
BROWSER = {"accept": "text/html,application/json;q=0.9"}


@dataclass(frozen=True)
class Visit:
    who: str
    method: str
    route: Route
    address: str
    own: bool
    status: int
    location: str
    code: str
    leaks: tuple[str, ...]
    error: str
    writes: frozenset[str]  # tables
    counts: bool  # for the table of permissions: nothing was missing in what was sent

    def __str__(self) -> str:
        return f"{self.who}: {self.method} {self.address} → {self.status} {self.error}"


# What auditors are told of the past, and on those pages alone: who held a grant, on what evidence.
OF_THE_PAST = ("e-mail address", "institution")


class Site(RequestFactory):
    """The whole site behind its middleware. Django's own client also copies the context of every
    template for its tests to look into, which takes most of the time of a page.
    """

    handler = ClientHandler(enforce_csrf_checks=True)

    def __init__(self, cookies: dict[str, str]) -> None:
        super().__init__(headers=BROWSER)
        self.cookies.load(cookies)

    def request(self, **request: Any) -> HttpResponse:  # type: ignore[override]
        return self.handler(self._base_environ(**request))


class Answer(NamedTuple):
    response: HttpResponse
    errors: tuple[str, ...]  # that nobody caught
    writes: frozenset[str]  # the tables that it wrote to


class Walker:
    """One person with a browser that keeps nothing between two requests."""

    def __init__(self, world: World, who: str) -> None:
        self.world, self.who = world, who
        self.account = world.people.get(who)
        client = Client(headers=BROWSER)
        if self.account:
            client.force_login(self.account, backend="django.contrib.auth.backends.ModelBackend")
        # The hub's addresses and OpenAI's know no cookie; there, everybody comes with a token that may all.
        token = self.account and ApiToken.make(
            self.account, name="walk", scopes=[str(scope) for scope in Scope]
        )
        self.token = token[1] if token else ""
        self.cookies = {name: morsel.value for name, morsel in client.cookies.items()}
        self.answered: dict[
            tuple[str, str], Answer
        ] = {}  # before the walk, to what it will ask too

    def answer(self, method: str, address: str, data: dict[str, Any] | None = None) -> Answer:
        """What was answered before, or is now. Nothing that is asked leaves anything behind."""
        known = None if data else self.answered.pop((method, address), None)
        return known or self.ask(method, address, data)

    def answers_to(self, method: str, address: str) -> bool:
        """Whether there is such a method at all; the answer is kept."""
        answer = self.answered[method, address] = self.ask(method, address)
        return answer.response.status_code != 405

    def ask(self, method: str, address: str, data: dict[str, Any] | None = None) -> Answer:
        """One request, whose effects are undone, whose CSRF token is checked."""
        site = Site({**self.cookies, "csrftoken": CSRF})
        sent: dict[str, Any] = {"headers": {"x-csrftoken": CSRF}}
        programs = address.startswith(HUB) or address[1:].startswith(OPENAI)
        if self.token and (programs or "/resolve/" in address or "/raw/" in address):
            sent["headers"]["authorization"] = f"Bearer {self.token}"
        if method not in ("GET", "HEAD"):
            sent["data"] = data or {}
            if "/attachments/" in address:
                sent["data"] = {"file": SimpleUploadedFile("paper.pdf", PDF)}
            elif address.startswith("/api/") or address[1:].startswith(OPENAI):
                sent["content_type"] = "application/json"
        errors: list[str] = []

        def note(**_: Any) -> None:
            errors.append(repr(sys.exc_info()[1]))

        writes: set[str] = set()

        def watch(execute: Any, sql: str, *more: Any) -> Any:
            if found := WRITES.match(sql):
                writes.add(found[1])
            return execute(sql, *more)

        with transaction.atomic():
            got_request_exception.connect(note)
            try:
                with connection.execute_wrapper(watch):
                    response: HttpResponse = getattr(site, method.lower())(address, **sent)
            finally:
                got_request_exception.disconnect(note)
            transaction.set_rollback(True)
        return Answer(response, tuple(errors), frozenset(writes))

    def visit(
        self, method: str, route: Route, address: str, *, own: bool, data: Any = None
    ) -> Visit:
        response, errors, writes = self.answer(method, address, data)
        body = "" if response.streaming else response.content.decode(errors="replace")
        return Visit(
            who=self.who,
            method=method,
            route=route,
            address=address,
            own=own,
            status=response.status_code,
            location=response.headers.get("Location", ""),
            code=response.headers.get("X-Error-Code", ""),
            leaks=tuple(self.leaks(body, route)),
            error="; ".join(errors),
            writes=writes,
            counts=method == "GET" or data is not None or _is_form_of_the_admin(route),
        )

    def leaks(self, body: str, route: Route) -> Iterator[str]:
        """What the page shows that this person may not see."""
        past = self.who == "audrey" and "then/" in route.path
        for secret in self.world.secrets:
            if past and secret.what in OF_THE_PAST:
                continue
            if self.who not in secret.readers and secret.text in body:
                yield f"{secret.what}: {secret.text}"
        for token in set(re.findall(r"/download/([\w.:-]+)/", body)):
            if (grant := _grant_of(token)) and grant.account != self.account:
                yield f"a link under the grant of {grant.account}"


def _grant_of(token: str) -> Grant | None:
    try:
        claim = links.read(token)
    except Refusal:
        return None
    return Grant.objects.filter(pk=claim.grant_id).select_related("account").first()


def full(world: World, who: str) -> dict[str, Any]:
    """Fields that every act of the site finds enough in, so that what refuses it is not a form."""
    account: Account | None = world.people.get(who)
    text = "Enough said."
    return {
        "reason": text,
        "message": text,
        "answer": text,
        "advice": "approve",
        "outcome": "approve",
        "conflict": text,
        "body": text,
        "text": text,
        "appeal": text,
        "name": account.name if account else "Nobody",
        "typed_name": account.name if account else "Nobody",
        "releases": ["llama-7b"],
        "release": "llama-7b",
        "prompt": text,
        "tier": "weights",
        "ends_at": (timezone.now() + timedelta(days=30)).isoformat(),
        "scopes": ["read"],
        "reviewer": world.people["sam"].pk,
        "kind": "referee",
        "problem": "bias",
        "position": text,
        "email": "somebody@example.org",
    }


def walk(world: World) -> list[Visit]:
    """Everybody everywhere: own things and foreign ones; GET and HEAD; POST with nothing and with enough."""
    root = Walker(world, "root")
    ways = [(route, _methods(root, world, route)) for route in routes()]
    visits: list[Visit] = []
    for who in WALKERS:
        walker = root if who == root.who else Walker(world, who)
        for route, methods in ways:
            visits += _all_of(walker, world, route, methods)
    return visits


def _methods(root: Walker, world: World, route: Route) -> list[str]:
    """The methods that the route answers to at all, as somebody sees who may everything."""
    view = getattr(route.view, "cls", None)
    if route.is_api and view is not None:
        known = [m for m in ("get", "post", "put", "patch", "delete") if hasattr(view, m)]
        return [method.upper() for method in known]
    if route.path.startswith("admin/"):
        if "/act/" in route.path:
            return ["POST"]
        reads = route.path.endswith(("/history/", "/<path:object_id>/", "<app_label>/"))
        if reads:
            return ["GET"]
    address = addresses(route, world, "bob")[0]
    return [method for method in ("GET", "POST") if root.answers_to(method, address)]


def _all_of(walker: Walker, world: World, route: Route, methods: list[str]) -> Iterator[Visit]:
    owners = ["bob", walker.who] if walker.who in OWNERS and route.has_owner else ["bob"]
    enough = full(world, walker.who)
    for owner in owners:
        for first, address in enumerate(addresses(route, world, owner)):
            sent = {**enough, **_for_the_desk(address)}
            if address.startswith("/api/models/"):
                sent = {"user": world.people["bob"].handle, "status": "pending"}
            if route.path.startswith(OPENAI):
                sent = OF_OPENAI
            if route.path.endswith("v1/responses"):
                sent = OF_RESPONSES
            for method, data in _asked(walker, route, methods, sent, is_first=not first):
                yield walker.visit(method, route, address, own=owner == walker.who, data=data)


def _asked(
    walker: Walker, route: Route, methods: list[str], enough: dict[str, Any], *, is_first: bool
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """What is asked of one address. The admin's own forms take none of our fields."""
    is_form_of_the_admin = _is_form_of_the_admin(route)
    for method in methods:
        yield method, None if method == "GET" or is_form_of_the_admin else enough
        if not is_first:
            continue  # the rest is the same for the next thing
        if method == "GET" and walker.who in READ_HEADS:
            yield "HEAD", None
        elif method != "GET" and not is_form_of_the_admin:
            yield method, None


def _is_form_of_the_admin(route: Route) -> bool:
    return route.path.startswith("admin/") and "/act/" not in route.path


def _for_the_desk(address: str) -> dict[str, Any]:
    """The forms there name releases by their ids, and ask for a day."""
    if address.endswith("/ask/"):
        return {"kind": "review"}  # of a colleague; elsewhere a kind is one of witness
    if found := re.fullmatch(
        r"/api/v1/applications/(\d+)/(return|approve|refuse|advise)/", address
    ):
        return {"version": seen_now(int(found[1]))}
    day = f"{timezone.now() + timedelta(days=400):%Y-%m-%d}"
    if found := re.fullmatch(r"/admin/access_requests/renewal/(\d+)/act/(\w+)/", address):
        seen = versions.version_of_renewal(Renewal.objects.get(pk=found[1]))
        return {"ends_at": day, "seen": seen}
    if found := re.fullmatch(r"/admin/access_requests/coapplicant/(\d+)/act/(\w+)/", address):
        return {"seen": versions.version_of_place(CoApplicant.objects.get(pk=found[1]))}
    found = re.fullmatch(r"/admin/access_requests/application/(\d+)/act/(\w+)/", address)
    if found is None or found[2] not in ("return", "approve", "refuse", "advise"):
        return {}
    seen = {"seen": seen_now(int(found[1]))}
    if found[2] != "approve":
        return seen
    releases = Application.objects.get(pk=found[1]).releases.values_list("pk", flat=True)
    return {
        **seen,
        "releases": list(releases),
        "ends_at": f"{timezone.now() + timedelta(days=30):%Y-%m-%d}",
    }
