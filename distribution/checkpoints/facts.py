"""What a folder of weights says of the model: the numbers that the catalogue shows."""

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

from distribution.checkpoints.headers import read_header
from distribution.checkpoints.layouts import DERIVED, read_json, shards_of
from distribution.checkpoints.shapes import MOST, original_shapes, safetensors_shapes

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

    LLaMA's own params.json names no context length, and another architecture may name things
    otherwise: such a field is left out.
    """
    files = set(files)
    original, described = "params.json" in files, "config.json" in files
    params = read_json(folder / "params.json") if original else {}
    config = read_json(folder / "config.json") if described else {}
    found = {
        field: _whole(params, one) or _whole(config, two) for field, (one, two) in KEYS.items()
    }
    facts = {field: number for field, number in found.items() if number}
    if original:
        shards = shards_of(folder)
        facts["model_parallel"] = len(shards)
        embedding = read_header(shards[0]).get("tok_embeddings.weight")
        shapes = original_shapes(params, embedding=embedding, shards=len(shards))
    else:
        shapes = safetensors_shapes(config) or _shapes(folder, files)
    return facts | {"parameters": sum(map(prod, shapes.values()))}


def _shapes(folder: Path, files: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Of the tensors that are there: of an architecture whose shapes are not known here."""
    weights = sorted(file for file in files if file.endswith(".safetensors") and "/" not in file)
    return {
        name: tensor.shape
        for file in weights
        for name, tensor in read_header(folder / file).items()
        if not name.endswith(DERIVED)
    }


def _whole(values: dict[str, Any], key: str) -> int | None:
    value = values.get(key)
    return value if type(value) is int and 0 < value <= MOST else None
