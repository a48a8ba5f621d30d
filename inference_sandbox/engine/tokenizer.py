"""Text to tokens and back, for sentencepiece `tokenizer.model` and for `tokenizer.json`.

Imports no torch. Text from people never becomes a control token: in a plain prompt nothing does,
and in a conversation only what the chat template itself writes does (see `Tokenizer.encode_chat`).
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jinja2
import tokenizers
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sentencepiece import SentencePieceProcessor

REPLACEMENT = "\ufffd"
# A plane of code points with no meaning in Unicode: stand-ins for control tokens in user text.
PRIVATE_USE = range(0xF0000, 0xFFFFE)


class TokenizerError(ValueError):
    """The folder's tokenizer cannot be used, or a conversation cannot be rendered."""


@dataclass(frozen=True)
class TokenizerConfig:
    """What `tokenizer_config.json`, `generation_config.json`, `chat_template.jinja` say."""

    bos_token: str | None = None
    eos_token: str | None = None
    add_bos: bool | None = None
    extra_eos_ids: frozenset[int] = frozenset()
    chat_template: str | None = None


class Tokenizer(ABC):
    bos_id: int | None
    eos_ids: frozenset[int]
    vocab_size: int
    add_bos: bool
    control_tokens: dict[str, int]

    def __init__(self, config: TokenizerConfig) -> None:
        self.config = config

    @abstractmethod
    def _encode_text(self, text: str) -> list[int]:
        """Tokens of the text, none of them a control token."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of the tokens; control tokens are silent."""

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """What one token stands for by itself: possibly a part of a character."""

    def token_text(self, token: int) -> str:
        """One token for people to read: a part of a character is U+FFFD, a control token its name."""
        return self.token_bytes(token).decode("utf-8", "replace")

    @property
    def has_chat_template(self) -> bool:
        return self.config.chat_template is not None

    def encode(self, text: str, *, bos: bool | None = None) -> list[int]:
        """Tokens of a plain prompt. `bos` None: begin as the model was trained to."""
        begins = self.add_bos if bos is None else bos
        head = [self.bos_id] if begins and self.bos_id is not None else []
        return head + self._encode_text(text)

    def render_chat(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The conversation as the template writes it, up to where the assistant speaks."""
        if self.config.chat_template is None:
            raise TokenizerError("This model has no chat template: send a plain prompt.")
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise_exception
        try:
            return environment.from_string(self.config.chat_template).render(
                messages=[dict(message) for message in messages],
                add_generation_prompt=True,
                bos_token=self.config.bos_token or "",
                eos_token=self.config.eos_token or "",
            )
        except jinja2.TemplateError as error:
            raise TokenizerError(f"The chat template refuses this conversation: {error}") from error

    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of a conversation in which only the template's own control tokens count.

        Before rendering, each control token in a message becomes one private-use character that
        occurs nowhere in the conversation. What then still reads as a control token was written by
        the template. The pieces between are encoded as plain text, the people's words restored:
        a user who writes `<|im_end|>` says those ten characters and ends no turn.
        """
        stand_ins = self._stand_ins(messages)
        rendered = self.render_chat([_replace_all(m, self._controls, stand_ins) for m in messages])
        restore = {ord(mark): token for token, mark in stand_ins.items()}
        ids: list[int] = []
        for piece in self._controls.split(rendered):
            if piece in self.control_tokens:
                ids.append(self.control_tokens[piece])
            elif piece:
                ids += self._encode_text(piece.translate(restore))
        return ids

    @cached_property
    def _controls(self) -> re.Pattern[str]:
        """Matches a control token, the longest first; the group makes `split` keep it."""
        longest_first = sorted(filter(None, self.control_tokens), key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")

    def _stand_ins(self, messages: Sequence[Mapping[str, str]]) -> dict[str, str]:
        used = {char for message in messages for text in message.values() for char in text}
        free = (chr(point) for point in PRIVATE_USE if chr(point) not in used)
        return dict(zip(self.control_tokens, free, strict=False))


class SentencePieceTokenizer(Tokenizer):
    def __init__(self, path: Path, config: TokenizerConfig) -> None:
        super().__init__(config)
        try:
            self._pieces = SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise TokenizerError(f"{path.name} is not a sentencepiece model.") from error
        pieces = self._pieces
        self.vocab_size = pieces.vocab_size()
        self.control_tokens = {
            pieces.id_to_piece(i): i for i in range(self.vocab_size) if pieces.is_control(i)
        }
        self.bos_id = pieces.bos_id() if pieces.bos_id() >= 0 else None
        eos = {pieces.eos_id()} | {self.control_tokens.get(config.eos_token or "", -1)}
        self.eos_ids = frozenset(eos - {-1}) | config.extra_eos_ids
        self.add_bos = True if config.add_bos is None else config.add_bos

    def _encode_text(self, text: str) -> list[int]:
        return self._pieces.encode(text)

    def token_bytes(self, token: int) -> bytes:
        if token >= self.vocab_size:
            return b""
        return _piece_bytes(self._pieces.id_to_piece(token))

    def decode(self, ids: Sequence[int]) -> str:
        # A model's embedding may be padded beyond the tokenizer: such tokens have no text.
        return self._pieces.decode([i for i in ids if i < self.vocab_size])


class JsonTokenizer(Tokenizer):
    def __init__(self, path: Path, config: TokenizerConfig) -> None:
        super().__init__(config)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise TokenizerError(f"{path.name} cannot be read: {error}") from error
        # Control tokens in text are spelt out as text; only `encode_chat` writes real ones.
        self._tokenizer.encode_special_tokens = True
        self.vocab_size = self._tokenizer.get_vocab_size()
        added = self._tokenizer.get_added_tokens_decoder()
        self.control_tokens = {token.content: i for i, token in added.items() if token.special}
        self.bos_id = self._id(config.bos_token)
        eos_id = self._id(config.eos_token)
        self.eos_ids = config.extra_eos_ids | ({eos_id} if eos_id is not None else frozenset())
        if not self.eos_ids:
            raise TokenizerError(
                "Nothing says which token ends a text: put tokenizer_config.json with an "
                "eos_token beside tokenizer.json."
            )
        self.add_bos = self._adds_bos() if config.add_bos is None else config.add_bos

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self._tokenizer.token_to_id(token)

    def _adds_bos(self) -> bool:
        """Whether tokenizer.json's own post-processor begins a text with the bos token."""
        return self.bos_id is not None and self._tokenizer.encode("").ids[:1] == [self.bos_id]

    def _encode_text(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    @cached_property
    def _is_byte_level(self) -> bool:
        return '"ByteLevel"' in json.dumps(json.loads(self._tokenizer.to_str())["decoder"])

    def token_bytes(self, token: int) -> bytes:
        piece = self._tokenizer.id_to_token(token)
        if piece is None:
            return b""
        if piece in self.control_tokens or not self._is_byte_level:
            return _piece_bytes(piece)
        table = _byte_of_character()
        # A token added beside the vocabulary is written as it is.
        return b"".join(bytes([table[c]]) if c in table else c.encode() for c in piece)

    def decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """The folder's tokenizer: `tokenizer.json` where there is one, else `tokenizer.model`."""
    folder = Path(folder)
    config = _read_config(folder)
    if (folder / "tokenizer.json").is_file():
        return JsonTokenizer(folder / "tokenizer.json", config)
    if (folder / "tokenizer.model").is_file():
        return SentencePieceTokenizer(folder / "tokenizer.model", config)
    raise TokenizerError(f"{folder.name} holds neither tokenizer.json nor tokenizer.model.")


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


def _read_config(folder: Path) -> TokenizerConfig:
    config = _read_json(folder / "tokenizer_config.json")
    extra = _read_json(folder / "generation_config.json").get("eos_token_id")
    template_file = folder / "chat_template.jinja"
    template = template_file.read_text("utf-8") if template_file.is_file() else None
    return TokenizerConfig(
        bos_token=_token_text(config.get("bos_token")),
        eos_token=_token_text(config.get("eos_token")),
        add_bos=config.get("add_bos_token"),
        extra_eos_ids=frozenset(extra if isinstance(extra, list) else [extra]) - {None},
        chat_template=template or _default_template(config.get("chat_template")),
    )


def _token_text(token: Any) -> str | None:
    """A token is written as its text, or as an object with its text in `content`."""
    return token["content"] if isinstance(token, dict) else token


def _default_template(template: Any) -> str | None:
    """A template, or a list of named ones of which `default` counts."""
    if not isinstance(template, list):
        return template
    return next((t["template"] for t in template if t["name"] == "default"), None)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise TokenizerError(f"{path.name} is not valid JSON: {error}") from error


def _replace_all(
    message: Mapping[str, str], controls: re.Pattern[str], stand_ins: Mapping[str, str]
) -> dict[str, str]:
    return {k: controls.sub(lambda found: stand_ins[found[0]], v) for k, v in message.items()}


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


def _raise_exception(message: str) -> None:
    """Chat templates call this when a conversation is not one they can write."""
    raise jinja2.TemplateError(message)
