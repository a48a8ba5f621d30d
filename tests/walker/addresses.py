"""Every URL pattern of the site, and the addresses that it stands for, once for each owner of things.

A new pattern with a parameter fails the walk until `KINDS` says what to put in its place.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldError
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver

from access_requests.models import (
    Application,
    AutomaticRule,
    EvidenceList,
    Form,
    Renewal,
    SecondLook,
)
from access_requests.workflow import Action, GrantAction
from distribution.models import Alarm, Revision
from portal.accounts.models import Account
from portal.audit.models import Event
from portal.catalog.models import Licence
from portal.webhooks.models import Subscription
from tests.walker.marks import World
from tests.walker.world import FAMILIES

# What a parameter stands for: a pattern of the route (up to and with the parameter) → kind of thing.
KINDS: tuple[tuple[str, str], ...] = (
    (r"access_requests/application/<int:pk>", "application on the desk"),
    (r"applications/<int:pk>", "application"),
    (r"grants?/<int:pk>", "grant"),
    (r"then/<int:pk>", "grant"),
    (r"attachments/<uuid:public_id>", "attachment"),
    (r"applications/people/<int:pk>", "place"),
    (r"coapplicant/<int:pk>", "place"),
    (r"witnesses/<int:pk>", "witness"),
    (r"applications/vouch/<str:token>", "mailed question"),
    (r"applications/agreements/<int:pk>", "agreement"),
    (r"applications/join/<str:token>", "invitation"),
    (r"distribution/alarm/<int:pk>", "alarm"),
    (r"inference_sandbox/report/<int:pk>", "report"),
    (r"licence/<int:pk>", "licence"),
    (r"distribution/revision/<int:pk>", "revision"),
    (r"webhooks/subscription/<int:pk>", "webhook"),
    (r"access_requests/form/<int:pk>", "form"),
    (r"renewal/<int:pk>", "renewal"),
    (r"webauthn/keys/<int:pk>", "passkey"),
    (r"secondlook/<int:pk>", "second look"),
    (r"automaticrule/<int:pk>", "rule"),
    (r"events?/<int:(pk|id)>", "event"),
    (r"<str:question>", "question"),
    (r"tokens/<int:pk>", "token"),
    (r"<uuid:run_id>", "run"),
    (r"<uuid:job_id>", "job"),
    (r"releases/<slug:slug>", "release"),
    (r"<slug:family_slug>", "family"),
    (r"api/models/<path:repo>", "repo"),
    (r"models/<path:model>", "repo"),
    (r"models/<path:name>", "repo"),
    (r"<repo:repo>", "repo"),
)
# What stands behind a repo of the hub, or in its place where there is none of ours.
OF_THE_HUB = {
    "<repo:repo>/resolve/<path:rest>": "main/params.json",
    "<repo:repo>/raw/<path:rest>": "main/params.json",
    "<repo:repo>/tree/<path:rest>": "main",
    "<repo:repo>/blob/<path:rest>": "main/params.json",
    "api/models/<repo:repo>/tree/<path:rest>": "main",
    "api/models/<path:rest>": "meta/llama-7b/nothing-we-have",
    "api/datasets/<path:rest>": "meta/words",
    "api/spaces/<path:rest>": "meta/chat",
    "<path:rest>/resolve/<path:file>": "gpt2",
    "<unknown_endpoint:rest>": "v1/embeddings",
    "<path:rest>/raw/<path:file>": "gpt2",
}
# What belongs to nobody, or is found by its own row.
ANYBODYS: dict[str, type[Model]] = {
    "alarm": Alarm,
    "licence": Licence,
    "revision": Revision,
    "form": Form,
    "renewal": Renewal,
    "event": Event,
    "webhook": Subscription,
    "second look": SecondLook,
}
# What the pages of the admin offer beside the table of the workflow.
DESK_FORMS = ("note", "advise", "ask_again", "go_without")
ACTIONS: dict[str, tuple[str, ...]] = {
    "grant": tuple(map(str, GrantAction)),
    "coapplicant": ("admit", "decline"),
    "renewal": ("approve", "refuse"),
    "secondlook": ("look", "decline"),
    "automaticrule": ("save",),
    "licence": ("preview", "publish", "about"),
    "revision": ("make_current", "restore_revision"),
    "subscription": ("ping", "pause", "resume", "try-now", "replay", "change", "rotate", "end"),
}
# How a row of the admin belongs to a person.
BELONGS = (
    "account",
    "applicant",
    "user",
    "actor",
    "grant__account",
    "account__user",
    "reporter",
    "application__applicant",
)
# Addresses of OpenAI's protocol.
OPENAI = ("v1/", "models/", "tokenize", "detokenize", "<unknown_endpoint:")
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One URL pattern. `path` is how it is written, with `<…>` for its parameters."""

    path: str
    view: Any

    @property
    def is_api(self) -> bool:
        return self.path.startswith(("api/", *OPENAI))

    @property
    def has_owner(self) -> bool:
        """Whether the things at its addresses belong to somebody."""
        return bool(PARAMETER.search(self.path)) and not re.search(
            r"<slug:(slug|family_slug|kind)>|<(path|repo):repo>|<path:(model|name|response_id|rest)>|<unknown_endpoint:rest>|<app_label>|<url>|admin/(catalog|webhooks)/"
            r"|(form|automaticrule|evidencelist)/<path|automaticrule/<int|revision/<(path|int)",
            self.path,
        )


