"""What a folder's files say of its tokenizer, read by transformers, which needs no torch for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2
from transformers import LlamaTokenizer, PreTrainedTokenizerFast

from inference_sandbox.engine.control_tokens import Vocabulary

SENTENCEPIECE = sentencepiece_model_pb2.ModelProto.SentencePiece
# What may be read here, besides the weights' own files; a folder has some of them.
FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "config.json",
    "chat_template.jinja",
)


class TokenizerError(ValueError):
    """The folder's tokenizer cannot be used, or a conversation cannot be rendered."""


@contextmanager
def library_errors(sentence: str) -> Iterator[None]:
    """Raise TokenizerError for whatever a library raises: files can be wrong in any way.

    A panic of the libraries' Rust is not an `Exception`, and its class cannot be imported.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise TokenizerError(f"{sentence}: {error}") from error
        raise


@dataclass(frozen=True)
class TokenizerConfig:
    """What the files beside the vocabulary say."""

    bos_token: str | None = None
    eos_token: str | None = None
    add_bos: bool | None = None
    end_ids: frozenset[int] = frozenset()
    chat_template: str | None = None


def load_files(folder: Path) -> tuple[PreTrainedTokenizerFast, TokenizerConfig, Vocabulary]:
    """The folder's tokenizer as transformers has it: `tokenizer.json`, else `tokenizer.model`."""
    file = next((folder / name for name in FILES[:2] if (folder / name).is_file()), None)
    if file is None:
        raise TokenizerError(f"{folder.name} holds neither tokenizer.json nor tokenizer.model.")
    named = _read_json(folder / "tokenizer_config.json")
    pieces = _sentencepieces(file) if file.suffix == ".model" else {}
    with library_errors(f"{file.name} cannot be read"):
        loaded = _class_for(file, named).from_pretrained(str(folder), local_files_only=True)
    config = TokenizerConfig(
        bos_token=loaded.bos_token,
        eos_token=loaded.eos_token,
        add_bos=named.get("add_bos_token", True if file.suffix == ".model" else None),
        end_ids=_end_ids(folder),
        chat_template=_default_template(loaded.chat_template),
    )
    return loaded, config, _vocabulary(loaded, pieces, set(_named(named)))


def _class_for(file: Path, named: dict[str, Any]) -> type[PreTrainedTokenizerFast]:
    """As AutoTokenizer chooses, which imports torch: LLaMA's own class builds its own pipeline."""
    name = str(named.get("tokenizer_class")).removesuffix("Fast")
    if name != "LlamaTokenizer":
        return PreTrainedTokenizerFast
    is_byte_level = file.suffix == ".json" and '"ByteLevel"' in file.read_text("utf-8")
    return PreTrainedTokenizerFast if is_byte_level else LlamaTokenizer


def _sentencepieces(path: Path) -> dict[str, int]:
    """Piece → its type."""
    try:
        model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    except DecodeError as error:
        raise TokenizerError(f"{path.name} is not a sentencepiece model.") from error
    return {piece.piece: piece.type for piece in model.pieces}


def _vocabulary(
    loaded: PreTrainedTokenizerFast, pieces: dict[str, int], named: set[str]
) -> Vocabulary:
    added = loaded.backend_tokenizer.get_added_tokens_decoder().values()
    special = {token.content for token in added if token.special} | named
    special |= {piece for piece, kind in pieces.items() if kind == SENTENCEPIECE.CONTROL}
    special |= set(loaded.special_tokens_map.values())
    symbols = {token.content for token in added if not token.special}
    symbols |= {piece for piece, kind in pieces.items() if kind == SENTENCEPIECE.USER_DEFINED}
    templates = loaded.chat_template or ""
    return Vocabulary(
        special=frozenset(special),
        symbols=frozenset(symbols),
        pieces=loaded.get_vocab(),
        template=templates if isinstance(templates, str) else "\0".join(templates.values()),
    )


def _named(config: dict[str, Any]) -> Iterator[str]:
    """The tokens that tokenizer_config.json names for a part: bos, eos, additional ones, …"""
    for key, value in config.items():
        if key.endswith(("_token", "_special_tokens")):
            several = (
                value.values() if isinstance(value, dict) and "content" not in value else value
            )
            for token in several if isinstance(several, (list, tuple)) else [several]:
                text = token.get("content") if isinstance(token, dict) else token
                if isinstance(text, str) and text:
                    yield text


def _end_ids(folder: Path) -> frozenset[int]:
    """`eos_token_id` of generation_config.json, or of config.json where there is no such file."""
    generation = folder / "generation_config.json"
    found = _read_json(generation if generation.is_file() else folder / "config.json")
    ids = found.get("eos_token_id")
    return frozenset(i for i in (ids if isinstance(ids, list) else [ids]) if type(i) is int)


def _default_template(template: str | dict[str, str] | None) -> str | None:
    """A template, or named ones of which `default` counts."""
    return template.get("default") if isinstance(template, dict) else template


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise TokenizerError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise TokenizerError(f"{path.name} must be a JSON object.")
    return found
