"""Text to tokens in any process: a revision's tokenizer, without its weights and without torch."""

import json
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from distribution.errors import StoreError
from distribution.models import Artifact, Revision
from distribution.stores import get_store
from inference_sandbox import stream
from inference_sandbox.models import Run

if TYPE_CHECKING:
    from inference_sandbox.engine.tokenizer import Tokenizer

DESCRIPTIONS = ("params.json", "config.json")  # of the model; the engine reads the first there is
UNKNOWN_CONTEXT = 2048  # of LLaMA 1, whose params.json does not name it
_loading = threading.Lock()


def configured_context(revision: Revision) -> int:
    """Tokens of one run that an engine is loaded for: what the model was made for, within the site's setting."""
    of_weights = revision.facts.get("context_length") or revision.release.context_length
    return min(of_weights or UNKNOWN_CONTEXT, settings.SANDBOX_CONTEXT)


def context_limit(revision: Revision) -> int:
    """Tokens of one run, prompt and answer together, that the engine takes: less than it was configured
    for where a worker found no memory for that many, or where another server computes and takes fewer.
    """
    limit = configured_context(revision)
    try:
        return min(limit, stream.context_of(revision.release.slug, revision.digest) or limit)
    except stream.StreamDown:  # which refuses whoever starts a run with it
        return limit


def tokenizer_of(revision: Revision) -> "Tokenizer":
    """The tokenizer of a revision, fetched from the store once and kept.

    Raises StoreError where the store does not give it, TokenizerError where it cannot be used.
    """
    with _loading:  # two requests at once fetch once
        return _load(revision.digest, revision.pk)


@lru_cache(maxsize=8)
def _load(digest: str, revision_id: int) -> "Tokenizer":
    from inference_sandbox.engine.tokenizer import load_tokenizer
    from inference_sandbox.engine.tokenizer_files import FILES

    folder = _folder(digest)
    store = get_store()
    for artifact in Artifact.objects.filter(revision=revision_id, path__in={*FILES, *DESCRIPTIONS}):
        if not (folder / artifact.path).exists():
            store.fetch(artifact.store_key, folder / artifact.path, sha256=artifact.sha256)
    return load_tokenizer(folder)


def _folder(digest: str) -> Path:
    return settings.SANDBOX_CACHE / "tokenizers" / digest


def vocab_size_of(revision: Revision) -> int:
    """How many tokens the model knows: its embedding's rows, which may be more than the tokenizer
    has, or fewer. Raises as `tokenizer_of`.
    """
    tokenizer = tokenizer_of(revision)
    return _embedding_rows(revision.digest) or tokenizer.vocab_size


@lru_cache(maxsize=64)
def _embedding_rows(digest: str) -> int | None:
    """None where the model's description leaves it to the tokenizer."""
    path = next((p for p in map(_folder(digest).joinpath, DESCRIPTIONS) if p.is_file()), None)
    rows = json.loads(path.read_bytes()).get("vocab_size") if path else None
    return rows if isinstance(rows, int) and rows > 0 else None


def encode(
    tokenizer: "Tokenizer",
    mode: str,
    prompt: str,
    messages: Sequence[Mapping[str, str]] = (),
    prompt_ids: Sequence[int] = (),
) -> list[int]:
    """The tokens that the model is given. Raises TokenizerError for a chat without a template."""
    if prompt_ids:
        return list(prompt_ids)
    if mode == Run.Mode.CHAT:
        return tokenizer.encode_chat(messages or [{"role": "user", "content": prompt}])
    return tokenizer.encode(prompt)


def of_run(tokenizer: "Tokenizer", run: Run) -> list[int]:
    """The tokens of a run's prompt."""
    return encode(tokenizer, run.mode, run.prompt, run.messages, run.prompt_ids)


def text_of(revision: Revision, token: int) -> str:
    """One token for people to read; only its number where the tokenizer cannot be had."""
    tokenizer = at_hand(revision)
    return tokenizer.token_text(token) if tokenizer else f"token {token}"


def decoded(revision: Revision, ids: Sequence[int]) -> str:
    """The text of the tokens; empty where the tokenizer cannot be had."""
    tokenizer = at_hand(revision)
    return tokenizer.decode(ids) if tokenizer else ""


def at_hand(revision: Revision) -> "Tokenizer | None":
    """The tokenizer for what is only to be shown: a page does without it."""
    from inference_sandbox.engine.tokenizer import TokenizerError

    try:
        return tokenizer_of(revision)
    except (StoreError, TokenizerError):
        return None