def routes() -> list[Route]:
    return [Route(path, pattern.callback) for path, pattern in _walk(get_resolver().url_patterns)]


def _walk(patterns: list[Any], before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        path = before + readable(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
        else:
            yield path, pattern


def readable(pattern: str) -> str:
    """A regular expression as a path: `^key/(?P<key>.+)/$` → `key/<key>/`."""
    pattern = re.sub(r"\(\?P(<\w+>)(?:[^()]|\([^()]*\))*\)", r"\1", pattern)
    return pattern.lstrip("^").removesuffix("$")


def addresses(route: Route, world: World, owner: str) -> list[str]:
    """Where the route leads for the things of `owner`."""
    filled = [route.path]
    if "<str:token>/<path:filename>" in route.path:
        return [f"/download/{token}/{name}" for token, name in world.things[owner]["link"]]
    if route.path == "download/<rest>":
        return [f"/download/{token}%2F{name}" for token, name in world.things[owner]["link"]]
    while match := PARAMETER.search(filled[0]):
        values = _values(route, match, filled[0], world, owner) or ["0"]
        filled = [path.replace(match[0], str(value), 1) for path in filled for value in values]
    return ["/" + path for path in filled]


def _values(route: Route, match: re.Match[str], path: str, world: World, owner: str) -> list[Any]:
    name, account = match[1], world.people[owner]
    if path.startswith("admin/access_requests/application/<path:object_id>/change"):
        return world.things[owner]["application"]
    if found := re.match(r"admin/([a-z_]+)/([a-z_]+)/<path:object_id>", path):
        if found[2] == "application":  # not the draft, which the desk does not know
            return world.things[owner]["application"][1:2]
        if found[2] == "coapplicant":  # who joined; the desk does not know the invited
            return world.things[owner]["place"][-1:]
        if found[2] == "automaticrule":  # its account is its own, and nobody else's
            return _of_kind("rule", world, owner)
        return _rows(apps.get_model(found[1], found[2]), account)
    match name:
        case "content_type_id":
            return [ContentType.objects.get_for_model(Application).pk]
        case "object_id":
            return world.things[owner]["application"][:2]
        case "app_label":
            return sorted({model._meta.app_label for model in admin.site._registry})
        case "url":
            return ["nothing/here"]
        case "action":
            return _actions(path)
        case "kind" if "/evidencelist/" in path:
            return list(EvidenceList.Kind.values)
        case "kind":
            return ["jsonl", "csv"]
        case "status":  # of the hub's lists
            return ["pending", "accepted", "rejected"]
        case "revision" | "rev":
            return ["main"]
        case "rest":
            return [OF_THE_HUB[route.path]]
        case "response_id":
            return ["resp_of-nobody"]
        case "file":
            return ["main/config.json"]
        case "uidb36":
            return [user_pk_to_url_str(account)]
        case "key" if "confirm-email" in path:
            return [EmailConfirmationHMAC(account.emailaddress_set.get()).key]
        case "key":
            return [default_token_generator.make_token(account)]
    upto = route.path[: route.path.index(match[0]) + len(match[0])]
    for pattern, kind in KINDS:
        if re.search(pattern + "$", upto):
            return _of_kind(kind, world, owner)
    raise AssertionError(
        f"The walk does not know what {match[0]} in {route.path} stands for: say it in "
        "tests/walker/addresses.py, and plant what it shows in tests/walker/world.py."
    )


def _actions(path: str) -> list[str]:
    """What the page of a thing in the admin does with it."""
    if "/application/" in path:
        return sorted({*map(str, Action), *DESK_FORMS})
    for model, actions in ACTIONS.items():
        if f"/{model}/" in path:
            return list(actions)
    raise AssertionError(f"tests/walker/addresses.py does not know the actions of {path}")


def _of_kind(kind: str, world: World, owner: str) -> list[Any]:
    if kind == "application on the desk":
        _, waiting, _, _, *claimed = world.things[owner]["application"]
        return [waiting, *claimed]
    if kind == "release":
        return [release.slug for release in world.releases["llama"]]
    if kind == "repo":
        return [release.repo_id for release in world.releases["llama"]]
    if kind == "family":
        return list(FAMILIES[:1])
    if kind == "rule":
        return list(AutomaticRule.objects.values_list("pk", flat=True))
    if kind == "question":
        return ["paper"]
    if kind in ANYBODYS:
        return _rows(ANYBODYS[kind], world.people[owner])
    return world.things[owner][kind]


def _rows(model: type[Model], account: Account) -> list[Any]:
    """A row of the model that belongs to the account; where rows belong to nobody, any."""
    rows = model._default_manager.order_by("pk")
    if model is Account:
        return [account.pk]
    belongs = False
    for path in BELONGS:
        try:
            found = list(rows.filter(**{path: account}).values_list("pk", flat=True)[:1])
        except (FieldError, ValueError):
            continue
        if found:
            return found
        belongs = True
    return [] if belongs else list(rows.values_list("pk", flat=True)[:1])
