"""What a request over /v1 becomes before a model reads it: the tokens of its runs."""

from pathlib import Path
from typing import Any

import pytest

from access_requests.models import Grant
from inference_sandbox.engine.tokenizer import Tokenizer, TokenizerError, load_tokenizer
from inference_sandbox.models import Run
from inference_sandbox.openai.begun import begin
from inference_sandbox.openai.errors import ApiError
from inference_sandbox.openai.reading import Body
from inference_sandbox.openai.wanted import chat, completion
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal

HI = {"role": "user", "content": "Hi"}
SAID = [HI, {"role": "assistant", "content": "Hello, al"}]
CONTINUE = {"continue_final_message": True}


@pytest.fixture
def tokenizer(weights: Path) -> Tokenizer:
    return load_tokenizer(weights)


class Asker:
    """alice, over /v1."""

    def __init__(self, account: Account, release: Release) -> None:
        self._account, self._model = account, release.repo_id

    def talk(self, *messages: dict[str, Any], **asked: Any) -> Run:
        body = {"model": self._model, "messages": list(messages), "max_tokens": 2, **asked}
        return begin(self._account, chat(Body(body))).runs[0]

    def complete(self, prompt: Any, **asked: Any) -> Run:
        body = {"model": self._model, "prompt": prompt, "max_tokens": 2, **asked}
        return begin(self._account, completion(Body(body))).runs[0]


@pytest.fixture
def asker(alice: Account, tiny: Release, grant: Grant) -> Asker:
    return Asker(alice, tiny)


def rejected(name: str, call: Any, *args: Any, **asked: Any) -> None:
    with pytest.raises(ApiError) as raised:
        call(*args, **asked)
    assert (raised.value.status, raised.value.param) == (400, name)


def test_a_text_begins_with_the_bos_and_token_ids_do_not(
    asker: Asker, tokenizer: Tokenizer
) -> None:
    ids = tokenizer.encode("Once", bos=False)
    assert asker.complete("Once").prompt_ids == [tokenizer.bos_id, *ids]
    assert asker.complete("Once", add_special_tokens=False).prompt_ids == ids
    assert asker.complete(ids).prompt_ids == ids


def test_a_chat_begins_as_its_template_does_unless_the_client_says_otherwise(
    asker: Asker, tokenizer: Tokenizer
) -> None:
    plain, begun = asker.talk(HI), asker.talk(HI, add_special_tokens=True)
    assert plain.prompt_tokens == len(tokenizer.encode_chat([HI]))
    assert begun.prompt_ids == [tokenizer.bos_id, *tokenizer.encode_chat([HI])]
    assert begun.mode == Run.Mode.CHAT


def test_the_last_message_may_be_continued_instead_of_answered(
    asker: Asker, tokenizer: Tokenizer
) -> None:
    """As with vLLM: the prompt ends with what the assistant has said so far, and no turn ends."""
    expected = [*tokenizer.encode_chat([HI]), *tokenizer.encode("Hello, al", bos=False)]
    assert asker.talk(*SAID, **CONTINUE).prompt_ids == expected
    assert asker.talk(*SAID, **CONTINUE, add_generation_prompt=False).prompt_ids == expected
    written = [HI, {"role": "assistant", "content": "<|im_end|>"}]
    assert asker.talk(*written, **CONTINUE).prompt_ids == [
        *tokenizer.encode_chat([HI]), *tokenizer.encode("<|im_end|>", bos=False)
    ], "what a client writes is no control token"  # fmt: skip


def test_to_continue_and_to_answer_exclude_each_other(asker: Asker) -> None:
    name = "add_generation_prompt"
    rejected(name, asker.talk, *SAID, **CONTINUE, add_generation_prompt=True)
    rejected(name, asker.talk, *SAID, add_generation_prompt=False)
    rejected("continue_final_message", asker.talk, *SAID, continue_final_message="yes")


@pytest.mark.parametrize("asked", [{}, CONTINUE, {"max_tokens": None}], ids=str)
def test_a_conversation_that_the_template_refuses_is_the_clients_fault(
    asker: Asker, monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    def refuse(*args: object, **options: object) -> str:
        raise TokenizerError("The chat template refuses this conversation: roles must alternate")

    monkeypatch.setattr(Tokenizer, "render_chat", refuse)
    with pytest.raises(Refusal, match="roles must alternate") as raised:
        asker.talk(*SAID, **asked)
    assert raised.value.code == Code.INVALID


def test_the_lengths_and_ends_of_other_servers_are_kept_with_the_run(asker: Asker) -> None:
    run = asker.complete("Once", min_tokens=1, stop_token_ids=[5, 6], forced=[7])
    run.refresh_from_db()
    assert (run.min_tokens, run.stop_token_ids, run.forced) == (1, [5, 6], [7])
