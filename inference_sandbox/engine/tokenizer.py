"""Text to tokens and back, for `tokenizer.json` and for sentencepiece's `tokenizer.model`.

Imports no torch. Text from people never becomes a control token: in a plain prompt nothing does,
and in a conversation only what the chat template itself writes does (see `Tokenizer.encode_chat`).
Everything else is as in transformers: which files count, how a template is rendered, and which
tokens a text has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models
from tokenizers.normalizers import Normalizer
from transformers import PreTrainedTokenizerFast

from inference_sandbox.engine.chat_marks import ChatMarks, any_of
from inference_sandbox.engine.control_tokens import Vocabulary, rename, secret_names
from inference_sandbox.engine.tokenizer_files import (
    TokenizerConfig,
    TokenizerError,
    library_errors,
    load_files,
)

__all__ = ["IncrementalDetokenizer", "Tokenizer", "TokenizerConfig", "TokenizerError"]

REPLACEMENT = "\ufffd"
# What decodes LLaMA 2's kind of vocabulary: pieces with a mark for the space, and single bytes.
SENTENCEPIECE_STEPS = {"Replace", "ByteFallback", "Fuse", "Strip"}


class Tokenizer:
    """A tokenizer that transformers has loaded, without any text that becomes a control token."""

    def __init__(
        self, loaded: PreTrainedTokenizerFast, config: TokenizerConfig, vocabulary: Vocabulary
    ) -> None:
        original: tokenizers.Tokenizer = loaded.backend_tokenizer
        self.config = config
        self.vocab_size = original.get_vocab_size()
        self.bos_id = _id(original, config.bos_token)
        eos_id = _id(original, config.eos_token)
        self.eos_ids = config.end_ids | (frozenset() if eos_id is None else {eos_id})
        begins = self.bos_id is not None and original.encode("").ids[:1] == [self.bos_id]
        self.add_bos = begins if config.add_bos is None else config.add_bos
        self.control_tokens = vocabulary.control_tokens(self.eos_ids)
        self._names = secret_names(self.control_tokens)
        self._texts = {name: token for token, name in self._names.items()}
        words = [t.content for t in original.get_added_tokens_decoder().values() if t.single_word]
        self._written = any_of(self.control_tokens, words)
        description = json.loads(original.to_str())
        if normalizer := original.normalizer:
            _keep_whole(description["added_tokens"], normalizer, self._names)
        rename(description, self._names, self.control_tokens, self.eos_ids)
        self._tokenizer = _tokenizer_of(description)
        added = self._tokenizer.get_added_tokens_decoder()
        self._silent = {token for token, each in added.items() if each.special}
        steps = _decoder_steps(description["decoder"])
        self._is_byte_level = "ByteLevel" in steps
        self._is_byte_fallback = "ByteFallback" in steps and steps <= SENTENCEPIECE_STEPS
        self._strips_space = "Strip" in steps
        self._renderer = _renderer_of(loaded)
        self._require_control_tokens_apart(_unknown_id(description))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the tokens; special tokens are silent."""
        if self._is_byte_fallback:
            return self._decode_bytes(ids)
        text = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return self._named.sub(lambda found: self._texts[found[0]], text)

    def _decode_bytes(self, ids: Sequence[int]) -> str:
        """As the library does, which makes a whole run of bytes unreadable if one of them is wrong."""
        found = b"".join(self.token_bytes(token) for token in ids if token not in self._silent)
        text = found.decode("utf-8", "replace")
        return text.removeprefix(" ") if self._strips_space else text

    def token_bytes(self, token: int) -> bytes:
        """What one token stands for by itself: possibly a part of a character."""
        piece = self._tokenizer.id_to_token(token)
        if piece is None:  # a model's embedding may be padded beyond the tokenizer
            return b""
        if piece in self._texts:
            return self._texts[piece].encode()
        if not self._is_byte_level:
            return _piece_bytes(piece)
        table = _byte_of_character()
        # A token added beside the vocabulary is written as it is.
        return b"".join(bytes([table[c]]) if c in table else c.encode() for c in piece)

    def token_text(self, token: int) -> str:
        """One token for people to read; a part of a character is U+FFFD."""
        return self.token_bytes(token).decode("utf-8", "replace")

    def encode(self, text: str, *, bos: bool | None = None) -> list[int]:
        """Tokens of a plain prompt. `bos` None: begin as the model was trained to."""
        begins = self.add_bos if bos is None else bos
        head = [self.bos_id] if begins and self.bos_id is not None else []
        return head + self._encode(text)

    def encode_with_control_tokens(self, text: str, *, bos: bool | None = False) -> list[int]:
        """Tokens of a text in which control tokens count, as in tokenizers that clients have."""
        return self.encode(self._written.sub(lambda found: self._names[found[0]], text), bos=bos)

    def _encode(self, text: str) -> list[int]:
        with library_errors("The vocabulary cannot write every text"):
            return self._tokenizer.encode(text, add_special_tokens=False).ids

    @property
    def has_chat_template(self) -> bool:
        return self.config.chat_template is not None

    def render_chat(
        self, messages: Sequence[Mapping[str, Any]], *, continue_final_message: bool = False
    ) -> str:
        """The conversation as the template writes it, up to where the assistant speaks.

        With `continue_final_message` up to the end of the last message, for the model to go on.
        """
        if not self.has_chat_template:
            raise TokenizerError("This model has no chat template: send a plain prompt.")
        with library_errors("The chat template refuses this conversation"):
            rendered = self._renderer.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=not continue_final_message,
                continue_final_message=continue_final_message,
            )
        return str(rendered)

    def encode_chat(
        self, messages: Sequence[Mapping[str, Any]], *, continue_final_message: bool = False
    ) -> list[int]:
        """Tokens of a conversation in which only the template's own control tokens count.

        A user who writes `<|im_end|>` says those ten characters and ends no turn. Nor does one
        whose words become that only when the template takes characters out of them: where it
        writes more control tokens than with words that begin none, what it writes then counts.
        """
        marks = ChatMarks(messages, self.control_tokens, self._written)
        likely, safe = marks.around_control_tokens(), marks.around_beginnings()

        def written(marked: Sequence[Mapping[str, Any]]) -> str:
            rendered = self.render_chat(marked, continue_final_message=continue_final_message)
            return marks.named(rendered, self._names)

        text = written(likely)
        if likely != safe and self._named.findall(text) != self._named.findall(written(safe)):
            text = written(safe)
        return self._encode(text)

    @cached_property
    def _named(self) -> re.Pattern[str]:
        return any_of(self._texts)

    def _require_control_tokens_apart(self, unknown_id: int | None) -> None:
        """Raise TokenizerError where text could become a control token, or a template write none.

        What the vocabulary cannot write is unknown, by a token that any text may have.
        """
        self._encode(REPLACEMENT)
        controls = set(self.control_tokens.values()) - {unknown_id}
        for text, token in self.control_tokens.items():
            if controls & set(self._encode(text)):
                raise TokenizerError(f"A person's text can become the control token {text}.")
            if token != unknown_id and controls & set(self._encode(self._names[text])) != {token}:
                raise TokenizerError(f"The control token {text} cannot be told from text.")


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """The folder's tokenizer. Raises TokenizerError where the sandbox cannot use it."""
    tokenizer = Tokenizer(*load_files(Path(folder)))
    if not tokenizer.eos_ids:
        raise TokenizerError(
            "Nothing says which token ends a text: put tokenizer_config.json with an "
            "eos_token beside tokenizer.json."
        )
    return tokenizer


