"""Values of the right kind out of a client's JSON. Null is as if it were not there. Which names are
supported, `parameters` says; what the values may be, `asking`.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError

from inference_sandbox.openai.errors import ApiError, invalid

MOST = 2**63


@dataclass(frozen=True)
class Body:
    values: dict[str, Any]

    @classmethod
    def of(cls, request: HttpRequest) -> "Body":
        """Malformed JSON is the client's fault (400), like any other field that does not fit."""
        try:
            values = json.loads(request.body)
        except RequestDataTooBig:
            raise ApiError(413, "request_too_large", "The body is too large: send less at once.")
        except UnreadablePostError:
            raise invalid(None, "The body broke off.", "invalid_json")
        except (ValueError, RecursionError):
            raise invalid(None, "The body is not valid JSON.", "invalid_json")
        if not isinstance(values, dict):
            raise invalid(None, "The body must be a JSON object.", "invalid_json")
        return cls(values)

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def whole(self, name: str, default: int | None = None) -> int | None:
        value = self.get(name)
        if value is None:
            return default
        if type(value) is not int:  # bool is an int to isinstance
            raise wrong(name, "a whole number")
        if not -MOST <= value < MOST:
            raise invalid(name, f"`{name}` is out of range.")
        return value

    def real(self, name: str, default: float) -> float:
        value = self.get(name)
        return default if value is None else number(name, value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.get(name)
        if value is not None and not isinstance(value, bool):
            raise wrong(name, "true or false")
        return default if value is None else value

    def text(self, name: str) -> str:
        """One that must be there."""
        value = self.get(name)
        if value is None:
            raise invalid(name, f"`{name}` is missing.", "missing_required_parameter")
        if not isinstance(value, str):
            raise wrong(name, "a string")
        return value

    def table(self, name: str) -> dict[str, Any]:
        value = self.get(name)
        if value is not None and not isinstance(value, dict):
            raise wrong(name, "an object")
        return value or {}


def number(name: str, value: Any) -> float:
    if type(value) not in (int, float):
        raise wrong(name, "a number")
    try:
        real = float(value)
    except OverflowError:
        real = math.inf
    if not math.isfinite(real):
        raise invalid(name, f"`{name}` is out of range.")
    return real


def wrong(name: str, kind: str) -> ApiError:
    return invalid(name, f"`{name}` must be {kind}.", "invalid_type")
