"""The engine: requests come and go between steps, and all running ones share each step's batch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from inference_sandbox.engine import memory
from inference_sandbox.engine.batch import Batch, Piece
from inference_sandbox.engine.cache import KeptPrefixes
from inference_sandbox.engine.checkpoint import CheckpointError, load_checkpoint
from inference_sandbox.engine.model import Transformer
from inference_sandbox.engine.request import (
    FinishReason,
    InvalidRequest,
    PromptTooLong,
    Request,
    SamplingParams,
    StepOutput,
    TokenScore,
)
from inference_sandbox.engine.sampling import History, NotFinite, sample, score
from inference_sandbox.engine.scheduler import ALONE, Scheduler, Share
from inference_sandbox.engine.steps import make_steps
from inference_sandbox.engine.stopping import StopMatcher
from inference_sandbox.engine.tokenizer import IncrementalDetokenizer, Tokenizer, load_tokenizer

__all__ = [
    "CheckpointError",
    "Engine",
    "EngineInfo",
    "FinishReason",
    "PromptTooLong",
    "SamplingParams",
    "StepOutput",
    "TokenScore",
]

logger = logging.getLogger(__name__)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.bfloat16}
PREFIXES = 4  # rows for the beginnings of prompts that may come again
SCORED_AT_ONCE = 64  # rows of logits, each as wide as the vocabulary


@dataclass(frozen=True)
class EngineInfo:
    n_params: int
    dtype: str
    device: str
    context_limit: int  # tokens, prompt and answer together
    max_batch: int


class Engine:
    """Not thread-safe: one thread owns it (see `runner.EngineRunner`)."""

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        *,
        max_batch: int = 8,
        max_len: int = 2048,
        dtype: str = "",
    ) -> None:
        """max_batch and max_len are reduced to what the device has memory for."""
        self.model, self.tokenizer = model, tokenizer
        extra = ALONE + PREFIXES
        found = _room(model, rows=max_batch + extra, length=min(max_len, model.args.max_seq_len))
        max_batch = found.rows - extra
        self.info = EngineInfo(
            n_params=model.args.n_params,
            dtype=dtype or str(model.dtype).removeprefix("torch."),
            device=str(model.device),
            context_limit=found.length,
            max_batch=max_batch,
        )
        self._scheduler = Scheduler(max_batch)
        self._cache = model.cache(rows=found.rows, length=found.length)
        self._steps = make_steps(model, self._cache, most_rows=max_batch)
        self._prefixes = KeptPrefixes(range(max_batch + ALONE, found.rows))
        self._histories: dict[str, History] = {}  # of the requests that penalise
        self._pending: list[StepOutput] = []  # ends that no forward pass has to find out

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        dtype: str = "float32",
        device: str = "cpu",
        max_batch: int = 8,
        max_len: int = 2048,
    ) -> Engine:
        """Read a release's folder. Raises CheckpointError or TokenizerError with the cause.

        dtype int8: the weights of the products alone; all else is bfloat16.
        """
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}.")
        tokenizer = load_tokenizer(folder)
        checkpoint = load_checkpoint(
            Path(folder),
            dtype=DTYPES[dtype],
            tokenizer_vocab_size=tokenizer.vocab_size,
            context=max_len,
        )
        model = Transformer(
            checkpoint.args, checkpoint.weights, device=device, int8=dtype == "int8"
        )
        return cls(model, tokenizer, max_batch=max_batch, max_len=max_len, dtype=dtype)

    @property
    def occupancy(self) -> tuple[int, int, int]:
        """Requests running, requests waiting, and rows of the batch. Safe in any thread."""
        scheduler = self._scheduler
        running = len(scheduler.running) + len(scheduler.alone)
        return running, len(scheduler.waiting), scheduler.max_batch

    @property
    def has_work(self) -> bool:
        return bool(self._pending) or self._scheduler.has_work

    def check(
        self, prompt_tokens: Sequence[int], params: SamplingParams, generated: Sequence[int] = ()
    ) -> None:
        """Raise InvalidRequest if the engine cannot take this. Safe in any thread."""
        limit = self.info.context_limit - 1  # room for one token of an answer
        if not prompt_tokens:
            raise InvalidRequest("The prompt is empty.")
        if len(prompt_tokens) > limit:
            raise PromptTooLong(count=len(prompt_tokens), limit=limit)
        vocab_size = self.model.args.vocab_size
        for token in (*prompt_tokens, *generated, *params.token_ids):
            if not 0 <= token < vocab_size:
                raise InvalidRequest(f"Token {token} is outside the model's {vocab_size} tokens.")

    def add(
        self,
        request_id: str,
        prompt_tokens: Sequence[int],
        params: SamplingParams,
        *,
        generated: Sequence[int] = (),
        user: str = "",
    ) -> None:
        """Queue a request; it joins the batch at the next step with a free row.

        `generated` are tokens this request already has: got before a crash, or forced upon it. They
        count against max_tokens, and their text is not sent again. `user`: whose it is.
        """
        self.check(prompt_tokens, params, generated)
        request = self._request(request_id, prompt_tokens, params, generated)
        request.user = user
        history = None
        if params.penalises:
            history = History(self.model.args.vocab_size, self.model.device, prompt_tokens)
            for token in generated:
                history.push(token)
        self._scheduler.add(request)  # nothing is left of a request that could not be made
        if history:
            self._histories[request_id] = history
        if params.max_tokens == 0:
            return  # the prompt is read, and what was thought of it is told
        if reason := self._finish_reason(request):
            with self._isolated(request, self._pending):
                self._pending.append(self._end(request, None, "", reason))

    def _request(
        self,
        request_id: str,
        prompt_tokens: Sequence[int],
        params: SamplingParams,
        generated: Sequence[int],
    ) -> Request:
        detokenizer = IncrementalDetokenizer(self.tokenizer, prompt_tokens)
        stopping = StopMatcher(params.stop)
        request = Request(
            request_id, tuple(prompt_tokens), params, detokenizer, list(generated), stopping
        )
        for number, token in enumerate(generated, start=1):
            request.push_text(token, number)
        return request

    def cancel(self, request_id: str) -> None:
        """Free the request's row now; the next step tells its end. Unknown or ended: no effect."""
        if request := self._scheduler.get(request_id):
            with self._isolated(request, self._pending):
                self._pending.append(self._end(request, None, "", FinishReason.CANCELLED))

    def reset(self) -> None:
        """Drop every request without a word, after a step that raised."""
        self._pending.clear()
        self._histories.clear()
        self._prefixes.forget()
        self._forget_ahead()
        self._scheduler.clear()

    @torch.inference_mode()
    def step(self) -> list[StepOutput]:
        """Everybody's next token, and the next chunk of the prompts that are being read."""
        outputs, self._pending = self._pending, []
        while self._scheduler.admit():
            pass
        self._use_prefixes()
        if shares := self._scheduler.plan():
            outputs += self._compute(shares)
        for share in self._scheduler.plan_alone():
            outputs += self._compute([share])
        return outputs

    def generate(
        self, prompt_tokens: Sequence[int], params: SamplingParams
    ) -> Iterator[StepOutput]:
        """Answer one prompt, step by step. Closing the iterator cancels the request."""
        if self.has_work:
            raise RuntimeError("generate needs the engine for itself: use add and step.")
        self.add("generate", prompt_tokens, params)
        try:
            while self.has_work:
                yield from self.step()
        finally:
            self.cancel("generate")
            self._pending.clear()

    # ---- One step ---------------------------------------------------------------------------------

    def _compute(self, shares: list[Share]) -> list[StepOutput]:
        """One forward pass for all shares, and what follows from it.

        What raises, ends the one request that it is about: all others get the same without it.
        """
        try:
            batch, hidden, logits = self._forward(shares)
        except Exception as error:
            self._forget_ahead()
            if len(shares) == 1:
                return [self._fail(shares[0].request, error)]
            return [output for share in shares for output in self._compute([share])]
        ends = list(accumulate(len(piece.tokens) for piece in batch.pieces))
        requests = [shares[number].request for number in batch.order]
        for request, piece in zip(requests, batch.pieces, strict=True):
            request.read = piece.end  # of all, before one that ends moves another's row
        outputs: list[StepOutput] = []
        through: list[Request] = []  # whose next token can be chosen
        lasts: list[int] = []  # and after which token of the batch
        for request, piece, end in zip(requests, batch.pieces, ends, strict=True):
            first = end - len(piece.tokens)
            if not request.is_finite:  # no token was chosen yet
                with self._isolated(request, outputs):
                    outputs += self._read_prompt(request, piece, hidden[first:end])
            if request.read == request.length and request.is_running and request.params.max_tokens:
                through.append(request)
                lasts.append(end - 1)
        if through:
            # Picking all of them would only copy, and a GPU would have to wait for the list.
            if len(lasts) < len(hidden):
                hidden, logits = hidden[lasts], None if logits is None else logits[lasts]
            outputs += self._accept(
                through, self.model.logits(hidden) if logits is None else logits
            )
        return outputs

    def _forward(self, shares: list[Share]) -> tuple[Batch, Tensor, Tensor | None]:
        """What the last layer makes of the tokens, and their logits where they came with it."""
        batch = self.model.batch([self._piece(share) for share in shares])
        if self._steps and self._steps.takes(batch):
            return batch, *self._steps(batch, ahead=self._goes_on(shares))
        return batch, self.model(batch, self._cache), None

    def _goes_on(self, shares: list[Share]) -> bool:
        """Whether the next step will be of the same requests, all with their likeliest tokens."""
        scheduler = self._scheduler
        if scheduler.waiting or scheduler.alone_is_due or len(shares) < len(scheduler.running):
            return False
        return all(
            share.request.params.takes_likeliest
            and len(share.request.generated) + 1 < share.request.params.max_tokens
            for share in shares
        )

    def _use_prefixes(self) -> None:
        """Copy what another row holds of a prompt's beginning, for requests that have not begun.

        Only a row of the same user: how soon a prompt is read must say nothing of other people's.
        """
        running = self._scheduler.running  # each in the row of its place
        for request in running:
            if request.read or not request.may_share:
                continue
            live = [
                (row, r.tokens[: r.read])
                for row, r in enumerate(running)
                if r.read and r.user == request.user
            ]
            if prefix := self._prefixes.find(request.tokens, live, request.user):
                assert request.row is not None
                self._cache.copy(source=prefix.row, target=request.row, length=prefix.length)
                request.read = prefix.length

    def _piece(self, share: Share) -> Piece:
        request = share.request
        assert request.row is not None
        if request.length - request.read == 1:
            return Piece(request.row, request.read, [request.last])
        tokens = request.tokens[request.read : request.read + share.count]
        return Piece(request.row, request.read, tokens)

    def _read_prompt(self, request: Request, piece: Piece, hidden: Tensor) -> list[StepOutput]:
        """What is to be said of a prompt of which this piece has been read."""
        if request.params.prompt_logprobs is not None and piece.start < len(request.prompt):
            self._score_prompt(request, piece, hidden)
        if request.read < request.length:
            return []
        scores = tuple(request.scores) or None
        request.scores = []
        if request.params.max_tokens == 0:
            return [replace(self._end(request, None, "", FinishReason.LENGTH), prompt=scores)]
        return [StepOutput(request.request_id, None, "", prompt=scores)] if scores else []

    def _score_prompt(self, request: Request, piece: Piece, hidden: Tensor) -> None:
        """Note what the model thought of the prompt's tokens that follow those of the piece."""
        told = request.params.prompt_logprobs
        if not request.scores:
            request.scores.append(TokenScore(request.prompt[0], None))
        following = request.prompt[piece.start + 1 : piece.end + 1]
        for start in range(0, len(following), SCORED_AT_ONCE):
            some = following[start : start + SCORED_AT_ONCE]
            logits = self.model.logits(hidden[start : start + len(some)])
            request.scores += [one for one in score(logits, some, [told] * len(some)) if one]

    def _accept(self, requests: list[Request], logits: Tensor) -> list[StepOutput]:
        """Choose each row's next token and say what follows from it."""
        params = [request.params for request in requests]
        histories = [self._histories.get(request.request_id) for request in requests]
        try:
            with self._steps.beside() if self._steps else nullcontext():
                places = [len(request.generated) for request in requests]
                barred = [self._barred(request) for request in requests]
                tokens = sample(logits, params, places, histories, barred)
                scores = score(logits, tokens, [p.logprobs for p in params])
        except Exception as error:
            if len(requests) == 1:
                return [self._fail(requests[0], error)]
            rows = enumerate(requests)
            return [o for row, r in rows for o in self._accept([r], logits[row : row + 1])]
        outputs: list[StepOutput] = []
        for request, token, thought in zip(requests, tokens, scores, strict=True):
            try:
                outputs.append(self._append(request, token, thought))
            except Exception as error:
                outputs.append(self._fail(request, error))
        return outputs

    def _barred(self, request: Request) -> list[int]:
        vocab_size = self.model.args.vocab_size
        return [token for token in request.barred(self.tokenizer.eos_ids) if token < vocab_size]

    def _append(self, request: Request, token: int, thought: TokenScore | None) -> StepOutput:
        request.generated.append(token)
        request.is_finite = True
        if history := self._histories.get(request.request_id):
            history.push(token)
        text = request.push_text(token, len(request.generated))
        if reason := self._finish_reason(request):
            return replace(self._end(request, token, text, reason), score=thought)
        return StepOutput(request.request_id, token, text, score=thought)

    # ---- How a request ends -----------------------------------------------------------------------

    def _end(
        self, request: Request, token: int | None, text: str, reason: FinishReason
    ) -> StepOutput:
        if not request.stopping.stopped:
            text += request.stopping.push(request.detokenizer.flush()) + request.stopping.flush()
        if request.row is not None and request.is_finite and not request.params.repeatable:
            self._keep_prefix(request, request.row)
        self._release(request)
        return StepOutput(request.request_id, token, text, reason)

    @contextmanager
    def _isolated(self, request: Request, outputs: list[StepOutput]) -> Iterator[None]:
        """An error in here is the end of this request alone."""
        try:
            yield
        except Exception as error:
            outputs.append(self._fail(request, error))

    def _fail(self, request: Request, error: Exception) -> StepOutput:
        if isinstance(error, NotFinite):
            message = str(error)
            logger.error("Request %s ends: %s", request.request_id, error)
        else:
            message = f"{type(error).__name__}: {error}"
            logger.error("Request %s failed.", request.request_id, exc_info=error)
        request.is_finite = False
        self._release(request)
        return StepOutput(request.request_id, None, "", FinishReason.ERROR, message)

    def _release(self, request: Request) -> None:
        """Free the request's row, and forget what was held for it."""
        self._forget_ahead()
        if request.row is not None and not request.is_finite:
            # Who gets the row next meets what it holds with a weight of 0, and 0 × NaN is NaN.
            self._cache.clear(request.row, request.read + 1)
        if move := self._scheduler.finish(request):
            self._cache.copy(source=move.source, target=move.target, length=move.length)
        self._histories.pop(request.request_id, None)

    def _forget_ahead(self) -> None:
        if self._steps:
            self._steps.forget()

    def _keep_prefix(self, request: Request, row: int) -> None:
        kept = self._prefixes.keep(request.tokens[: request.read], request.user)
        if kept is not None:
            self._cache.copy(source=row, target=kept, length=request.read)

    def _finish_reason(self, request: Request) -> FinishReason | None:
        return request.finish_reason(
            eos_ids=self.tokenizer.eos_ids, context_limit=self.info.context_limit
        )


def _room(model: Transformer, *, rows: int, length: int) -> memory.Room:
    args = model.args
    bytes_of_token = args.n_layers * 2 * args.n_kv_heads * args.head_dim * model.dtype.itemsize
    return memory.room(
        free=memory.free_bytes(model.device),
        bytes_of_token=bytes_of_token,
        rows=rows,
        length=length,
        least=1 + ALONE + PREFIXES,
    )
