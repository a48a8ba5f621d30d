"""Another engine behind ours: a server that speaks OpenAI's API, such as vLLM, where one device is
not enough (`WEIGHBRIDGE_ENGINE=openai:<url>`).

The worker gives it the same requests as the engine of its own, through the same four methods. It is
asked with tokens, because what a person types must never become a control token. One that refuses
them and takes text (llama-cpp-python's) is asked with text from then on, and nothing is asked of it
that it would read otherwise.
"""

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import urllib3
from django.conf import settings

from distribution.models import Revision
from inference_sandbox import tokens
from inference_sandbox.engine.request import (
    FinishReason,
    PromptTooLong,
    SamplingParams,
    StepOutput,
    TokenScore,
)
from inference_sandbox.engine.stopping import StopMatcher
from inference_sandbox.foreign_server import (
    CONNECTIONS,
    Server,
    ServerError,
    context_of_server,
    silence,
)

if TYPE_CHECKING:
    from inference_sandbox.engine.tokenizer import Tokenizer

log = logging.getLogger(__name__)
NOT_VLLM = "The model's server does not know `min_tokens` and `stop_token_ids`. Leave them out."
LOST = "\ufffd"  # what a server says of a character that it lost
# Ours → what servers call it. Told always: some have defaults of their own that are not neutral.
EXTRAS = {
    "top_k": ("top_k",),
    "min_p": ("min_p",),
    "repetition_penalty": ("repetition_penalty", "repeat_penalty"),
}


@dataclass
class Work:
    """One request on its way. Its thread reads the server; what it says waits in `outputs`."""

    request_id: str
    prompt: list[int]
    params: SamplingParams
    generated: list[int]
    stopping: StopMatcher
    user: str = ""  # whose it is
    outputs: "SimpleQueue[StepOutput]" = field(default_factory=SimpleQueue)
    ended: threading.Event = field(default_factory=threading.Event)
    response: urllib3.BaseHTTPResponse | None = None

    @property
    def left(self) -> int:
        return self.params.max_tokens - len(self.generated)

    def put(self, **output: Any) -> None:
        if not self.ended.is_set():
            self.outputs.put(StepOutput(self.request_id, **{"token": None, "text": "", **output}))
        if output.get("finish_reason"):
            self.ended.set()


class ForeignRunner:
    """As `engine.runner.EngineRunner`."""

    def __init__(
        self, url: str, model: str, key: str, tokenizer: "Tokenizer", context_limit: int
    ) -> None:
        self._server, self._tokenizer = Server(url, model, key, tokenizer), tokenizer
        self._limit = context_limit - 1  # room for one token of an answer
        self._works: dict[str, Work] = {}

    def submit(
        self,
        request_id: str,
        prompt_tokens: Sequence[int],
        params: SamplingParams,
        generated: Sequence[int] = (),
        *,
        user: str = "",
    ) -> Iterator[StepOutput]:
        if len(prompt_tokens) > self._limit:
            raise PromptTooLong(count=len(prompt_tokens), limit=self._limit)
        # Where an answer has a least length, its server alone knows from where on it may end.
        stopping = StopMatcher(() if params.min_tokens else params.stop)
        stopping.push(self._tokenizer.decode(generated))
        work = Work(request_id, list(prompt_tokens), params, list(generated), stopping, user)
        self._works[request_id] = work
        threading.Thread(target=self._run, args=(work,), daemon=True).start()
        return self._read(work)

    def cancel(self, request_id: str) -> None:
        if work := self._works.get(request_id):
            self._end(work, finish_reason=FinishReason.CANCELLED)

    def load(self) -> tuple[int, int, int]:
        """Requests handed over, none waiting here, and connections in all."""
        return len(self._works), 0, CONNECTIONS

    def stop(self, timeout: float | None = None) -> None:
        for work in list(self._works.values()):
            message = "The engine has been stopped."
            self._end(work, finish_reason=FinishReason.ERROR, error=message)
        self._server.leave()

    def _read(self, work: Work) -> Iterator[StepOutput]:
        finished = False
        try:
            while not finished:
                output = work.outputs.get()
                finished = output.finish_reason is not None
                yield output
        finally:
            self._end(work, finish_reason=FinishReason.CANCELLED)
            self._works.pop(work.request_id, None)

    def _end(self, work: Work, **output: Any) -> None:
        """Tell the reader the end, if it was not told, and leave the server alone."""
        work.put(**output)
        if (response := work.response) is not None:
            try:
                response.shutdown()  # wakes the thread that reads it
            except (OSError, ValueError, RuntimeError):
                log.debug("the answer to %s had ended already", work.request_id)

    # ---- In the request's own thread -------------------------------------------------------------

    def _run(self, work: Work) -> None:
        try:
            if work.params.prompt_logprobs is not None:
                work.put(prompt=self._scores_of_prompt(work))
            if work.left <= 0 or work.stopping.stopped:
                stopped = work.stopping.stopped
                work.put(finish_reason=FinishReason.STOP if stopped else FinishReason.LENGTH)
                return
            self._follow(work)
        except ServerError as error:
            work.put(finish_reason=FinishReason.ERROR, error=str(error))
        except Exception as error:
            if not work.ended.is_set():  # what is ended early, breaks off
                log.exception("the model's server failed over %s", work.request_id)
            work.put(finish_reason=FinishReason.ERROR, error=silence(error))

    def _follow(self, work: Work) -> None:
        body, began = self._body(work), False
        for data in self._objects(work, {**body, "stream": True}, work.generated):
            for choice in data.get("choices", ()):
                began = True
                self._take(work, choice)
                if work.ended.is_set():
                    return
        if not began:  # some find only in the stream that they refuse, and cannot say so there
            next(self._objects(work, {**body, "max_tokens": 1}, work.generated), None)
        raise ServerError("The model's server ended its answer before its end, without a cause.")

    def _objects(
        self, work: Work, body: dict[str, Any], generated: Sequence[int] = ()
    ) -> Iterator[dict[str, Any]]:
        """The objects of an answer, which who cancels can break off."""
        work.response = response = self._server.ask(body, work.prompt, generated)
        if work.ended.is_set():
            response.close()
            return
        yield from self._server.objects(response, is_stream=bool(body.get("stream")))

    def _body(self, work: Work) -> dict[str, Any]:
        params = work.params
        body: dict[str, Any] = {
            "max_tokens": work.left,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "presence_penalty": params.presence_penalty,
            "frequency_penalty": params.frequency_penalty,
            "seed": params.seed,
            # vLLM then says which tokens it made; others do not mind.
            "return_token_ids": True,
            "user": work.user,
        }
        if work.user:  # vLLM then shares no prefix between people; others do not mind
            body["cache_salt"] = work.user
        for name, theirs in EXTRAS.items():
            body |= dict.fromkeys(theirs, getattr(params, name))
        if params.ignore_eos:
            body["ignore_eos"] = True
        if params.stop:
            body["stop"] = list(params.stop)
        if params.stop_token_ids:
            body["stop_token_ids"] = list(params.stop_token_ids)
        if params.min_tokens:
            body["min_tokens"] = max(0, params.min_tokens - len(work.generated))
        if params.logit_bias:
            body["logit_bias"] = {str(token): bias for token, bias in params.logit_bias.items()}
        if params.logprobs is not None:
            body["logprobs"] = params.logprobs
        return body

    def _take(self, work: Work, choice: dict[str, Any]) -> None:
        """One chunk: tokens, and text that may lag behind them."""
        params = work.params
        if (params.min_tokens or params.stop_token_ids) and choice.get("token_ids") is None:
            raise ServerError(NOT_VLLM)
        text = work.stopping.push(choice.get("text") or self._lost(choice))
        made = self._made(choice)
        for score in made[:-1]:
            self._token(work, score, "")
        if made:
            self._token(work, made[-1], text)
        elif text:
            work.put(text=text)
        if work.stopping.stopped:
            work.put(finish_reason=FinishReason.STOP)
        elif reason := choice.get("finish_reason"):
            ended = FinishReason.LENGTH if reason == "length" else FinishReason.STOP
            work.put(text=work.stopping.flush(), finish_reason=ended)

    def _token(self, work: Work, score: TokenScore, text: str) -> None:
        asked = work.params.logprobs is not None and score.logprob is not None
        work.put(token=score.token, text=text, score=score if asked else None)

    def _lost(self, choice: dict[str, Any]) -> str:
        """What stands for a token that has neither name nor text.

        llama-cpp-python's server, asked for probabilities, sends the characters that are several
        tokens (an emoji) as so many empty ones. A hole in the answer must be seen.
        """
        names = (choice.get("logprobs") or {}).get("tokens") or []
        return LOST if "" in names and self._server.takes_tokens is False else ""

    def _made(self, choice: dict[str, Any]) -> list[TokenScore]:
        """The tokens of a chunk: as the server names them, or as our tokenizer cuts its text."""
        ids = choice.get("token_ids")
        if told := self._scores(choice.get("logprobs") or {}, ids):
            return told
        if ids is None:
            ids = self._cut(choice.get("text") or "")
        return [TokenScore(token, None) for token in ids]

    def _scores(self, told: dict[str, Any], ids: Sequence[int] | None = None) -> list[TokenScore]:
        names, logprobs = told.get("tokens") or [], told.get("token_logprobs") or []
        tops = told.get("top_logprobs") or [None] * len(names)
        if ids is None or len(ids) != len(names):
            ids = [self._id(name) for name in names]
        return [
            TokenScore(token, logprob, None, self._top(top))
            for token, logprob, top in zip(ids, logprobs, tops, strict=False)
        ]

    def _top(self, top: dict[str, float] | None) -> tuple[tuple[int, float], ...]:
        pairs = [(self._id(name), logprob) for name, logprob in (top or {}).items()]
        return tuple(sorted(pairs, key=lambda pair: -pair[1]))

    def _id(self, name: str) -> int:
        """A token by what the server calls it; of a name that is no token of ours, its first."""
        if found := re.fullmatch(r"token_id:(\d+)", name):
            return int(found[1])
        raw = _raw(name or LOST)
        if raw in self._token_of:
            return self._token_of[raw]
        return next(iter(self._cut(name or LOST)), 0)

    @cached_property
    def _token_of(self) -> dict[bytes, int]:
        """The first token that stands for these bytes."""
        tokenizer = self._tokenizer
        backwards = reversed(range(tokenizer.vocab_size))
        return {tokenizer.token_bytes(token): token for token in backwards}

    def _cut(self, text: str) -> list[int]:
        """Tokens of a text in the middle of another: sentencepiece begins a text with a space."""
        encode = self._tokenizer.encode
        before, both = encode("\n", bos=False), encode("\n" + text, bos=False)
        if both[: len(before)] == before:
            return both[len(before) :]
        return encode(text, bos=False)

    def _scores_of_prompt(self, work: Work) -> tuple[TokenScore, ...]:
        asked: dict[str, Any] = {"max_tokens": 1, "temperature": 0, "echo": True}
        if work.user:
            asked["cache_salt"] = work.user
        body = {**asked, "logprobs": work.params.prompt_logprobs}
        data = next(self._objects(work, body), {})
        (choice,) = data.get("choices") or [{}]
        scores = self._scores(choice.get("logprobs") or {})
        # One more than the prompt has: the token that was made. llama-cpp-python's server tells one
        # less, and with each token the probability that it had one place further on.
        if len(scores) != len(work.prompt) + 1:
            raise ServerError("The model's server does not tell the probabilities of a prompt.")
        return tuple(
            TokenScore(token, score.logprob, None, score.top if score.logprob is not None else ())
            for token, score in zip(work.prompt, scores[:-1], strict=True)
        )


def _raw(name: str) -> bytes:
    """What a token stands for; a part of a character is written `bytes:\\xe2\\x80`."""
    if re.fullmatch(r"bytes:(\\x[0-9a-f]{2})+", name):
        return bytes.fromhex(name.removeprefix("bytes:").replace("\\x", ""))
    return name.encode()


def runner_of(revision: Revision) -> tuple[ForeignRunner, "Tokenizer", str, int]:
    """A runner for the revision, its tokenizer, what is told of the engine with each run, and the tokens
    of one run that it takes.
    """
    release, tokenizer = revision.release, tokens.tokenizer_of(revision)
    model = settings.SANDBOX_ENGINE_MODEL or release.repo_id
    limit = tokens.configured_context(revision)
    url, key = settings.SANDBOX_ENGINE_URL, settings.SANDBOX_ENGINE_KEY
    description = f"{model} on a server that speaks OpenAI's API"
    limit = min(limit, context_of_server(url, model, key) or limit)
    return ForeignRunner(url, model, key, tokenizer, limit), tokenizer, description, limit
