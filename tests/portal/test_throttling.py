"""The throttling matrix: every entry point that costs something, beside the scope that it is counted in.

An address of the REST API, the hub or /v1 that changes something and stands in no scope fails here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import Settings

from portal import settings as site_settings
from portal import throttling
from portal.accounts.models import Account
from portal.networks import subscriber_network
from portal.throttling import READ_ROUTES, ROUTES, Limit, Scope, network_of
from tests.people import signed_in, with_token

RUN = "00000000-0000-4000-8000-000000000000"
APPLICATION = "/api/v1/applications/1/"
DESK = "/admin/access_requests/application/1/act/"
HUB = "/api/models/meta/llama-7b/"


@dataclass(frozen=True)
class Row:
    """One entry point: how it is asked, and in which form its clients read a refusal."""

    name: str
    path: str
    form: str
    method: str = "post"

    @property
    def scope(self) -> Scope:
        return ROUTES.get(self.name) or READ_ROUTES[self.name]


def rows(form: str, method: str = "post", **paths: str) -> list[Row]:
    return [Row(name.replace("__", ":"), path, form, method) for name, path in paths.items()]


MATRIX = [
    *(
        Row(f"api-application-{name}", APPLICATION + path, "rest")
        for name, path in {
            **{
                one: f"{one}/"
                for one in (
                    *("submit", "withdraw", "claim", "release", "return", "approve", "refuse"),
                    *("assign", "ask", "advise", "recuse", "appeal", "witnesses"),
                )
            },
            "attachment": "attachments/plan/",
            "write": "messages/",
            "note": "notes/",
            "go-without": "go_without/",
        }.items()
    ),
    *(
        Row(f"api-grant-{name}", f"/api/v1/grants/1/{path}/", "rest")
        for name, path in {
            **{"revoke": "revoke", "suspend": "suspend", "reinstate": "reinstate"},
            "accept": "accept_licence",
        }.items()
    ),
    Row("api-account", "/api/v1/account/", "rest", "patch"),
    Row("api-applications", "/api/v1/applications/", "rest"),
    Row("api-application", APPLICATION, "rest", "patch"),
    Row("api-witness-again", "/api/v1/witnesses/1/again/", "rest"),
    Row("api-release-links", "/api/v1/releases/llama-7b/links/", "rest"),
    Row("api-plain", "/api/v1/plain/", "plain"),
    Row("api-runs", "/api/v1/runs/", "rest"),
    Row("api-run-cancel", f"/api/v1/runs/{RUN}/cancel/", "rest"),
    Row("api-events-export", "/api/v1/events/export.csv", "rest", "get"),
    Row("api-access-then-export", "/api/v1/access-then/export.csv", "rest", "get"),
    Row("hub-paths", HUB + "paths-info/main", "hub"),
    Row("hub-access-handle", HUB + "user-access-request/handle", "hub"),
    Row("hub-access-grant", HUB + "user-access-request/grant", "hub"),
    Row("hub-elsewhere", HUB + "commit/main", "hub"),
    Row("hub-datasets", "/api/datasets/a/b", "hub"),
    Row("hub-spaces", "/api/spaces/a/b", "hub"),
    Row("hub-no-file", "/a/b/c/resolve/main/x", "hub"),
    Row("hub-resolve", "/meta/llama-7b/resolve/main/x", "hub", "get"),
    Row("hub-raw", "/meta/llama-7b/raw/main/x", "hub", "get"),
    Row("openai-completions", "/v1/completions", "openai"),
    Row("openai-completions", "/models/m/v1/completions", "openai"),
    Row("openai-chat", "/v1/chat/completions", "openai"),
    Row("openai-chat", "/models/m/v1/chat/completions", "openai"),
    Row("openai-tokenize", "/tokenize", "openai"),
    Row("openai-tokenize", "/models/m/tokenize", "openai"),
    Row("openai-detokenize", "/detokenize", "openai"),
    Row("openai-detokenize", "/models/m/detokenize", "openai"),
    Row("openai-responses", "/v1/responses", "openai"),
    Row("openai-responses", "/models/m/v1/responses", "openai"),
    Row("openai-response", "/v1/responses/resp_1", "openai"),
    Row("openai-unknown", "/v1/embeddings", "openai"),
    Row("openai-unknown", "/chat/completions", "openai"),
    Row("openai-models", "/v1/models", "openai"),
    Row("openai-model", "/v1/models/m", "openai"),
    Row("openai-tokenizer", "/tokenizer_info", "openai"),
    Row("openai-tokenizer", "/models/m/tokenizer_info", "openai"),
    Row("access_requests:write", "/applications/1/write/", "page"),
    Row("access_requests:people", "/applications/1/people/", "page"),
    Row("access_requests:invite_again", "/applications/people/1/again/", "page"),
    Row("access_requests:witnesses", "/applications/1/witnesses/", "page"),
    Row("access_requests:ask_again", "/applications/witnesses/1/again/", "page"),
    *(
        Row(f"admin:access_requests_application_act/{act}", f"{DESK}{act}/", "page")
        for act in ("claim", "release", "write", "assign", "ask", "ask_again")
    ),
    Row(
        "admin:access_requests_application_changelist",
        "/admin/access_requests/application/",
        "page",
    ),
    Row("admin:access_requests_next", "/admin/access_requests/application/next/", "page"),
    Row(
        "admin:access_requests_evidencelist_load",
        "/admin/access_requests/evidencelist/load/listed/",
        "page",
    ),
    Row("admin:distribution_networklist_load", "/admin/distribution/networklist/load/", "page"),
    Row("inference_sandbox:runs", "/sandbox/runs/", "page"),
    Row("inference_sandbox:compare", "/sandbox/compare/", "page"),
    Row("inference_sandbox:sweep", "/sandbox/sweep/", "page"),
    *(
        Row(f"inference_sandbox:{act}", f"/sandbox/runs/{RUN}/{act}/", "page")
        for act in ("again", "branch", "regenerate", "reply")
    ),
    Row("distribution:files", "/releases/llama-7b/files/", "page", "get"),
    Row("accounts:data", "/account/data/", "page", "get"),
    Row("inference_sandbox:export", "/sandbox/runs/export/csv/", "page", "get"),
    Row("inference_sandbox:results-csv", f"/sandbox/jobs/{RUN}/results.csv", "page", "get"),
    Row("inference_sandbox:results-jsonl", f"/sandbox/jobs/{RUN}/results.jsonl", "page", "get"),
    Row("admin:audit_event_export", "/admin/audit/event/export/csv/", "page", "get"),
    Row(
        "admin:access_requests_past_export",
        "/admin/access_requests/grant/then/export/csv/",
        "page",
        "get",
    ),
    Row(
        "admin:distribution_release_export",
        "/admin/distribution/download/releases/x/export/csv/",
        "page",
        "get",
    ),
    Row(
        "admin:distribution_grant_export",
        "/admin/distribution/download/grants/1/export/csv/",
        "page",
        "get",
    ),
]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(Limit, "timer", staticmethod(clock))
    return clock


@pytest.fixture
def limited(settings: Settings, clock: Clock) -> Iterator[Clock]:
    """Two a minute of everything."""
    cache.clear()
    rates = dict.fromkeys(map(str, Scope), "2/minute")
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    yield clock
    cache.clear()


def client_of(account: Account, row: Row) -> Client:
    return signed_in(account) if row.form == "page" else with_token(account)


def ask(client: Client, row: Row) -> HttpResponse:
    kind = {} if row.form in ("page", "plain") else {"content_type": "application/json"}
    if row.method == "get":
        kind = {}
    return getattr(client, row.method)(row.path, **kind)


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.name)
def test_each_entry_point_says_when_to_come_back_and_keeps_others_out_of_it(
    row: Row, limited: Clock, manager: Account, rita: Account
) -> None:
    client, allowed = client_of(manager, row), 4 if row.form == "page" else 2
    assert [ask(client, row).status_code == 429 for _ in range(allowed)] == [False] * allowed
    _is_refusal(ask(client, row), row.form)
    assert ask(client_of(rita, row), row).status_code != 429
    limited.now += 60
    assert ask(client, row).status_code != 429


def _is_refusal(answer: Any, form: str) -> None:
    assert answer.status_code == 429, answer.content
    assert 1 <= int(answer["Retry-After"]) <= 60
    match form:
        case "rest":
            assert answer["Content-Type"] == "application/problem+json"
            assert answer.json()["code"] == answer["X-Error-Code"] == "rate_limited"
        case "hub":
            assert answer["X-Error-Code"] == "rate_limited"
            assert answer["X-Error-Message"] == answer.json()["error"]
        case "openai":
            error = answer.json()["error"]
            assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        case "plain":
            assert answer.content.startswith(b"rate_limited: ")
            assert answer.content.count(b"\n") == 1
        case "page":
            assert "What to do now" in answer.content.decode()


def _addresses(
    resolver: URLResolver | None = None, namespace: str = ""
) -> Iterator[tuple[str, Any]]:
    for one in (resolver or get_resolver()).url_patterns:
        if isinstance(one, URLResolver):
            inner = f"{namespace}{one.namespace}:" if one.namespace else namespace
            yield from _addresses(one, inner)
        elif isinstance(one, URLPattern):
            yield f"{namespace}{one.name or ''}", one.callback


def _is_for_programs(view: Any) -> bool:
    changes = ("post", "put", "patch", "delete")
    view_class = getattr(view, "cls", None)
    if view_class:
        return any(hasattr(view_class, method) for method in changes)
    return getattr(view, "counts_itself", False)


def test_every_address_that_programs_change_something_at_is_counted_in_a_scope() -> None:
    for_programs = {name for name, view in _addresses() if _is_for_programs(view)}
    assert len(for_programs) > 40
    assert for_programs <= set(ROUTES) | {"hub-resolve", "hub-raw"}


def test_every_address_that_has_a_scope_is_there_and_in_the_matrix() -> None:
    known = {name for name, _ in _addresses()}
    counted = {*ROUTES, *READ_ROUTES}
    assert {name.partition("/")[0] for name in counted} <= known
    assert {row.name for row in MATRIX} == counted


def test_every_scope_has_a_rate_and_the_handbook_names_it() -> None:
    assert set(site_settings.RATES) == set(map(str, Scope))
    page = (site_settings.BASE_DIR / "docs/operators/configuration.md").read_text()
    for scope, rate in site_settings.RATES.items():
        assert f"| `{scope}` | `{rate}` |" in page


def test_a_page_that_is_only_read_is_not_counted(limited: Clock, alice: Account) -> None:
    client = signed_in(alice)
    assert {client.get("/applications/").status_code for _ in range(8)} == {200}


def test_page_and_program_share_one_count(limited: Clock, rita: Account) -> None:
    page = signed_in(rita)
    for _ in range(4):
        page.post(f"{DESK}claim/")
    assert with_token(rita).post(f"{APPLICATION}claim/").status_code == 429
    assert with_token(rita).post(f"{APPLICATION}notes/").status_code != 429  # another scope


def test_a_token_that_runs_wild_leaves_its_person_the_browser(
    limited: Clock, alice: Account
) -> None:
    program = with_token(alice)
    assert [program.post("/api/v1/runs/").status_code for _ in range(9)].count(429) == 7
    assert signed_in(alice).post("/sandbox/runs/").status_code != 429


def test_wrong_tokens_of_a_network_are_refused_and_right_ones_of_the_same_network_pass(
    limited: Clock, alice: Account
) -> None:
    def wrong(address: str, path: str = "/api/v1/grants/") -> Any:
        return Client().get(path, headers={"authorization": "Bearer wb_wrong"}, REMOTE_ADDR=address)

    assert [wrong("192.0.2.1").status_code for _ in range(3)] == [401, 401, 429]
    _is_refusal(wrong("192.0.2.1"), "rest")
    _is_refusal(wrong("192.0.2.1", "/api/whoami-v2"), "hub")
    _is_refusal(wrong("192.0.2.1", "/v1/models"), "openai")
    assert wrong("192.0.2.2").status_code == 401
    right = with_token(alice).get("/api/v1/grants/", REMOTE_ADDR="192.0.2.1")
    assert right.status_code == 200
    limited.now += 60
    assert wrong("192.0.2.1").status_code == 401


def test_wrong_keys_of_a_script_count_as_wrong_tokens(limited: Clock, db: None) -> None:
    def wrong() -> Any:
        return Client().get("/api/v1/plain/", headers={"authorization": "Bearer wbs_1.2.3"})

    assert [wrong().status_code for _ in range(3)] == [401, 401, 429]
    _is_refusal(wrong(), "plain")


@pytest.mark.parametrize("path", ["/api/models", f"{HUB}refs", "/api/whoami-v2"])
def test_who_asks_the_hub_without_a_token_is_counted_by_network(
    path: str, limited: Clock, release: Any
) -> None:
    def anonymous(address: str) -> Any:
        return Client().get(path, REMOTE_ADDR=address)

    assert all(anonymous("192.0.2.1").status_code != 429 for _ in range(2))
    _is_refusal(anonymous("192.0.2.1"), "hub")
    assert anonymous("192.0.2.2").status_code != 429
    limited.now += 60
    assert anonymous("192.0.2.1").status_code != 429


def test_a_referee_without_an_account_is_counted_by_network(limited: Clock, db: None) -> None:
    client = Client(headers={"accept": "text/html"})
    answers = [client.post("/applications/vouch/wrong/").status_code for _ in range(3)]
    assert answers[:2].count(429) == 0
    assert answers[2] == 429


async def test_an_asynchronous_page_is_counted_too(limited: Clock) -> None:
    client = AsyncClient(headers={"accept": "text/html"})
    answers = [(await client.post("/applications/1/write/")).status_code for _ in range(3)]
    assert answers[2] == 429


def test_sign_in_keeps_the_limits_of_allauth(limited: Clock, db: None) -> None:
    client = Client(headers={"accept": "text/html"})
    assert all(client.post("/account/login/").status_code == 200 for _ in range(4))


def test_an_address_of_ipv6_stands_for_its_whole_network() -> None:
    def network(address: str) -> str:
        return network_of(RequestFactory().get("/", REMOTE_ADDR=address))

    assert network("2001:db8::1") == network("2001:db8::ffff:1") != network("2001:db8:0:1::1")
    assert network("192.0.2.1") != network("192.0.2.2")


def test_a_client_does_not_change_its_network_with_a_header(limited: Clock, release: Any) -> None:
    answers = [
        Client().get("/api/models", headers={"x-forwarded-for": f"192.0.2.{number}"}).status_code
        for number in range(3)
    ]
    assert answers[2] == 429


def test_a_cache_that_does_not_answer_refuses_nobody(
    limited: Clock, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def add(self, *_: Any, **__: Any) -> None:
            raise ConnectionError("away")

    monkeypatch.setattr(Limit, "cache", Broken())
    program = with_token(alice)
    assert {program.post("/api/v1/runs/").status_code for _ in range(4)} == {400}


def test_a_rate_left_empty_is_no_limit(limited: Clock, settings: Settings, alice: Account) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"runs": None}}
    program = with_token(alice)
    assert 429 not in {program.post("/api/v1/runs/").status_code for _ in range(5)}


def test_a_limit_counts_each_request_once(
    limited: Clock,
) -> None:
    found = [throttling.Limit(Scope.RUNS, "account:1").is_exceeded() for _ in range(4)]
    assert found == [False, False, True, True]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),  # IPv4, as a server sees it that listens on both
        ("2001:db8:1:2:3::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),  # a unix socket
    ],
)
def test_a_subscriber_is_one_network_and_two_are_never_one(address: str, network: str) -> None:
    assert subscriber_network(address) == network
