"""Keeps control tokens apart from text: in the vocabulary each gets a name that nobody can type.

Whatever the kind of vocabulary, a piece of text becomes a token because the token is spelt like
it. So no entry is left that is spelt like a control token; only our own code, which knows the
names, can write one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

# Code points with no meaning in Unicode: four of them drawn at random begin each name.
PRIVATE_USE = range(0xF0000, 0xFFFFE)
BARS = re.compile(r"<[|｜].+[|｜]>", re.DOTALL)
BRACKETS = re.compile(r"<.+>|\[.+\]", re.DOTALL)
PUNCTUATION = re.compile(r"[^\w\s▁]")


@dataclass(frozen=True)
class Vocabulary:
    """What decides which tokens are control tokens."""

    special: frozenset[str]  # as the files say: added as special, or named as bos, eos, …
    symbols: frozenset[str]  # added, or user-defined in sentencepiece, and not special
    pieces: Mapping[str, int]  # all of them
    template: str  # the chat template's source

    def control_tokens(self, end_ids: frozenset[int]) -> dict[str, int]:
        """Special tokens, and what has the part of one: written by the template, or ending a text.

        Symbols that are neither, such as runs of spaces or `<h1>`, are text.
        """
        found = set(self.special)
        found |= {symbol for symbol in self.symbols if self._is_written(symbol)}
        for piece, token in self.pieces.items():
            if BARS.fullmatch(piece) or (token in end_ids and BRACKETS.fullmatch(piece)):
                found.add(piece)
        return {piece: self.pieces[piece] for piece in sorted(found) if piece in self.pieces}

    def _is_written(self, symbol: str) -> bool:
        return len(symbol) > 2 and bool(PUNCTUATION.search(symbol)) and symbol in self.template


def secret_names(control_tokens: Iterable[str]) -> dict[str, str]:
    """Control token → its name: 64 random bits and its number."""
    secret = "".join(chr(secrets.choice(PRIVATE_USE)) for _ in range(4))
    numbers = product(map(chr, PRIVATE_USE), repeat=2)
    return {
        token: secret + "".join(number)
        for token, number in zip(control_tokens, numbers, strict=False)
    }


def rename(
    tokenizer: dict[str, Any],
    names: Mapping[str, str],
    ids: Mapping[str, int],
    end_ids: frozenset[int],
) -> None:
    """Give the control tokens their names throughout the description (that of tokenizer.json).

    Those that end a text become special tokens, which is to say that they are silent.
    """
    _rename_model(tokenizer["model"], names)
    cut_out = _rename_splits(tokenizer["pre_tokenizer"], names)
    added = tokenizer["added_tokens"]
    known = {token["content"] for token in added}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    for token in names.keys() - known:
        if token not in cut_out or ids[token] in end_ids:
            added.append({"id": ids[token], "content": token, "special": True, **flags})
    for token in added:
        if name := names.get(token["content"]):
            token["content"] = name
            token["special"] = token["special"] or token["id"] in end_ids


def _rename_model(model: dict[str, Any], names: Mapping[str, str]) -> None:
    if isinstance(model["vocab"], list):
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    else:
        model["vocab"] = {names.get(piece, piece): i for piece, i in model["vocab"].items()}
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if "merges" in model:  # none may build a control token out of text, or go on from one
        model["merges"] = [
            (left, right)
            for left, right in model["merges"]
            if not names.keys() & {left, right, _merged(left, right, model)}
        ]


def _merged(left: str, right: str, model: Mapping[str, Any]) -> str:
    return left + right.removeprefix(model.get("continuing_subword_prefix") or "")


def _rename_splits(pre_tokenizer: Any, names: Mapping[str, str]) -> set[str]:
    """Sentencepiece's user-defined symbols, which transformers cuts out by a pattern; those renamed."""
    escaped = {re.escape(token): token for token in names}
    renamed: set[str] = set()
    for step in (pre_tokenizer or {}).get("pretokenizers", ()):
        pattern = step.get("pattern", {})
        alternatives = re.split(r"(?<!\\)\|", pattern.get("Regex", ""))
        if found := escaped.keys() & set(alternatives):
            tokens = [names[escaped[each]] if each in found else each for each in alternatives]
            pattern["Regex"] = "|".join(tokens)
            renamed |= {escaped[each] for each in found}
    return renamed
