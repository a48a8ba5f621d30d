"""The answer of `/v1/responses`: one message, whole or as the events that OpenAI's clients follow."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.utils import timezone

from inference_sandbox.openai.begun import Begun
from inference_sandbox.openai.errors import ApiError
from inference_sandbox.openai.following import Piece
from inference_sandbox.openai.likelihoods import in_chat
from inference_sandbox.openai.shapes import Event, Shape, together

RESPONSE_ID, MESSAGE_ID = "resp_", "msg_"
PLACE = {"output_index": 0, "content_index": 0}
# No field of the request changes these.
FIXED: dict[str, Any] = {
    "background": False,
    "conversation": None,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": "default",
    "store": False,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "truncation": "disabled",
}


class ResponseObject(Shape):
    def __init__(self, begun: Begun) -> None:
        super().__init__(begun)
        self._pieces: list[Piece] = []
        self._item_id = f"{MESSAGE_ID}{begun.runs[0].pk.hex}"
        self._next_number = 0

    def start(self) -> Iterator[Event]:
        response = self._response("in_progress")
        yield self._event("response.created", response=response)
        yield self._event("response.in_progress", response=response)
        item = self._item("in_progress", [])
        yield self._event("response.output_item.added", output_index=0, item=item)
        yield self._of_text("response.content_part.added", part=self._part(Piece(0)))

    def events(self, piece: Piece) -> Iterator[Event]:
        self._pieces.append(piece)
        if piece.text or piece.records:
            logprobs = self._logprobs(piece)
            yield self._of_text("response.output_text.delta", delta=piece.text, logprobs=logprobs)

    def end(self, completion_tokens: int) -> Iterator[Event]:
        response = self.answer(self._pieces, completion_tokens)
        [item] = response["output"]
        [part] = item["content"]
        text, logprobs = part["text"], part["logprobs"]
        yield self._of_text("response.output_text.done", text=text, logprobs=logprobs)
        yield self._of_text("response.content_part.done", part=part)
        yield self._event("response.output_item.done", output_index=0, item=item)
        yield self._event(f"response.{response['status']}", response=response)

    def failure(self, error: ApiError) -> Iterator[Event]:
        """Clients raise at the first event, which has the error as they read it, and as it is documented."""
        described = error.body()["error"]
        yield self._event("error", **{**described, "error": described})
        known = {"code": "server_error", "message": error.message}
        yield self._event("response.failed", response=self._response("failed", error=known))

    def answer(self, pieces: Sequence[Piece], completion_tokens: int) -> dict[str, Any]:
        piece = together(pieces)
        is_cut = piece.finish_reason == "length"
        status = "incomplete" if is_cut else "completed"
        return self._response(
            status,
            output=[self._item(status, [self._part(piece)])],
            incomplete_details={"reason": "max_output_tokens"} if is_cut else None,
            completed_at=None if is_cut else int(timezone.now().timestamp()),
            usage=self._usage(completion_tokens),
        )

    def _event(self, kind: str, **values: Any) -> Event:
        number, self._next_number = self._next_number, self._next_number + 1
        return {**values, "type": kind, "sequence_number": number}

    def _of_text(self, kind: str, **values: Any) -> Event:
        return self._event(kind, item_id=self._item_id, **PLACE, **values)

    def _response(self, status: str, **values: Any) -> dict[str, Any]:
        begun = self._begun
        return {
            "id": f"{RESPONSE_ID}{begun.job.pk.hex}",
            "object": "response",
            "created_at": int(begun.job.created_at.timestamp()),
            "completed_at": None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": begun.revision.release.repo_id,
            "output": [],
            "usage": None,
            **FIXED,
            **begun.wanted.repeated,
            **values,
        }

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._item_id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def _part(self, piece: Piece) -> dict[str, Any]:
        text, logprobs = piece.text, self._logprobs(piece)
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}

    def _logprobs(self, piece: Piece) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = in_chat(self._begun.tokenizer, piece.records)["content"]
        return found if self._begun.wanted.logprobs is not None else []

    def _usage(self, completion_tokens: int) -> dict[str, Any]:
        prompt_tokens = self._begun.prompt_tokens
        return {
            "input_tokens": prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt_tokens + completion_tokens,
        }
