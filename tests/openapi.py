"""Whether an answer is one that the OpenAPI document describes: status, media type, and shape."""

from functools import cache
from typing import Any, Protocol

from jsonschema import Draft202012Validator

from portal.openapi import document

MACHINERY = {"405", "406"}  # of HTTP itself, for what the document does not offer


class Answer(Protocol):
    status_code: int
    headers: Any
    content: bytes

    def json(self) -> Any: ...


def check_answer(method: str, path: str, answer: Answer) -> None:
    """`path` as the document writes it. Fails the test where the answer is not described there."""
    place = f"{method} {path} → {answer.status_code}"
    status = str(answer.status_code)
    if status in MACHINERY:
        return
    described = described_api()["paths"][path][method.lower()]["responses"]
    assert status in described, f"{place}: {answer.content[:300]!r}"
    media_type = answer.headers["content-type"].partition(";")[0]
    content = described[status]["content"]
    assert media_type in content, f"{place}: {media_type}"
    if media_type.endswith("json"):
        schema = {**_plain(content[media_type]["schema"]), "components": _components()}
        errors = [
            f"{error.json_path}: {error.message[:300]}"
            for error in Draft202012Validator(schema).iter_errors(answer.json())
        ]
        assert not errors, f"{place}: {errors[:5]}"


@cache
def described_api() -> dict[str, Any]:
    return document()


@cache
def _components() -> dict[str, Any]:
    schemas = {name: _plain(one) for name, one in described_api()["components"]["schemas"].items()}
    for schema in schemas.values():  # what is not described may not come either
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return {"schemas": schemas}


def _plain(schema: Any) -> Any:
    """OpenAPI 3.0 → JSON Schema: `nullable` is the only word of its own that we use."""
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain
