"""Answers as OpenAI's clients read them: whole, or in chunks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from inference_sandbox.openai.begun import Begun
from inference_sandbox.openai.errors import ApiError
from inference_sandbox.openai.following import Piece
from inference_sandbox.openai.likelihoods import InCompletion, in_chat, of_prompt

Event = dict[str, Any]  # one message of a stream


class Shape(ABC):
    """One answer. Pieces come in the order of a choice; choices come mixed."""

    after_end = b""  # what closes a stream, behind the last event

    def __init__(self, begun: Begun) -> None:
        self._begun = begun

    @abstractmethod
    def start(self) -> Iterator[Event]:
        """What a stream says before the first piece."""

    @abstractmethod
    def events(self, piece: Piece) -> Iterator[Event]: ...

    @abstractmethod
    def end(self, completion_tokens: int) -> Iterator[Event]: ...

    @abstractmethod
    def failure(self, error: ApiError) -> Iterator[Event]:
        """What a stream says in the place of its rest."""

    @abstractmethod
    def answer(self, pieces: Sequence[Piece], completion_tokens: int) -> dict[str, Any]:
        """The answer of a request that does not stream."""


class Choices(Shape):
    """A list of choices, whole or in chunks."""

    after_end = b"data: [DONE]\n\n"
    prefix: str
    whole_object: str
    chunk_object: str

    def start(self) -> Iterator[Event]:
        for index in range(len(self._begun.runs)):
            for choice in self.first(index):
                yield self.chunk([choice])

    def events(self, piece: Piece) -> Iterator[Event]:
        if part := self.part(piece):
            yield self.chunk([part])

    def end(self, completion_tokens: int) -> Iterator[Event]:
        """The usage, where it is wanted."""
        if self._begun.wanted.include_usage:
            yield {**self.chunk([]), "usage": self._usage(completion_tokens)}

    def failure(self, error: ApiError) -> Iterator[Event]:
        yield error.body()

    @abstractmethod
    def first(self, choice: int) -> list[dict[str, Any]]:
        """What a stream says of a choice before its first piece."""

    @abstractmethod
    def part(self, piece: Piece) -> dict[str, Any] | None:
        """A piece as a choice of a chunk; None where there is nothing in it to say."""

    @abstractmethod
    def whole(self, piece: Piece) -> dict[str, Any]:
        """All pieces of a choice, put together."""

    def answer(self, pieces: Sequence[Piece], completion_tokens: int) -> dict[str, Any]:
        by_choice: list[list[Piece]] = [[] for _ in self._begun.runs]
        for piece in pieces:
            by_choice[piece.choice].append(piece)
        return {
            **self._head(self.whole_object),
            "choices": [self.whole(together(each)) for each in by_choice],
            "usage": self._usage(completion_tokens),
        }

    def _prompt_logprobs(self, piece: Piece) -> dict[str, Any]:
        """Of the prompt that the whole piece answers, where they are wanted."""
        if self._begun.wanted.prompt_logprobs is None:
            return {}
        return {"prompt_logprobs": of_prompt(self._begun.tokenizer, piece.prompt)}

    def chunk(self, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        usage = {"usage": None} if self._begun.wanted.include_usage else {}
        return {**self._head(self.chunk_object), "choices": list(choices), **usage}

    def _head(self, kind: str) -> dict[str, Any]:
        begun = self._begun
        return {
            "id": f"{self.prefix}-{begun.job.pk.hex}",
            "object": kind,
            "created": int(begun.job.created_at.timestamp()),
            "model": begun.revision.release.repo_id,
            "system_fingerprint": begun.revision.digest[:12],
        }

    def _token_ids(self, piece: Piece) -> dict[str, list[int]]:
        return {"token_ids": piece.tokens} if self._begun.wanted.token_ids else {}

    def _usage(self, completion_tokens: int) -> dict[str, int]:
        prompt_tokens = self._begun.prompt_tokens
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }


class Completion(Choices):
    prefix = "cmpl"
    whole_object = chunk_object = "text_completion"

    def __init__(self, begun: Begun) -> None:
        super().__init__(begun)
        self._likelihoods = [
            InCompletion(begun.tokenizer, run.prompt_ids, echo=begun.wanted.echo)
            for run in begun.runs
        ]
        self._echoed: set[int] = set()

    def first(self, choice: int) -> list[dict[str, Any]]:
        """The prompt, unless what was thought of it comes with it."""
        wanted = self._begun.wanted
        if not wanted.echo or wanted.logprobs is not None:
            return []
        return [self._choice(Piece(choice), self._echo(choice))]

    def part(self, piece: Piece) -> dict[str, Any] | None:
        text = self._echo(piece.choice) + piece.text
        tokens = piece.tokens and self._begun.wanted.token_ids
        if not (text or tokens or piece.records or piece.prompt or piece.finish_reason):
            return None
        return self._choice(piece, text)

    def whole(self, piece: Piece) -> dict[str, Any]:
        choice = self._choice(piece, self._echo(piece.choice) + piece.text)
        return {**choice, **self._prompt_logprobs(piece)}

    def _echo(self, choice: int) -> str:
        """The prompt of the choice, the first time."""
        if not self._begun.wanted.echo or choice in self._echoed:
            return ""
        self._echoed.add(choice)
        return self._begun.texts[choice // self._begun.wanted.n]

    def _logprobs(self, piece: Piece) -> dict[str, Any] | None:
        records = [*piece.prompt, *piece.records]
        if self._begun.wanted.logprobs is None or not records:
            return None
        return self._likelihoods[piece.choice].of(records)

    def _choice(self, piece: Piece, text: str) -> dict[str, Any]:
        return {
            "index": piece.choice,
            "text": text,
            "logprobs": self._logprobs(piece),
            "finish_reason": piece.finish_reason,
            **self._token_ids(piece),
        }


class Chat(Choices):
    prefix = "chatcmpl"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def answer(self, pieces: Sequence[Piece], completion_tokens: int) -> dict[str, Any]:
        """All choices have one prompt, of which the answer itself tells."""
        first = together([piece for piece in pieces if piece.choice == 0])
        return {**super().answer(pieces, completion_tokens), **self._prompt_logprobs(first)}

    def first(self, choice: int) -> list[dict[str, Any]]:
        return [self._delta(Piece(choice), {"role": "assistant", "content": ""})]

    def part(self, piece: Piece) -> dict[str, Any] | None:
        tokens = piece.tokens and self._begun.wanted.token_ids
        if not (piece.text or tokens or piece.records or piece.finish_reason):
            return None
        says = piece.text or piece.records or tokens
        return self._delta(piece, {"content": piece.text} if says else {})

    def whole(self, piece: Piece) -> dict[str, Any]:
        message = {"role": "assistant", "content": piece.text, "refusal": None}
        return {
            "index": piece.choice,
            "message": message,
            "logprobs": self._logprobs(piece),
            "finish_reason": piece.finish_reason,
            **self._token_ids(piece),
        }

    def _logprobs(self, piece: Piece) -> dict[str, Any] | None:
        if self._begun.wanted.logprobs is None or not piece.records:
            return None
        return in_chat(self._begun.tokenizer, piece.records)

    def _delta(self, piece: Piece, delta: dict[str, str]) -> dict[str, Any]:
        return {
            "index": piece.choice,
            "delta": delta,
            "logprobs": self._logprobs(piece),
            "finish_reason": piece.finish_reason,
            **self._token_ids(piece),
        }


def together(pieces: Sequence[Piece]) -> Piece:
    def all_of(name: str) -> Iterator[Any]:
        return (each for piece in pieces for each in getattr(piece, name))

    return replace(
        pieces[-1],
        text="".join(piece.text for piece in pieces),
        prompt=list(all_of("prompt")),
        records=list(all_of("records")),
        tokens=list(all_of("tokens")),
    )
