"""The runs of one request, followed together: what each comes to, piece by piece."""

import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from asgiref.sync import sync_to_async

from inference_sandbox import services, stream
from inference_sandbox.models import Run, RunTokens
from inference_sandbox.openai.begun import Begun
from inference_sandbox.openai.errors import ApiError, of_end
from inference_sandbox.stream import Entry, Kind
from portal.database import alet_go

log = logging.getLogger(__name__)
Record = list[Any]  # of one token, as in RunTokens


@dataclass(frozen=True)
class Piece:
    """What came of one choice. The last of a choice has its finish reason."""

    choice: int
    text: str = ""
    prompt: list[Record] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    finish_reason: str | None = None


@dataclass
class Choice:
    """How far one run is told."""

    index: int
    text: str = ""
    tokens: int = 0
    records: int = 0
    has_prompt: bool = False
    is_over: bool = False

    def take(self, entry: Entry) -> Piece | None:
        """None for what a client is not told. Raises ApiError where the run ends without an answer."""
        data = entry.data
        match entry.kind:
            case Kind.START if self.text or self.tokens:
                # The queue lost its memory, and the answer begins anew: what is told stays told.
                raise ApiError(503, "unavailable", "The answer broke off. Send the request again.")
            case Kind.PROMPT:
                self.has_prompt = True
                return Piece(self.index, prompt=data["s"])
            case Kind.TOKEN:
                return self._token(data)
            case Kind.END:
                self.is_over = True
                if data["status"] != Run.Status.FINISHED:
                    raise of_end(data["status"], data["finish_reason"], data["error"])
                return Piece(self.index, finish_reason=data["finish_reason"])
        return None

    def _token(self, data: dict[str, Any]) -> Piece:
        records = [data["r"]] if data.get("r") else []
        self.text += data["x"]
        self.tokens += data["t"] is not None
        self.records += len(records)
        tokens = [] if data["t"] is None else [data["t"]]
        return Piece(self.index, data["x"], records=records, tokens=tokens)


class Following:
    """Reads the runs' streams to their ends. A block that is left early cancels what is not over."""

    def __init__(self, begun: Begun) -> None:
        self._begun = begun
        self.choices = {run.pk: Choice(index) for index, run in enumerate(begun.runs)}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        if self._open:
            await sync_to_async(self.leave)()

    @property
    def completion_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices.values())

    async def pieces(self) -> AsyncGenerator[Piece | None]:
        """None whenever nothing came for a while."""
        places = dict.fromkeys(self.choices, stream.BEGINNING)
        await alet_go()
        async with aclosing(stream.read_many(places, wait=True, sign=True)) as entries:
            async for found in entries:
                if found is None:
                    yield None
                    for rest in await self._from_rows():
                        yield rest
                    await alet_go()
                elif piece := self._take(*found):
                    yield piece
                if not self._open:
                    return

    @property
    def _open(self) -> list[UUID]:
        return [run_id for run_id, choice in self.choices.items() if not choice.is_over]

    def _take(self, run_id: UUID, entry: Entry) -> Piece | None:
        choice = self.choices[run_id]
        return None if choice.is_over else choice.take(entry)

    async def _from_rows(self) -> list[Piece]:
        """The rest of the runs that are over, and whose streams do not say so."""
        pieces: list[Piece | None] = []
        async for run in Run.objects.filter(pk__in=self._open).select_related("tokens"):
            if run.is_over:
                pieces += [self._take(run.pk, entry) for entry in _rest(run, self.choices[run.pk])]
        return [piece for piece in pieces if piece]

    def leave(self) -> None:
        """Nobody waits any more: cancel what is not over."""
        for run_id in self._open:
            try:
                services.cancel(run_id, actor=self._begun.account)
            except Exception as error:  # Redis or the database is away: the run ends by itself
                log.warning("run %s was left and not cancelled: %s", run_id, error)


def _rest(run: Run, told: Choice) -> Iterator[Entry]:
    tokens = getattr(run, "tokens", RunTokens())
    if tokens.prompt and not told.has_prompt:
        yield Entry("", Kind.PROMPT, {"s": tokens.prompt})
    text = run.output[len(told.text) :]
    for record in tokens.output[told.records :]:
        yield Entry("", Kind.TOKEN, {"t": record and record[0], "x": text, "r": record})
        text = ""
    if text:
        yield Entry("", Kind.TOKEN, {"t": None, "x": text})
    end = {"status": run.status, "finish_reason": run.finish_reason, "error": run.error}
    yield Entry("", Kind.END, end)
