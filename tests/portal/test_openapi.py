"""The OpenAPI document says what the REST API does: generators make clients from it that work."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from portal.accounts.models import Account
from tests.openapi import described_api
from tests.people import with_token

JSON = "application/json"
METHODS = {"get", "post", "put", "patch", "delete"}
LINES = "/api/v1/plain/"  # what the download script reads and writes: a form in, lines of text out
ATTACHMENT = "/api/v1/applications/{id}/attachments/{question}/"
PROBLEM = {"schema": {"$ref": "#/components/schemas/Problem"}}
FILES = {
    "/api/v1/access-then/export.{kind}": {"application/x-ndjson", "text/csv"},
    "/api/v1/events/export.{kind}": {"application/x-ndjson", "text/csv"},
    "/api/v1/releases/{slug}/revisions/{revision}/manifest.json": {"application/json"},
    "/api/v1/releases/{slug}/revisions/{revision}/manifest.json.sig": {"text/plain"},
    "/api/v1/releases/{slug}/revisions/{revision}/SHA256SUMS": {"text/plain"},
    "/api/v1/releases/{slug}/revisions/{revision}/files.meta4": {"application/metalink4+xml"},
    "/api/v1/runs/{run_id}/stream/": {"text/event-stream"},
}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return described_api()


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method in METHODS & set(methods):
            yield path, method, methods[method]


def test_it_is_valid_and_made_without_a_warning(tmp_path: Path) -> None:
    call_command("spectacular", file=str(tmp_path / "schema.yml"), validate=True, fail_on_warn=True)


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(
    schema: dict[str, Any],
) -> None:
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(names) == len(set(names))
    for path, method, operation in operations(schema):
        assert operation["operationId"].replace("_", "").isalpha(), (path, method)
        assert not operation["operationId"].startswith("api_"), (path, method)
        assert operation.get("summary"), (path, method)
        assert len(operation["tags"]) == 1, (path, method)


def test_a_body_has_one_media_type_json_where_json_is_meant(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        if body := operation.get("requestBody"):
            meant = {
                LINES: "application/x-www-form-urlencoded",
                ATTACHMENT: "multipart/form-data",
            }.get(path, "application/json")
            assert list(body["content"]) == [meant], (path, method)


def test_every_refusal_is_a_problem(schema: dict[str, Any]) -> None:
    for path, method, operation in operations(schema):
        refusals = {
            status: found["content"]
            for status, found in operation["responses"].items()
            if status >= "400"
        }
        assert {"401", "429"} <= set(refusals), (path, method)
        if "{" in path:
            assert "404" in refusals, (path, method)
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(refusals), (path, method)
        for status, content in refusals.items():
            if path == LINES:
                assert list(content) == ["text/plain"], (path, method, status)
            else:
                assert content["application/problem+json"] == PROBLEM, (path, method, status)
    problem = schema["components"]["schemas"]["Problem"]
    assert {"code", "detail", "way_out", "fields"} <= set(problem["properties"])


@pytest.mark.parametrize("path", FILES)
def test_files_and_streams_have_their_own_media_types(schema: dict[str, Any], path: str) -> None:
    assert set(schema["paths"][path]["get"]["responses"]["200"]["content"]) == FILES[path]


def test_every_enumeration_is_named_after_what_it_counts(schema: dict[str, Any]) -> None:
    for name, component in schema["components"]["schemas"].items():
        for place, part in parts(component):
            assert "enum" not in part or not place, f"{name}{place} has an enumeration without name"
        if "enum" in component:
            assert name in settings.SPECTACULAR_SETTINGS["ENUM_NAME_OVERRIDES"], name


def parts(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield place, schema
        for key, value in schema.items():
            yield from parts(value, f"{place}.{key}")
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value, place)


def test_the_events_of_a_stream_are_described(schema: dict[str, Any]) -> None:
    stream = schema["paths"]["/api/v1/runs/{run_id}/stream/"]["get"]
    assert "Last-Event-ID" in [one["name"] for one in stream["parameters"]]
    for event in ("start", "prompt", "token", "stats", "end", "error"):
        assert f"`{event}`" in stream["description"]
    assert {"RunToken", "RunPrompt", "RunStats", "RunEnd"} <= set(schema["components"]["schemas"])
    assert set(schema["components"]["schemas"]["RunEnd"]["properties"]) == {
        *("status", "finish_reason", "error", "prompt_tokens", "output_tokens"),
        "tokens_per_second",
    }


def test_questions_and_answers_are_described(schema: dict[str, Any]) -> None:
    schemas = schema["components"]["schemas"]
    questions = schemas["ApplicationDetail"]["properties"]["questions"]
    assert questions["items"] == {"$ref": "#/components/schemas/Question"}
    assert {"key", "label", "type", "required", "choices", "show_if"} <= set(
        schemas["Question"]["properties"]
    )
    for name in ("ApplicationDetail", "NewApplicationRequest", "PatchedApplicationChangesRequest"):
        answers = schemas[name]["properties"]["answers"]
        assert answers["type"] == "object"
        assert answers["additionalProperties"] == {"$ref": "#/components/schemas/Answer"}


def test_protocols_of_others_are_left_out_and_it_says_so(schema: dict[str, Any]) -> None:
    assert all(path.startswith("/api/v1/") for path in schema["paths"])
    for other in ("huggingface_hub", "OpenAI"):
        assert other in schema["info"]["description"]


def test_a_form_is_refused_where_json_is_meant_and_json_where_a_file_is(alice: Account) -> None:
    program = with_token(alice)
    form = program.post("/api/v1/runs/", {"release": "llama-7b"})
    fields = "application/x-www-form-urlencoded"
    pairs = program.post("/api/v1/runs/", "release=llama-7b", content_type=fields)
    file = program.post("/api/v1/applications/1/attachments/cv/", {}, content_type=JSON)
    for answer in (form, pairs, file):
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        assert answer.headers["content-type"] == "application/problem+json"
        assert "application/json" in answer.json()["way_out"]
    assert program.post("/api/v1/runs/", {"release": "llama-7b"}, JSON).json()["code"] != (
        "unsupported_media_type"
    )


def test_methods_and_media_types_that_are_not_offered_are_problems_too(alice: Account) -> None:
    program = with_token(alice)
    answer = program.delete("/api/v1/grants/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    answer = program.get("/api/v1/grants/", headers={"accept": "application/xml"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_error_inside_of_a_field_names_the_whole_way(alice: Account) -> None:
    body = {
        "release": "llama-7b",
        "messages": [{"role": "user", "content": "Hi"}, {"role": "user"}],
    }
    answer = with_token(alice).post("/api/v1/runs/", body, JSON)
    assert list(answer.json()["fields"]) == ["messages.1.content"]


def test_the_document_is_served_as_json_too(client: Client, db: None) -> None:
    served = client.get("/api/schema/", headers={"accept": "application/json"})
    assert json.loads(served.content)["openapi"].startswith("3.")
