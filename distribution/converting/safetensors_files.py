"""Writing `.safetensors` files: length, header, raw bytes. Nothing but one block is in memory."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

from distribution.converting.made import Made, made_text
from distribution.converting.tensors import Whole

INDEX = "model.safetensors.index.json"


def files(tensors: Mapping[str, Whole], *, most: int) -> list[Made]:
    """The tensors in as few files as hold at most `most` bytes each, with their index."""
    groups = _groups(tensors, most)
    if len(groups) == 1:
        return [_file("model.safetensors", groups[0])]
    names = [f"model-{n:05d}-of-{len(groups):05d}.safetensors" for n in range(1, len(groups) + 1)]
    weight_map = {
        tensor: name for name, group in zip(names, groups, strict=True) for tensor in group
    }
    index = {
        "metadata": {"total_size": sum(tensor.size for tensor in tensors.values())},
        "weight_map": dict(sorted(weight_map.items())),
    }
    made = [_file(name, group) for name, group in zip(names, groups, strict=True)]
    return [*made, made_text(INDEX, json.dumps(index, indent=2) + "\n")]


def _groups(tensors: Mapping[str, Whole], most: int) -> list[dict[str, Whole]]:
    """In order; a tensor that is larger than `most` has a file to itself."""
    groups: list[dict[str, Whole]] = [{}]
    room = most
    for name, tensor in tensors.items():
        if tensor.size > room and groups[-1]:
            groups.append({})
            room = most
        groups[-1][name] = tensor
        room -= tensor.size
    return groups


def _file(name: str, tensors: Mapping[str, Whole]) -> Made:
    header = _header(tensors)
    size = len(header) + sum(tensor.size for tensor in tensors.values())
    return Made(name, size, lambda target: _write(target, header, tensors))


def _header(tensors: Mapping[str, Whole]) -> bytes:
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, tensor in tensors.items():
        span = [position, position + tensor.size]
        table[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": span}
        position = span[1]
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors begin on a multiple of eight
    return struct.pack("<Q", len(text)) + text


def _write(target: Path, header: bytes, tensors: Mapping[str, Whole]) -> None:
    with target.open("wb") as file:
        file.write(header)
        for tensor in tensors.values():
            file.writelines(tensor.blocks())
