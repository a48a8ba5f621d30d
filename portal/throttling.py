"""How often one account, token or network may do what costs something: pages, REST, hub and /v1 count together.

`ROUTES` gives each address its scope, by the name of its URL; the rates of the scopes are settings. The counts lie in
the cache. A cache that does not answer refuses nobody: sign-in, access checks and quotas do not depend on it.
"""

import logging
from collections.abc import Callable
from enum import StrEnum
from math import ceil
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle

from portal import problems
from portal.accounts.models import Account, ApiToken
from portal.middleware import Handler
from portal.networks import subscriber_network

log = logging.getLogger(__name__)
V = TypeVar("V", bound=Callable[..., Any])
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Scope(StrEnum):
    """What is counted together. The rates: settings.RATES."""

    WRONG_TOKENS = "wrong_tokens"  # of one network
    ANONYMOUS = "anonymous"  # all that a network asks without an account
    READS = "reads"
    CHANGES = "changes"
    MAILS = "mails"  # what makes this site write to another person
    CLAIMS = "claims"
    UPLOADS = "uploads"
    RUNS = "runs"
    TOKENIZING = "tokenizing"
    LINKS = "links"
    FILES = "files"
    EXPORTS = "exports"


# URL name → scope of what changes something there; with `/action` behind it, of one button of an admin page.
ROUTES: dict[str, Scope] = {
    # The hub
    "hub-paths": Scope.READS,  # a POST that changes nothing
    "hub-access-handle": Scope.CHANGES,
    "hub-access-grant": Scope.CHANGES,
    "hub-elsewhere": Scope.READS,
    "hub-datasets": Scope.READS,
    "hub-spaces": Scope.READS,
    "hub-no-file": Scope.READS,
    "api-account": Scope.CHANGES,
    # Applications and grants: REST, then the pages of the same acts
    "api-applications": Scope.CHANGES,
    "api-application": Scope.CHANGES,
    "api-application-submit": Scope.CHANGES,
    "api-application-withdraw": Scope.CHANGES,
    "api-application-attachment": Scope.UPLOADS,
    "api-application-claim": Scope.CLAIMS,
    "api-application-release": Scope.CLAIMS,
    "api-application-return": Scope.CHANGES,
    "api-application-approve": Scope.CHANGES,
    "api-application-refuse": Scope.CHANGES,
    "api-application-write": Scope.MAILS,
    "api-application-note": Scope.CHANGES,
    "api-application-assign": Scope.MAILS,
    "api-application-ask": Scope.MAILS,
    "api-application-advise": Scope.CHANGES,
    "api-application-recuse": Scope.CHANGES,
    "api-application-appeal": Scope.CHANGES,
    "api-application-witnesses": Scope.MAILS,
    "api-application-go-without": Scope.CHANGES,
    "api-witness-again": Scope.MAILS,
    "api-grant-revoke": Scope.CHANGES,
    "api-grant-suspend": Scope.CHANGES,
    "api-grant-reinstate": Scope.CHANGES,
    "api-grant-accept": Scope.CHANGES,
    "access_requests:write": Scope.MAILS,
    "access_requests:people": Scope.MAILS,
    "access_requests:invite_again": Scope.MAILS,
    "access_requests:witnesses": Scope.MAILS,
    "access_requests:ask_again": Scope.MAILS,
    "admin:access_requests_application_act/claim": Scope.CLAIMS,
    "admin:access_requests_application_act/release": Scope.CLAIMS,
    "admin:access_requests_application_act/write": Scope.MAILS,
    "admin:access_requests_application_act/assign": Scope.MAILS,
    "admin:access_requests_application_act/ask": Scope.MAILS,
    "admin:access_requests_application_act/ask_again": Scope.MAILS,
    "admin:access_requests_application_changelist": Scope.MAILS,  # reminds and shares out in bulk
    "admin:access_requests_next": Scope.CLAIMS,
    "admin:access_requests_evidencelist_load": Scope.UPLOADS,
    "admin:distribution_networklist_load": Scope.UPLOADS,
    # Downloads
    "api-release-links": Scope.LINKS,
    "api-plain": Scope.LINKS,
    # The sandbox
    "api-runs": Scope.RUNS,
    "api-run-cancel": Scope.CHANGES,
    "openai-completions": Scope.RUNS,
    "openai-chat": Scope.RUNS,
    "openai-responses": Scope.RUNS,
    "openai-response": Scope.READS,
    "openai-unknown": Scope.READS,
    "openai-models": Scope.READS,
    "openai-model": Scope.READS,
    "openai-tokenizer": Scope.READS,
    "openai-tokenize": Scope.TOKENIZING,
    "openai-detokenize": Scope.TOKENIZING,
    "inference_sandbox:runs": Scope.RUNS,
    "inference_sandbox:again": Scope.RUNS,
    "inference_sandbox:branch": Scope.RUNS,
    "inference_sandbox:regenerate": Scope.RUNS,
    "inference_sandbox:reply": Scope.RUNS,
    "inference_sandbox:compare": Scope.RUNS,
    "inference_sandbox:sweep": Scope.RUNS,
}
# The same for what is only read, where it costs more than a page.
READ_ROUTES: dict[str, Scope] = {
    "hub-resolve": Scope.FILES,
    "hub-raw": Scope.FILES,
    "distribution:files": Scope.LINKS,
    "api-events-export": Scope.EXPORTS,
    "api-access-then-export": Scope.EXPORTS,
    "accounts:data": Scope.EXPORTS,
    "inference_sandbox:export": Scope.EXPORTS,
    "inference_sandbox:results-csv": Scope.EXPORTS,
    "inference_sandbox:results-jsonl": Scope.EXPORTS,
    "admin:audit_event_export": Scope.EXPORTS,
    "admin:access_requests_past_export": Scope.EXPORTS,
    "admin:distribution_release_export": Scope.EXPORTS,
    "admin:distribution_grant_export": Scope.EXPORTS,
}
# allauth has limits of its own (ACCOUNT_RATE_LIMITS).
_ALLAUTH = ("account_", "mfa_", "socialaccount_")


