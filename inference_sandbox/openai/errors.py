"""Errors in OpenAI's shape. A client chooses its exception by the status; people read the message."""

import logging
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import resolve
from rest_framework.exceptions import AuthenticationFailed

from inference_sandbox.models import Run
from portal import problems
from portal.refusals import Code, Refusal

log = logging.getLogger(__name__)
# Seconds after which to ask again, where the refusal does not know better.
SOON = "5"
# How a client names what our fields hold, where no request says otherwise.
PARAMS = {"prompt_ids": "prompt"}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """Ends a request. `code` is for programs, `param` names the field at fault if it is one field's."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": self.message, "type": TYPES.get(self.status, kind)}
        return {"error": {**error, "param": self.param, "code": self.code}}


def invalid(param: str | None, message: str, code: str = "invalid_value") -> ApiError:
    return ApiError(400, code, message, param=param)


def unknown_model(name: str, why: str = "") -> ApiError:
    """One answer for a model that is not here and for one that is closed to who asks."""
    message = f"The model `{name[:200]}` does not exist or you do not have access to it."
    return ApiError(404, "model_not_found", f"{message} {why}".strip(), param="model")


# Endpoints below a base, as an error lists them.
ENDPOINTS = ("models", "chat/completions", "completions", "responses", "tokenize", "detokenize")


def unknown_url(path: str) -> ApiError:
    """No endpoint: a slash too many, a wrong base, or something that this API does not offer."""
    base = f"{settings.BASE_URL}/v1"
    squeezed = "/" + "/".join(filter(None, path.split("/")))
    endpoint = next((name for name in ENDPOINTS if squeezed.endswith(f"/{name}")), None)
    if squeezed != path and resolve(squeezed).view_name != "openai-unknown":
        advice = f"Leave out the additional slash: {settings.BASE_URL}{squeezed}"
    elif endpoint:
        advice = f"Set the client's base_url to {base}, so that it calls {base}/{endpoint}."
    else:
        advice = f"The base_url is {base}; the endpoints below it are {', '.join(ENDPOINTS)}."
    return ApiError(404, "unknown_url", f"There is nothing at {path[:200]}. {advice}")


def response_not_stored(response_id: str) -> ApiError:
    message = (
        f"Response with id '{response_id[:200]}' not found: responses are not stored here. "
        "Send the whole conversation in `input`."
    )
    return ApiError(404, "response_not_found", message, param="response_id")


def of_refusal(refusal: Refusal, model: str, names: Mapping[str, str] = PARAMS) -> ApiError:
    """The refusal in a client's words; its own code stays readable in `X-Error-Code`."""
    param = next((names.get(name, name) for name in refusal.fields), None)
    headers = {"X-Error-Code": str(refusal.code), **refusal.headers}
    match refusal.code:
        case Code.NOT_SIGNED_IN:
            error = ApiError(401, "invalid_api_key", refusal.text)
            headers["WWW-Authenticate"] = "Bearer"
        case Code.SCOPE_MISSING:
            error = ApiError(403, str(refusal.code), refusal.text)
        case Code.TOO_LONG:
            error = invalid(param, refusal.text, "context_length_exceeded")
        case Code.INVALID:
            error = invalid(param, refusal.text)
        case Code.TOO_LARGE:
            error = ApiError(413, "request_too_large", refusal.text)
        case Code.QUOTA_EXHAUSTED | Code.RATE_LIMITED:
            error = ApiError(429, "rate_limit_exceeded", refusal.text)
            headers.setdefault("Retry-After", SOON)
        case Code.UNAVAILABLE:
            error = ApiError(503, str(refusal.code), refusal.text)
        case Code.NOT_FOUND:
            error = unknown_model(model)
        case _:
            error = unknown_model(model, refusal.text)
    error.headers = headers
    return error


def of_end(status: str, reason: str, cause: str) -> ApiError:
    """Why a run ended without an answer. Asking again by itself would not help a client."""
    headers = {"x-should-retry": "false"}
    if reason == "refused":
        return ApiError(403, "access_ended", cause, param="model", headers=headers)
    if status == Run.Status.CANCELLED:
        return ApiError(409, "cancelled", "This request was cancelled.", headers=headers)
    return ApiError(500, "engine_failed", cause or "The engine failed.", headers=headers)


def of_any(error: Exception, model: str) -> ApiError:
    """An error that is no refusal is a fault of ours: it is logged, and a client reads JSON all the same."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AuthenticationFailed):
        error = problems.as_refusal(error) or error
    if isinstance(error, Refusal):
        return of_refusal(error, model)
    log.error("a request to the OpenAI API failed", exc_info=error)
    message = "Something broke on our side, and was logged. Try again in a minute."
    return ApiError(500, "internal_error", message, headers={"x-should-retry": "false"})


def respond(request: HttpRequest, error: ApiError) -> HttpResponse:
    response = JsonResponse(error.body(), status=error.status, headers=error.headers)
    response["Cache-Control"] = "no-store"
    response.headers.setdefault("X-Error-Code", error.code)
    return response
