"""Whatever is sent to the REST API, by whomever: an answer that its document describes, never a traceback.

The endpoints are those of the OpenAPI document, so that a new one is tried without a word here.
WEIGHBRIDGE_FUZZ says how many requests each endpoint gets from each person (default 12).
"""

import json
import os
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access_requests import services
from portal.accounts.models import Account
from portal.catalog.models import Release
from tests.access_requests.people import ANSWERS, seen_now
from tests.openapi import check_answer, described_api
from tests.people import with_token

EXAMPLES = int(os.environ.get("WEIGHBRIDGE_FUZZ", "12"))


@dataclass(frozen=True)
class Operation:
    """One method of one path, with the names of what it takes."""

    method: str
    path: str
    fields: tuple[str, ...]
    query: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


DOCUMENT = described_api()


def operations() -> list[Operation]:
    found = []
    for path, methods in DOCUMENT["paths"].items():
        for method, described in methods.items():
            body = described.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
            schema = DOCUMENT["components"]["schemas"].get(name, {})
            query = [one["name"] for one in described.get("parameters", []) if one["in"] == "query"]
            fields = tuple(schema.get("properties", {}))
            found.append(Operation(method.upper(), path, fields, tuple(query)))
    return found


OPERATIONS = operations()

ODD_TEXTS = ["", " ", "\0", "a\0b", "\ud800", "x" * 5000, "²", "NaN", "inf", "-1", "../..%2f", "💥"]
DATES = ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2031-02-30", "2030-01-01"]
KNOWN = ["llama-7b", "meta/llama-7b", "weights", "try", "plain", "chat", "Alice Example"]
numbers = st.sampled_from([0, -1, 1, 0.5, 2**31, 2**63, 2**64, 10**400, 1e308, True, False, None])
texts = st.sampled_from([*ODD_TEXTS, *DATES, *KNOWN]) | st.text(max_size=20)
answers = st.dictionaries(st.sampled_from([*ANSWERS, "nonsense"]), numbers | texts, max_size=4)
values = st.recursive(
    numbers | texts | answers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
BROKEN = ["", "{", "null", "[]", '"text"', "NaN", '{"answers": Infinity}', "\xff", "[" * 100_000]
KINDS = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/x"]
places = st.sampled_from(["1", "0", "7", str(2**63), str(10**30), "llama-7b", "nothing"])


@st.composite
def requests(draw: st.DrawFn, operation: Operation) -> dict[str, Any]:
    """As the test client takes it: mostly an object with the right names and wrong values."""
    path = operation.path
    for name in ("id", "slug", "run_id"):
        path = path.replace(f"{{{name}}}", draw(places))
    query = {name: draw(texts | places) for name in operation.query if draw(st.booleans())}
    whole = st.fixed_dictionaries({}, optional=dict.fromkeys(operation.fields, values))
    body = draw(whole.map(json.dumps) | values.map(json.dumps) | st.sampled_from(BROKEN))
    kind = KINDS[0] if draw(st.integers(0, 4)) else draw(st.sampled_from(KINDS))
    return {
        "path": path,
        "query_params": {k: v.encode(errors="replace").decode() for k, v in query.items()},
        "data": body,
        "content_type": kind,
    }


@pytest.fixture
def people(
    alice: Account, mallory: Account, rita: Account, manager: Account, release: Release
) -> Any:
    """mallory has nothing; alice has a grant and an application, which rita reviews."""
    first = services.start(actor=alice, releases=[release], answers=ANSWERS)
    services.submit(first.pk, actor=alice, typed_name=alice.name)
    services.claim(first.pk, actor=rita)
    services.decide(first.pk, seen=seen_now(first.pk), actor=rita, approve=True)
    second = services.start(actor=alice, releases=[release], answers=ANSWERS)
    services.submit(second.pk, actor=alice, typed_name=alice.name)
    services.claim(second.pk, actor=rita)
    return [with_token(one) for one in (mallory, alice, rita, manager)]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_no_request_breaks_the_rest_face(operation: Operation, people: list[Client]) -> None:
    """The client raises what a view does not catch, so that a traceback fails here as itself."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(asked=requests(operation))
    def try_it(asked: dict[str, Any]) -> None:
        for person in people:
            answer = person.generic(operation.method, **asked)
            assert answer.status_code < 500, answer.content
            check_answer(operation.method, operation.path, answer)

    try_it()