def scope_of(request: HttpRequest) -> Scope | None:
    """The scope of what the request asks for, unless it is a page that is only read."""
    match = request.resolver_match
    name = match.view_name if match else ""
    if request.method in SAFE_METHODS:
        return READ_ROUTES.get(name)
    action = f"{name}/{match.kwargs.get('action', '')}" if match else ""
    return ROUTES.get(action) or ROUTES.get(name)


class Limit(SimpleRateThrottle):
    """The requests of one scope by one account, token or network in each window of time.

    Counted in one step of the cache: DRF's own list of times is read and written back, and forgets requests that
    come together.
    """

    def __init__(self, scope: Scope, who: str, times: int = 1) -> None:
        self.scope = scope
        super().__init__()
        self.most, self.window = self.parse_rate(self.get_rate())
        self.who = who
        self.times = times

    def get_rate(self) -> str | None:
        """As the settings are now; DRF's own reads them once."""
        rates: dict[str, Any] = api_settings.DEFAULT_THROTTLE_RATES
        return rates.get(str(self.scope))

    def is_exceeded(self, cost: int = 1) -> bool:
        """Count one request, or one that costs as much as several. How long to wait is left in `seconds_left`."""
        if self.most is None or self.window is None:
            return False
        number, passed = divmod(self.timer(), self.window)
        self.seconds_left = ceil(self.window - passed)
        key = f"throttle:{self.scope}:{self.who}:{number:.0f}"
        try:
            self.cache.add(key, 0, timeout=self.window)
            return int(self.cache.incr(key, cost)) > self.most * self.times
        except ValueError:  # its time ran out between the two
            return False
        except Exception:
            log.exception("requests are not counted: the cache does not answer")
            return False


def counts_itself(view: V) -> V:
    """Mark a view that calls `check` once it knows the token; DRF's views need no mark."""
    view.counts_itself = True  # type: ignore[attr-defined]
    return view


def network_of(request: HttpRequest | Request) -> str:
    """The network of the client, as far as one subscriber has it."""
    return subscriber_network(request.META.get("REMOTE_ADDR") or "")


def exceeded(
    request: HttpRequest, scope: Scope, account: Any = None, token: Any = None
) -> Limit | None:
    """Count a request, and return the limit that it is beyond.

    A token has the rate to itself. Its account has twice as much, over all its tokens and the browser: a program that
    runs wild does not lock its person out of the pages.
    """
    if account is None or not account.is_authenticated:
        limits = [Limit(Scope.ANONYMOUS, f"network:{network_of(request)}")]
    else:
        limits = [Limit(scope, f"token:{token.pk}")] if isinstance(token, ApiToken) else []
        limits.append(Limit(scope, f"account:{account.pk}", times=2))
    return next((limit for limit in limits if limit.is_exceeded()), None)


def check(request: HttpRequest, *, account: Any = None, token: Any = None) -> None:
    """Raises Refusal RATE_LIMITED. For interfaces whose views are not DRF's."""
    if limit := exceeded(request, scope_of(request) or Scope.READS, account, token):
        raise problems.rate_limited(limit.seconds_left)


def check_wrong_token(request: HttpRequest | Request) -> None:
    """After a token that opens nothing. Raises Refusal RATE_LIMITED.

    Only wrong tokens are counted and refused: they cannot be guessed (256 bits), and whoever shares the network with
    a program that tries has to get on.
    """
    limit = Limit(Scope.WRONG_TOKENS, f"network:{network_of(request)}")
    if limit.is_exceeded():
        raise problems.rate_limited(limit.seconds_left)


def check_account(scope: Scope, account: Account, cost: int = 1) -> None:
    """Raises Refusal RATE_LIMITED. For an act that has no address of its own, or costs more than another."""
    limit = Limit(scope, f"account:{account.pk}", times=2)
    if cost and limit.is_exceeded(cost):
        raise problems.rate_limited(limit.seconds_left)


class RouteThrottle(BaseThrottle):
    """DRF's hook: every view of the REST API and of the hub."""

    def allow_request(self, request: Request, view: Any) -> bool:
        plain = request._request
        self._limit = exceeded(
            plain, scope_of(plain) or Scope.READS, request.user, getattr(request, "auth", None)
        )
        return self._limit is None

    def wait(self) -> float | None:
        return self._limit.seconds_left if self._limit else None


class ThrottleMiddleware:
    """The pages. Views for programs count for themselves, once they know the token."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self.process_view: Any = self._process_view_async
        else:
            self.process_view = self._process_view

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def _process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        scope = _scope_of_page(request, view)
        return self._refusal(request, scope) if scope else None

    async def _process_view_async(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        scope = _scope_of_page(request, view)
        return await sync_to_async(self._refusal)(request, scope) if scope else None

    def _refusal(self, request: HttpRequest, scope: Scope) -> HttpResponse | None:
        limit = exceeded(request, scope, getattr(request, "user", None))
        if limit is None:
            return None
        return problems.respond(request, problems.rate_limited(limit.seconds_left))


def _scope_of_page(request: HttpRequest, view: Any) -> Scope | None:
    match = request.resolver_match
    counts_itself = hasattr(view, "cls") or getattr(view, "counts_itself", False)
    if counts_itself or (match and match.view_name.startswith(_ALLAUTH)):
        return None
    scope = scope_of(request)
    return scope if scope or request.method in SAFE_METHODS else Scope.CHANGES
