"""Reads weights from a folder, strictly: what is missing, left over or misshapen is an error.

Both layouts (see `layouts.py`) become tensors under the original names, in the original rotary order.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from inference_sandbox.engine.layouts import (
    DERIVED,
    OUTPUT,
    check_original,
    check_safetensors,
    is_original,
    read_args,
    safetensors_files,
    shard_paths,
)
from inference_sandbox.engine.params import LLAMA_CONTEXT, CheckpointError, ModelArgs

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    args: ModelArgs
    weights: dict[str, Tensor]


def load_checkpoint(
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    tokenizer_vocab_size: int | None = None,
    context: int = LLAMA_CONTEXT,
) -> Checkpoint:
    """Every tensor of the model, merged, in `dtype` on `device`. Raises CheckpointError."""
    args = read_args(folder, tokenizer_vocab_size=tokenizer_vocab_size, context=context)
    original = is_original(folder)
    tensors = _merged_shards(folder, args) if original else _safetensors(folder, args)
    # One tensor at a time: at the peak, memory holds the model and a single tensor beside it.
    weights = {name: tensor.to(device=device, dtype=dtype) for name, tensor in tensors}
    if args.tied and OUTPUT in weights:
        args = _untied(args, weights)
    return Checkpoint(args, weights)


def _untied(args: ModelArgs, weights: dict[str, Tensor]) -> ModelArgs:
    """As transformers does: an output layer that was saved counts, where it is not the embedding."""
    if torch.equal(weights[OUTPUT], weights["tok_embeddings.weight"]):
        del weights[OUTPUT]
        return args
    return replace(args, tied=False)


# --- the original layout ------------------------------------------------------------------------


def _merged_shards(folder: Path, args: ModelArgs) -> Iterator[tuple[str, Tensor]]:
    shards = {path.name: _open_shard(path) for path in shard_paths(folder)}
    for name, dim in check_original(args, shards).items():
        parts = [shard[name] for shard in shards.values()]
        yield name, parts[0] if dim is None else torch.cat(parts, dim)


def _open_shard(path: Path) -> dict[str, Tensor]:
    try:
        shard = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} is refused: it holds more than tensors, or is damaged. "
            f"({_first_line(error)})"
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {_first_line(error)}") from error
    if not isinstance(shard, dict) or not all(isinstance(v, Tensor) for v in shard.values()):
        raise CheckpointError(f"{path.name} is not a table of named tensors.")
    return {name: tensor for name, tensor in shard.items() if not name.endswith(DERIVED)}


# --- the safetensors layout ---------------------------------------------------------------------


class _Described(NamedTuple):
    dtype: str
    shape: tuple[int, ...]


def _safetensors(folder: Path, args: ModelArgs) -> Iterator[tuple[str, Tensor]]:
    files = {file: _header(folder / file) for file in safetensors_files(folder)}
    places = check_safetensors(args, files)
    for file in files:
        with _open_safetensors(folder / file) as tensors:
            for name, (there, theirs) in places.items():
                if there == file:
                    yield name, _to_original_rotary(name, tensors.get_tensor(theirs), args)


def _header(path: Path) -> dict[str, _Described]:
    with _open_safetensors(path) as tensors:
        parts = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
        return {
            name: _Described(part.get_dtype(), tuple(part.get_shape()))
            for name, part in parts.items()
        }


def _open_safetensors(path: Path) -> Any:  # safe_open's own stub leaves it untyped
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {_first_line(error)}") from error


def _to_original_rotary(name: str, tensor: Tensor, args: ModelArgs) -> Tensor:
    """Hugging Face rotates rows (i, i + D/2) of a head; the original rotates (2i, 2i + 1)."""
    heads = {"wq": args.n_heads, "wk": args.n_kv_heads}.get(name.split(".")[-2])
    if heads is None:
        return tensor
    return tensor.view(heads, 2, args.head_dim // 2, args.dim).transpose(1, 2).reshape(tensor.shape)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
