"""How the OpenAPI document describes a run's stream, which is no view of DRF's."""

from typing import Any

from portal.accounts.models import Scope
from portal.openapi import add_refusals, describe
from portal.problems import PROBLEM

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
RECORD = {
    "type": "array",
    "items": {},
    "description": "[token id, text, logprob, entropy, [[token id, text, logprob], …]]; logprob and "
    "entropy are null for a token that nothing precedes, or that was forced.",
}
EVENTS = {
    "RunToken": {
        "type": "object",
        "description": "Data of the event `token`.",
        "properties": {
            "id": {**NUMBER, "nullable": True, "description": "Its number in the vocabulary."},
            "text": {**TEXT, "description": "What can be shown now; add it to the text before."},
            "record": RECORD,
        },
        "required": ["id", "text"],
    },
    "RunPrompt": {
        "type": "object",
        "description": "Data of the event `prompt`: what the model thought of the prompt's tokens.",
        "properties": {"records": {"type": "array", "items": RECORD}},
        "required": ["records"],
    },
    "RunStats": {
        "type": "object",
        "description": "Data of the event `stats`.",
        "properties": {"output_tokens": NUMBER, "tokens_per_second": {"type": "number"}},
        "required": ["output_tokens", "tokens_per_second"],
    },
    "RunEnd": {
        "type": "object",
        "description": "Data of the event `end`.",
        "properties": {
            "status": {"$ref": "#/components/schemas/RunStatusEnum"},
            "finish_reason": TEXT,
            "error": TEXT,
            "prompt_tokens": {**NUMBER, "nullable": True},
            "output_tokens": {**NUMBER, "nullable": True},
            "tokens_per_second": {"type": "number", "nullable": True},
        },
        "required": ["status", "finish_reason", "error", "prompt_tokens", "output_tokens"],
    },
}
DESCRIPTION = """Follow a run: server-sent events. Each has JSON as its data, and an `id:` to resume behind.

- `start` {}: the answer begins; text shown before it does not count.
- `prompt` (schema `RunPrompt`): once, before the first token, where `prompt_logprobs` was set.
- `token` (schema `RunToken`): text of the answer.
- `stats` (schema `RunStats`): speed, once in a while.
- `end` (schema `RunEnd`): the run is over, and so is the stream.
- `error` (schema `Problem`), without an id: a run that was shared with you is not any more.

Lines that begin with a colon are comments; they keep a quiet connection open."""


def add_stream(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: the document, with the stream beside the run."""
    operation: dict[str, Any] = {
        "operationId": "stream_run",
        "description": DESCRIPTION,
        "parameters": [
            {
                "in": "path",
                "name": "run_id",
                "required": True,
                "schema": {**TEXT, "format": "uuid"},
            },
            {
                "in": "header",
                "name": "Last-Event-ID",
                "schema": TEXT,
                "description": "The stream goes on behind this event.",
            },
        ],
        "tags": ["runs"],
        "security": [{"token": []}, {"cookieAuth": []}],
        "responses": {
            "200": {"description": "", "content": {"text/event-stream": {"schema": TEXT}}}
        },
    }
    describe(operation, scopes=(Scope.SANDBOX,))
    add_refusals(operation, {PROBLEM: {"$ref": "#/components/schemas/Problem"}}, changes=False)
    result["paths"]["/api/v1/runs/{run_id}/stream/"] = {"get": operation}
    result["components"]["schemas"] |= EVENTS
    return result