class IncrementalDetokenizer:
    """Turns a stream of tokens into a stream of text whose pieces join to the whole decoding.

    A token's text can depend on its neighbours (a leading space, a character spread over several
    tokens), so a short window is decoded with and without the news, and the difference is the
    text. `context` are the tokens before the stream: the prompt, of which the last few suffice.
    """

    CONTEXT = 8

    def __init__(self, tokenizer: Tokenizer, context: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._window = list(context[-self.CONTEXT :])
        self._shown = len(self._window)  # tokens of the window whose text is out

    def push(self, token: int) -> str:
        """The text that can be shown now: empty while a character is incomplete."""
        self._window.append(token)
        text = self._news()
        if not text or text.endswith(REPLACEMENT):
            return ""
        self._advance()
        return text

    def flush(self) -> str:
        """What was held back; an incomplete character comes out as U+FFFD."""
        text = self._news()
        self._advance()
        return text

    def _news(self) -> str:
        before = self._tokenizer.decode(self._window[: self._shown])
        return self._tokenizer.decode(self._window)[len(before) :]

    def _advance(self) -> None:
        self._window = self._window[self._shown :]
        self._shown = len(self._window)


def _keep_whole(
    added: list[dict[str, Any]], normalizer: Normalizer, names: Mapping[str, str]
) -> None:
    """A token whose name the normalizer changes is looked for in the text as it was before."""
    for token in added:
        name = names.get(token["content"], "")
        token["normalized"] = token["normalized"] and name in normalizer.normalize_str(name)


def _tokenizer_of(description: dict[str, Any]) -> tokenizers.Tokenizer:
    """What encodes text of any length as it is: nothing is cut off, filled up or put around it."""
    plain = {"truncation": None, "padding": None, "post_processor": None}
    with library_errors("The vocabulary cannot be kept apart from its control tokens"):
        return tokenizers.Tokenizer.from_str(json.dumps({**description, **plain}))


def _renderer_of(loaded: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """What renders templates: without the vocabulary, of which one copy in memory is enough."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizers.Tokenizer(models.BPE()),
        chat_template=loaded.chat_template,
        **loaded.special_tokens_map,
    )


def _decoder_steps(decoder: dict[str, Any] | None) -> set[str]:
    steps = (decoder or {}).get("decoders", [decoder or {}])
    return {step["type"] for step in steps if step}


def _unknown_id(description: dict[str, Any]) -> int | None:
    """The token of what the vocabulary cannot write."""
    model = description["model"]
    if "unk_id" in model:
        return model["unk_id"]
    return model["vocab"].get(model.get("unk_token"))


def _id(tokenizer: tokenizers.Tokenizer, token: str | None) -> int | None:
    return None if token is None else tokenizer.token_to_id(token)


def _piece_bytes(piece: str) -> bytes:
    """A sentencepiece piece: `▁` is a space, `<0x0A>` one byte."""
    if byte := re.fullmatch(r"<0x([0-9A-F]{2})>", piece):
        return bytes([int(byte[1], 16)])
    return piece.replace("▁", " ").encode()


@cache
def _byte_of_character() -> dict[str, int]:
    """Byte-level BPE writes each byte as a printable character (Radford et al. 2019, GPT-2)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    moved = {chr(0x100 + number): byte for number, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | moved
