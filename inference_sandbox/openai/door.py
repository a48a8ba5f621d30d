"""The way into each view: a token with the scope, and every refusal in OpenAI's shape.

A cookie opens nothing here: the views are free of CSRF's token, which a program has not.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from inference_sandbox.openai.errors import ApiError, of_any, of_refusal, respond
from portal import problems, throttling
from portal.accounts.authentication import token_of
from portal.accounts.models import Account, Scope
from portal.accounts.permissions import require_scope
from portal.refusals import Refusal

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def door(*methods: str) -> Callable[[View], View]:
    """For `view(request, account, **parameters)`, which answers to these methods; to all, if none."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        async def opened(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
            try:
                if "Access-Control-Request-Method" in request.headers:
                    raise _closed_to_other_origins()
                account = await sync_to_async(_account)(request)
                if methods and request.method not in methods:
                    raise _not_supported(request, methods)
                return await view(request, account, **parameters)
            except Exception as error:
                model = parameters.get("name") or parameters.get("model", "")
                return respond(request, of_any(error, model))

        opened.refusal_responder = _respond  # type: ignore[attr-defined]
        return throttling.counts_itself(opened)

    return decorate


def _account(request: HttpRequest) -> Account:
    token = token_of(request)
    if token is None:
        refusal = problems.as_refusal(exceptions.NotAuthenticated())
        assert refusal is not None
        raise refusal
    require_scope(token, Scope.SANDBOX)
    throttling.check(request, account=token.account, token=token)
    return token.account


def _respond(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    return respond(request, of_refusal(refusal, ""))


def _closed_to_other_origins() -> ApiError:
    """For a browser's preflight, which no middleware has answered."""
    return ApiError(
        403,
        "cors_disabled",
        "Pages of other origins cannot call this API. Call it from a program or from your own server; "
        "an operator of this site can allow origins with WEIGHBRIDGE_CORS_ORIGINS.",
    )


def _not_supported(request: HttpRequest, methods: Sequence[str]) -> ApiError:
    message = f"{request.method} is not for this address: use {methods[0]}."
    headers = {"Allow": ", ".join(methods)}
    return ApiError(405, "method_not_supported", message, headers=headers)
