"""Whether our engine runs a set of files, found out when the set is published: by headers, without torch.

The engine's own functions answer, those that it loads a model with. What they do not mind here, it loads.
"""

import logging
from pathlib import Path

from distribution.checkpoints import read_header
from distribution.errors import PublishError
from distribution.sandbox_notes import Notes
from inference_sandbox.engine import layouts
from inference_sandbox.engine.params import CheckpointError, VocabularyUnknownError
from inference_sandbox.engine.tokenizer import TokenizerError, load_tokenizer

log = logging.getLogger(__name__)
LONGEST = 300  # characters of a cause


def notes_of(folder: Path) -> Notes:
    """Why the engine cannot run the folder, by part, as it follows "because"; empty: it can."""
    notes: Notes = {}
    vocab_size = None
    try:
        vocab_size = load_tokenizer(folder).vocab_size
    except TokenizerError as error:
        notes["tokenizer"] = _cause(error)
    except Exception as error:  # a library's, over a file that it does not understand
        log.warning("the tokenizer of %s cannot be used: %r", folder, error)
        notes["tokenizer"] = "its tokenizer cannot be read."
    try:
        _check_model(folder, vocab_size)
    except VocabularyUnknownError:
        log.debug("the tokenizer's fault, which is noted")
    except (CheckpointError, PublishError) as error:
        notes["model"] = _cause(error)
    return notes


def _check_model(folder: Path, vocab_size: int | None) -> None:
    args = layouts.read_args(folder, tokenizer_vocab_size=vocab_size)
    if layouts.is_original(folder):
        shards = {path.name: read_header(path) for path in layouts.shard_paths(folder)}
        layouts.check_original(args, shards)
        return
    files = {file: read_header(folder / file) for file in layouts.safetensors_files(folder)}
    layouts.check_safetensors(args, files)


def _cause(error: Exception) -> str:
    """In one line that goes on from "because"."""
    line = " ".join(str(error).split())
    if line[:1].isupper() and line[1:2].islower():
        line = line[0].lower() + line[1:]
    line = line if len(line) <= LONGEST else f"{line[:LONGEST].rstrip()}…"
    return line if line.endswith((".", "…")) else f"{line}."
