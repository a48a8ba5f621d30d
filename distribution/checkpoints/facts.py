"""What a folder of weights says of the model: the numbers that the catalogue shows."""

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

from distribution.checkpoints.common import read_json
from distribution.checkpoints.headers import Tensor, read_header
from distribution.checkpoints.layouts import DERIVED, has_model_files, layout_of, shards_of
from distribution.checkpoints.shapes import (
    MOST,
    is_packed,
    is_plain_llama,
    original_shapes,
    safetensors_shapes,
)
from distribution.models import Revision

Facts = dict[str, int]
# field of the catalogue → its key in params.json, and in config.json
KEYS = {
    "dimension": ("dim", "hidden_size"),
    "heads": ("n_heads", "num_attention_heads"),
    "layers": ("n_layers", "num_hidden_layers"),
    "context_length": ("max_seq_len", "max_position_embeddings"),
}


def facts_of(folder: Path, files: Iterable[str]) -> Facts:
    """Field of the catalogue → number, as far as the folder, which was validated, says it.

    LLaMA's own params.json names no context length, another architecture may name things otherwise, and
    the tensors of quantised weights and adapters are no parameters to be counted: such a field is left out.
    """
    files = set(files)
    original, described = "params.json" in files, "config.json" in files
    params = read_json(folder / "params.json") if original else {}
    config = read_json(folder / "config.json") if described else {}
    found = {
        field: _whole(params, one) or _whole(config, two) for field, (one, two) in KEYS.items()
    }
    facts = {field: number for field, number in found.items() if number}
    if layout_of(folder, files) == Revision.Layout.ORIGINAL:
        shards = shards_of(folder)
        facts["model_parallel"] = len(shards)
        shapes = _original_shapes(params, shards)
    else:
        shapes = _shapes(folder, files, config)
    return facts | ({"parameters": sum(map(prod, shapes.values()))} if shapes else {})


Shapes = dict[str, tuple[int, ...]]


def _original_shapes(params: dict[str, Any], shards: list[Path]) -> Shapes:
    if not is_plain_llama(params):
        return {}
    embedding = read_header(shards[0]).get("tok_embeddings.weight")
    return original_shapes(params, embedding=embedding, shards=len(shards))


def _shapes(folder: Path, files: set[str], config: dict[str, Any]) -> Shapes:
    """As LLaMA's config.json makes them; of another architecture those of the tensors that are there."""
    weights = sorted(file for file in files if file.endswith(".safetensors") and "/" not in file)
    header: dict[str, Tensor] = {}
    for file in weights:
        header |= read_header(folder / file)
    if not has_model_files(files) or is_packed(config, header):
        return {}
    found = {name: tensor.shape for name, tensor in header.items() if not name.endswith(DERIVED)}
    return safetensors_shapes(config) or found


def _whole(values: dict[str, Any], key: str) -> int | None:
    value = values.get(key)
    return value if type(value) is int and 0 < value <= MOST else None
