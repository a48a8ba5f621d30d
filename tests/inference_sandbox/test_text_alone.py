"""Servers behind `WEIGHBRIDGE_ENGINE=openai:<url>` that take no tokens, told by what they answer."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from inference_sandbox.engine.request import FinishReason, SamplingParams, StepOutput
from inference_sandbox.engine.tokenizer import Tokenizer, load_tokenizer
from inference_sandbox.foreign import ForeignRunner
from inference_sandbox.foreign_server import AsText, ServerError
from tests.inference_sandbox.engine import releases
from tests.inference_sandbox.engine.test_tokenizer import mistral_model

Answer = tuple[int, Any]
Say = Callable[[dict[str, Any]], Answer]
DUMP = """41 validation errors:
  {'type': 'string_type', 'loc': ('body', 'prompt', 'str'), 'msg': 'Input should be a valid string', 'input': [5, 9]}
  {'type': 'string_type', 'loc': ('body', 'prompt', 'list[str]', 0), 'msg': 'Input should be a valid string'}

  File "/srv/app.py", line 264, in create_completion"""
DETAIL = [
    {"type": "string_type", "loc": ["body", "prompt"], "msg": "Input should be a valid string"}
]


class Stub:
    """A server that says what `say` makes of each request."""

    def __init__(self) -> None:
        self.say: Say = lambda body: (200, "ok")
        self.asked: list[dict[str, Any]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                stub.asked.append(body)
                status, said = stub.say(body)
                if status == 200:
                    said = _stream(said) if body.get("stream") else {"choices": [{"text": said}]}
                data = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    @property
    def prompts(self) -> list[Any]:
        return [body["prompt"] for body in self.asked]


def _stream(text: str) -> bytes:
    choices = [{"text": char, "finish_reason": None} for char in text]
    choices += [{"text": "", "finish_reason": "length"}] if text else []
    return (
        b"".join(b"data: %s\n\n" % json.dumps({"choices": [c]}).encode() for c in choices)
        + b"data: [DONE]\n\n"
    )


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("text")
    releases.write_byte_tokenizer(folder)
    return load_tokenizer(folder)


@pytest.fixture
def runner(stub: Stub, tokenizer: Tokenizer) -> Iterator[ForeignRunner]:
    made = ForeignRunner(stub.url, "model", "", tokenizer, 1024)
    yield made
    made.stop()


def outputs(runner: ForeignRunner, text: str = "Once", **params: Any) -> list[StepOutput]:
    return list(runner.submit("a", runner._tokenizer.encode(text), SamplingParams(**params)))


def error_of(runner: ForeignRunner, text: str = "Once", **params: Any) -> str:
    *_, last = outputs(runner, text, **params)
    assert last.finish_reason is FinishReason.ERROR
    return last.error


def text_alone(refusal: Answer) -> Say:
    return lambda body: (200, "Hi") if isinstance(body["prompt"], str) else refusal


REFUSALS: list[Answer] = [
    (500, {"error": {"message": DUMP, "type": "internal_server_error"}}),
    (422, {"detail": DETAIL}),
    (400, {"error": {"message": "tokens are not for me"}}),
    (400, {"message": "no"}),
    (400, b"no"),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_who_refuses_tokens_and_takes_text_is_asked_with_text(
    stub: Stub, runner: ForeignRunner, refusal: Answer
) -> None:
    stub.say = text_alone(refusal)
    for _ in range(2):
        made = outputs(runner)
        assert "".join(output.text for output in made) == "Hi"
        assert made[-1].finish_reason is FinishReason.LENGTH
    ids, line = runner._tokenizer.encode("Once"), runner._tokenizer.encode("\n")
    assert stub.prompts == [ids, line, "\n", "Once", "Once"], "tried once, and remembered"


def test_prefixes_are_shared_within_one_account_there_too(
    stub: Stub, runner: ForeignRunner
) -> None:
    greedy = SamplingParams(temperature=1.0, top_p=0.0)
    for user in ("alice", "mallory", ""):
        assert list(runner.submit("a", runner._tokenizer.encode("Once"), greedy, user=user))
    assert [body.get("cache_salt") for body in stub.asked] == ["alice", "mallory", None]
    assert {(body["temperature"], body["top_p"]) for body in stub.asked} == {(0.0, 1.0)}, (
        "vLLM refuses a top_p of 0"
    )


def test_who_takes_tokens_is_asked_with_tokens_whatever_else_it_refuses(
    stub: Stub, runner: ForeignRunner
) -> None:
    ids, line = runner._tokenizer.encode("Once"), runner._tokenizer.encode("\n")
    refusal = (400, {"error": {"message": "The prompt is not nice."}})
    stub.say = lambda body: refusal if body["prompt"] == ids else (200, "Hi")
    for _ in range(2):
        assert error_of(runner) == "The model's server refused (400): The prompt is not nice."
    assert stub.prompts == [ids, line, ids]


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (REFUSALS[0], "(500): prompt: Input should be a valid string."),
        (REFUSALS[1], "(422): prompt: Input should be a valid string."),
        (REFUSALS[3], "(400): no."),
        ((500, b"Internal\nServer Error"), "(500): Internal."),
        ((502, b"<html><body>Bad Gateway</body></html>"), "(502)."),
        ((503, {"error": {"message": "busy " * 100}}), f"(503): {'busy ' * 40}".rstrip() + "…."),
        ((401, {"error": "who are you?"}), "(401): who are you?."),
    ],
    ids=str,
)
def test_a_refusal_is_one_short_line_and_settles_nothing(
    stub: Stub, runner: ForeignRunner, refusal: Answer, told: str
) -> None:
    stub.say = lambda body: refusal
    assert error_of(runner) == f"The model's server refused {told}"
    stub.say = lambda body: (200, "Hi")
    assert outputs(runner)[-1].finish_reason is FinishReason.LENGTH
    assert isinstance(stub.prompts[-1], list)


def test_who_breaks_off_before_the_first_word_is_asked_why(
    stub: Stub, runner: ForeignRunner
) -> None:
    refusal = (400, {"error": {"message": "The context is too short."}})
    stub.say = lambda body: (200, "") if body.get("stream") else refusal
    assert error_of(runner) == "The model's server refused (400): The context is too short."
    assert stub.asked[-1]["max_tokens"] == 1


def test_an_end_without_a_cause_is_said(stub: Stub, runner: ForeignRunner) -> None:
    stub.say = lambda body: (200, "")
    assert error_of(runner, ignore_eos=True) == (
        "The model's server ended its answer before its end, without a cause."
    )


# ---- The text of tokens --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("sentencepiece")
    shutil.copy(mistral_model(), folder / "tokenizer.model")
    return load_tokenizer(folder)


@pytest.fixture(params=["tokenizer", "sentencepiece"])
def either(request: pytest.FixtureRequest) -> Tokenizer:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("text", ["Once", " Once", "  Once", "Zoë 😀", "a\n\nb", "<none>"])
def test_text_is_sent_as_it_was_written(either: Tokenizer, text: str) -> None:
    assert AsText(either).of(either.encode(text), []) == text


def test_a_conversation_keeps_its_control_tokens(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_chat([{"role": "user", "content": "Hi"}])
    told = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert AsText(tokenizer).of([tokenizer.bos_id or 0, *ids], []) == told
    with pytest.raises(ServerError, match="begin this prompt with a token of its own"):
        AsText(tokenizer).of(ids, [])


def test_a_control_token_typed_as_words_is_not_sent(either: Tokenizer) -> None:
    with pytest.raises(ServerError, match="one of the model's control tokens"):
        AsText(either).of(either.encode("Say <s>"), [])
    generated = either.encode("<s>", bos=False)
    with pytest.raises(ServerError, match="one of the model's control tokens"):
        AsText(either).of(either.encode("Say"), generated)


def test_what_was_generated_follows(tokenizer: Tokenizer) -> None:
    more = tokenizer.encode(" upon", bos=False)
    assert AsText(tokenizer).of(tokenizer.encode("Once"), more) == "Once upon"


def test_the_part_of_a_character_is_not_sent(tokenizer: Tokenizer) -> None:
    (first, *_) = tokenizer.encode("ë", bos=False)
    with pytest.raises(ServerError, match="the part of a character"):
        AsText(tokenizer).of(tokenizer.encode("Zo"), [first])
    with pytest.raises(ServerError, match="other tokens"):
        AsText(tokenizer).of([*tokenizer.encode("Zo"), first], [])
