"""The engine: requests come and go between steps, and all running ones share each step's batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from inference_sandbox.engine.checkpoint import CheckpointError, load_checkpoint
from inference_sandbox.engine.model import KVCache, Transformer, Window
from inference_sandbox.engine.request import (
    FinishReason,
    PromptTooLong,
    Request,
    SamplingParams,
    StepOutput,
    TokenScore,
)
from inference_sandbox.engine.sampling import History, sample, score
from inference_sandbox.engine.scheduler import Scheduler
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

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# A long prompt is read in pieces, so that the attention mask and the activations stay small.
PREFILL_CHUNK = 512


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
        self, model: Transformer, tokenizer: Tokenizer, *, max_batch: int = 8, max_len: int = 2048
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        weight = model.tok_embeddings.weight
        self._device = weight.device
        self.info = EngineInfo(
            n_params=sum(parameter.numel() for parameter in model.parameters()),
            dtype=str(weight.dtype).removeprefix("torch."),
            device=str(weight.device),
            context_limit=min(max_len, model.args.max_seq_len),
            max_batch=max_batch,
        )
        self._scheduler = Scheduler(max_batch)
        self._cache = KVCache(
            model.args,
            rows=max_batch,
            length=self.info.context_limit,
            dtype=weight.dtype,
            device=weight.device,
        )
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
        """Read a release's folder. Raises CheckpointError or TokenizerError with the cause."""
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}.")
        tokenizer = load_tokenizer(folder)
        checkpoint = load_checkpoint(
            Path(folder),
            dtype=DTYPES[dtype],
            device=device,
            tokenizer_vocab_size=tokenizer.vocab_size,
        )
        model = Transformer.from_weights(checkpoint.args, checkpoint.weights)
        return cls(model, tokenizer, max_batch=max_batch, max_len=max_len)

    @property
    def occupancy(self) -> tuple[int, int, int]:
        """Requests running, requests waiting, and rows in all."""
        scheduler = self._scheduler
        return len(scheduler.running), len(scheduler.waiting), self.info.max_batch

    @property
    def has_work(self) -> bool:
        return bool(self._pending) or self._scheduler.has_work

    def check(self, prompt_tokens: Sequence[int], generated: Sequence[int] = ()) -> None:
        """Raise ValueError (PromptTooLong) if the engine cannot take this. Safe in any thread."""
        limit = self.info.context_limit - 1  # room for one token of an answer
        if not prompt_tokens:
            raise ValueError("The prompt is empty.")
        if len(prompt_tokens) > limit:
            raise PromptTooLong(count=len(prompt_tokens), limit=limit)
        vocab_size = self.model.args.vocab_size
        for token in (*prompt_tokens, *generated):
            if not 0 <= token < vocab_size:
                raise ValueError(f"Token {token} is outside the model's {vocab_size} tokens.")

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

        `generated` are tokens this request already got, before a crash: they count against
        max_tokens, and their text is not sent again.
        """
        self.check(prompt_tokens, generated)
        request = self._request(request_id, prompt_tokens, params, generated)
        self._scheduler.add(request)
        if params.penalises:
            history = History(self.model.args.vocab_size, self._device, prompt_tokens)
            for token in generated:
                history.push(token)
            self._histories[request_id] = history
        if params.max_tokens == 0:
            return  # the prompt is read, and what was thought of it is told
        if reason := self._finish_reason(request):
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
        for token in generated:
            stopping.push(detokenizer.push(token))
        return Request(
            request_id, tuple(prompt_tokens), params, detokenizer, list(generated), stopping
        )

    def cancel(self, request_id: str) -> None:
        """Free the request's row now; the next step tells its end. Unknown or ended: no effect."""
        if request := self._scheduler.get(request_id):
            self._pending.append(self._end(request, None, "", FinishReason.CANCELLED))

    def reset(self) -> None:
        """Drop every request without a word, after a step that raised."""
        self._pending.clear()
        self._histories.clear()
        self._scheduler.clear()

    @torch.inference_mode()
    def step(self) -> list[StepOutput]:
        """Advance every running request by one token, then let waiting ones in."""
        outputs, self._pending = self._pending, []
        if running := list(self._scheduler.running):
            outputs += self._accept(running, self._decode(running))
        while request := self._scheduler.admit():
            logits, scores = self._prefill(request)
            if request.params.max_tokens == 0:
                end = self._end(request, None, "", FinishReason.LENGTH)
                outputs.append(replace(end, prompt=scores))
                continue
            if scores is not None:
                outputs.append(StepOutput(request.request_id, None, "", prompt=scores))
            outputs += self._accept([request], logits)
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

    def _prefill(self, request: Request) -> tuple[Tensor, tuple[TokenScore, ...] | None]:
        """Read the request's tokens into its row; logits after the last, [1, vocabulary].

        With them what the model thought of the prompt, if that was asked.
        """
        assert request.row is not None
        tokens = self._tensor([request.tokens])
        positions = torch.arange(request.length, device=self._device).unsqueeze(0)
        told = request.params.prompt_logprobs
        scores = [TokenScore(request.prompt[0], None)]
        for start in range(0, request.length, PREFILL_CHUNK):
            piece = slice(start, start + PREFILL_CHUNK)
            length = min(piece.stop, request.length)
            window = Window(self._cache, positions[:, piece], first_row=request.row, length=length)
            logits = self.model(
                tokens[:, piece], positions[:, piece], window, last_only=told is None
            )
            if told is not None:
                following = request.prompt[start + 1 : piece.stop + 1]
                thoughts = score(logits[0, : len(following)], following, [told] * len(following))
                scores += [thought for thought in thoughts if thought]
                logits = logits[:, -1]
        return logits, None if told is None else tuple(scores)

    def _decode(self, running: list[Request]) -> Tensor:
        """One forward pass for the latest token of every row; logits, [rows, vocabulary]."""
        tokens = self._tensor([[request.generated[-1]] for request in running])
        positions = self._tensor([[request.length - 1] for request in running])
        longest = max(request.length for request in running)
        window = Window(self._cache, positions, first_row=0, length=longest)
        return self.model(tokens, positions, window)

    def _accept(self, requests: list[Request], logits: Tensor) -> list[StepOutput]:
        """Choose each row's next token and say what follows from it."""
        params = [request.params for request in requests]
        histories = [self._histories.get(request.request_id) for request in requests]
        tokens = sample(logits, params, [len(r.generated) for r in requests], histories)
        scores = score(logits, tokens, [p.logprobs for p in params])
        return [self._append(*row) for row in zip(requests, tokens, scores, strict=True)]

    def _append(self, request: Request, token: int, thought: TokenScore | None) -> StepOutput:
        request.generated.append(token)
        if history := self._histories.get(request.request_id):
            history.push(token)
        text = request.stopping.push(request.detokenizer.push(token))
        if reason := self._finish_reason(request):
            return replace(self._end(request, token, text, reason), score=thought)
        return StepOutput(request.request_id, token, text, score=thought)

    def _end(
        self, request: Request, token: int | None, text: str, reason: FinishReason
    ) -> StepOutput:
        if move := self._scheduler.finish(request):
            self._cache.move(source=move.source, target=move.target, length=move.length)
        self._histories.pop(request.request_id, None)
        if not request.stopping.stopped:
            text += request.stopping.push(request.detokenizer.flush()) + request.stopping.flush()
        return StepOutput(request.request_id, token, text, reason)

    def _finish_reason(self, request: Request) -> FinishReason | None:
        return request.finish_reason(
            eos_ids=self.tokenizer.eos_ids, context_limit=self.info.context_limit
        )

    def _tensor(self, values: list[list[int]]) -> Tensor:
        return torch.tensor(values, device=self._device)
