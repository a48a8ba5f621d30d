"""The wire to a server that speaks OpenAI's API: what it is asked with, and what it says when it refuses."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError

if TYPE_CHECKING:
    from inference_sandbox.engine.tokenizer import Tokenizer

log = logging.getLogger(__name__)
CONNECT_SECONDS, SILENT_SECONDS = 10, 600
CONNECTIONS = 64  # kept open to the server
REFUSALS = (400, 422, 500)  # llama-cpp-python's answers 500 to what is not valid
LONGEST_CAUSE = 200  # characters
# As pydantic writes it: 'loc': ('body', 'prompt', 'str'), 'msg': 'Input should be a valid string'
FAULT = re.compile(r"""'loc': [(\[]'body', '(\w+)'[^)\]]*[)\]], 'msg': (['"])(.*?)\2""")


class ServerError(Exception):
    """What the server did wrong, for the person whose run it ends."""


class Server:
    def __init__(self, url: str, model: str, key: str, tokenizer: "Tokenizer") -> None:
        self._url, self._model = f"{url.rstrip('/')}/completions", model
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENT_SECONDS)
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, timeout=timeout, retries=False)
        self._tokenizer, self._as_text = tokenizer, AsText(tokenizer)
        self.takes_tokens: bool | None = None  # until it has answered

    def leave(self) -> None:
        self._pool.clear()

    def ask(
        self, body: dict[str, Any], prompt: Sequence[int], generated: Sequence[int] = ()
    ) -> urllib3.BaseHTTPResponse:
        """Ask with tokens; with text a server that takes nothing else, which its answers show.

        A refusal may be about anything, and is worded differently everywhere. So a line break is
        sent once as tokens and once as text, and what the server does with both is remembered.
        """
        if self.takes_tokens is not False:
            response = self._post({**body, "prompt": [*prompt, *generated]})
            if response.status == 200:
                self.takes_tokens = True
            if self.takes_tokens or response.status not in REFUSALS:
                return response
            if self._answers(self._tokenizer.encode("\n")):
                self.takes_tokens = True  # and refuses something else
                return response
            if not self._answers("\n"):
                return response  # it refuses everything
            response.close()
            self.takes_tokens = False
            log.info("the model's server takes no tokens: it is asked with text")
        return self._post({**body, "prompt": self._as_text.of(prompt, generated)})

    def objects(
        self, response: urllib3.BaseHTTPResponse, *, is_stream: bool
    ) -> Iterator[dict[str, Any]]:
        """The objects of an answer. Raises ServerError for a refusal, at the beginning or later."""
        try:
            if response.status != 200:
                raise ServerError(_refusal(response.status, response.data))
            if not is_stream:
                yield json.loads(response.data)
                return
            for line in response:
                data = line.strip().removeprefix(b"data:").strip()
                if not line.startswith(b"data:") or data == b"[DONE]":
                    continue
                found = json.loads(data)
                if "error" in found:
                    raise ServerError(_refusal(response.status, data))
                yield found
        finally:
            response.close()

    def _answers(self, prompt: str | list[int]) -> bool:
        response = self._post({"prompt": prompt, "max_tokens": 1})
        answers, _ = response.status == 200, response.data  # read to its end: kept open
        return answers

    def _post(self, body: dict[str, Any]) -> urllib3.BaseHTTPResponse:
        data = json.dumps({"model": self._model, **body}).encode()
        try:
            return self._send(data)
        except ProtocolError:  # a connection that was kept, and that the server closes just now
            return self._send(data)

    def _send(self, data: bytes) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            "POST", self._url, body=data, headers=self._headers, preload_content=False
        )


def context_of_server(url: str, model: str, key: str) -> int | None:
    """The tokens of one request that the server takes, as vLLM says it of each model; None: it does not say."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = urllib3.request(
            "GET", f"{url.rstrip('/')}/models", headers=headers, timeout=CONNECT_SECONDS
        )
        cards = response.json()["data"]
        found = [card.get("max_model_len") for card in cards if card.get("id") == model]
    except (HTTPError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        log.info("the model's server does not say how many tokens it takes: %r", error)
        return None
    return found[0] if found and type(found[0]) is int and found[0] > 0 else None


class AsText:
    """Tokens as the text of which a server makes the same ones, which not all of them have."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer

    def of(self, prompt: Sequence[int], generated: Sequence[int]) -> str:
        """The text; raises ServerError if none is read as the prompt.

        What was generated before need only be the same text: it came as text, where the borders of
        its tokens cannot be seen.
        """
        tokenizer = self._tokenizer
        if tokenizer.add_bos:  # such a server begins by itself
            if [*prompt[:1]] != [tokenizer.bos_id]:
                raise ServerError(_unlike("begin this prompt with a token of its own"))
            prompt = prompt[1:]
        pieces = [
            self._bytes(list(run)) if is_control else self._words(list(run))
            for is_control, run in groupby(prompt, self._controls.__contains__)
        ]
        try:
            text = (b"".join(pieces) + self._bytes(generated)).decode()
        except UnicodeDecodeError:
            raise ServerError(_unlike("lose the part of a character in this prompt")) from None
        named = [tokenizer.control_tokens[name] for name in self._control_name.findall(text)]
        if named != [token for token in (*prompt, *generated) if token in self._controls]:
            raise ServerError(
                _unlike("read a word of this prompt as one of the model's control tokens")
            )
        return text

    def _words(self, ids: list[int]) -> bytes:
        """Plain text that is cut into these tokens: sentencepiece begins a text with a space."""
        raw = self._bytes(ids)
        for text in (raw, raw.removeprefix(b" ")):
            if self._tokenizer.encode(text.decode("utf-8", "replace"), bos=False) == ids:
                return text
        raise ServerError(_unlike("cut this prompt into other tokens"))

    def _bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(self._tokenizer.token_bytes, ids))

    @cached_property
    def _controls(self) -> frozenset[int]:
        return frozenset(self._tokenizer.control_tokens.values())

    @cached_property
    def _control_name(self) -> re.Pattern[str]:
        names = sorted(filter(None, self._tokenizer.control_tokens), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names)) or "(?!)")


def _unlike(fault: str) -> str:
    return f"The model's server takes text alone, and would {fault}."


def silence(error: Exception) -> str:
    """What is said of a server that did not speak to its end."""
    if isinstance(error, NewConnectionError | ConnectTimeoutError):
        return "The model's server does not answer."
    if isinstance(error, HTTPError | OSError):
        return "The model's server broke off in the middle of its answer."
    return "The model's server gave an answer that cannot be read."


def _refusal(status: int, data: bytes) -> str:
    """What the server says, in one line: some answer with every line of their validation."""
    text = data.decode("utf-8", "replace")
    try:
        cause = _cause(json.loads(text))
    except ValueError:
        cause = "" if text.lstrip().startswith("<") else text  # a page of a proxy
    if faults := {place: said for place, _, said in FAULT.findall(cause)}:
        cause = "; ".join(f"{place}: {said}" for place, said in faults.items())
    line = next((line.strip() for line in cause.splitlines() if line.strip()), "")
    if len(line) > LONGEST_CAUSE:
        line = f"{line[:LONGEST_CAUSE].rstrip()}…"
    code = f" ({status})" if status != 200 else ""  # in the middle of an answer
    return f"The model's server refused{code}{': ' if line else ''}{line.rstrip('.')}."


def _cause(told: Any) -> str:
    """`{"error": {"message"}}` (OpenAI's), `{"message"}` or `{"detail"}`, whose values may be lists."""
    for name in ("error", "message", "detail"):
        if isinstance(told, dict) and told.get(name):
            return _cause(told[name])
    return str(told)
