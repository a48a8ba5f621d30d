"""Reads weights from a folder, strictly: what is missing, left over or misshapen is an error.

Two layouts: the original one (`params.json`, `consolidated.NN.pth`, one file per model-parallel
rank) and the safetensors one (`config.json`, Hugging Face names). Both become tensors under the
original names, in the original rotary order.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from inference_sandbox.engine.model import ModelArgs
from inference_sandbox.engine.params import (
    LLAMA_CONTEXT,
    CheckpointError,
    args_from_config,
    args_from_params,
)

__all__ = ["Checkpoint", "CheckpointError", "load_checkpoint", "read_args"]

# Which dimension the ranks share out (None: each rank holds a full copy). The embedding is cut
# across its width by LLaMA 1 and 2, and across the vocabulary by LLaMA 3: the shapes tell which.
SPLITS: dict[str, tuple[int, ...]] = {
    "wq": (0,),
    "wk": (0,),
    "wv": (0,),
    "w1": (0,),
    "w3": (0,),
    "output": (0,),
    "wo": (1,),
    "w2": (1,),
    "tok_embeddings": (1, 0),
}
# The rotary table that old checkpoints carry along: it follows from the parameters.
DERIVED = ("rope.freqs", "rotary_emb.inv_freq")

HUGGING_FACE_NAMES = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
}


@dataclass(frozen=True)
class Checkpoint:
    args: ModelArgs
    weights: dict[str, Tensor]


def read_args(
    folder: Path, *, tokenizer_vocab_size: int | None = None, context: int = LLAMA_CONTEXT
) -> ModelArgs:
    """The architecture that the folder describes, without opening any weights.

    context: of a model whose description does not say it.
    """
    if (folder / "params.json").is_file():
        params = _read_json(folder / "params.json")
        return args_from_params(params, tokenizer_vocab_size, context=context)
    if (folder / "config.json").is_file():
        return args_from_config(_read_json(folder / "config.json"), context=context)
    raise CheckpointError(f"{folder.name} holds neither params.json nor config.json.")


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
    original = (folder / "params.json").is_file()
    tensors = _merged_shards(folder, args) if original else _safetensors(folder, args)
    # One tensor at a time: at the peak, memory holds the model and a single tensor beside it.
    weights = {name: tensor.to(device=device, dtype=dtype) for name, tensor in tensors}
    return Checkpoint(args, weights)


def expected_shapes(args: ModelArgs) -> dict[str, tuple[int, ...]]:
    """Name and full shape of every tensor of the model."""
    kv_dim, dim, hidden = args.n_kv_heads * args.head_dim, args.dim, args.hidden_dim
    layer = {
        "attention.wq": (dim, dim),
        "attention.wk": (kv_dim, dim),
        "attention.wv": (kv_dim, dim),
        "attention.wo": (dim, dim),
        "feed_forward.w1": (hidden, dim),
        "feed_forward.w2": (dim, hidden),
        "feed_forward.w3": (hidden, dim),
        "attention_norm": (dim,),
        "ffn_norm": (dim,),
    }
    shapes: dict[str, tuple[int, ...]] = {"tok_embeddings.weight": (args.vocab_size, dim)}
    for number in range(args.n_layers):
        shapes |= {f"layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    shapes["norm.weight"] = (dim,)
    if not args.tied:
        shapes["output.weight"] = (args.vocab_size, dim)
    return shapes


# --- the original layout ------------------------------------------------------------------------


def _merged_shards(folder: Path, args: ModelArgs) -> Iterator[tuple[str, Tensor]]:
    paths = _shard_paths(folder)
    shards = [_open_shard(path) for path in paths]
    expected = expected_shapes(args)
    for path, shard in zip(paths, shards, strict=True):
        _check_names(path.name, shard.keys(), expected.keys())
    for name, shape in expected.items():
        parts = {path.name: shard[name] for path, shard in zip(paths, shards, strict=True)}
        yield name, _merge(name, shape, parts)


def _shard_paths(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("consolidated.*.pth"))
    if not paths:
        raise CheckpointError(f"{folder.name} holds params.json but no consolidated.NN.pth.")
    wanted = [f"consolidated.{number:02d}.pth" for number in range(len(paths))]
    found = [path.name for path in paths]
    if found != wanted:
        missing = sorted(set(wanted) - set(found)) or wanted
        raise CheckpointError(
            f"The shards are not numbered without a gap: found {', '.join(found)}; "
            f"missing {', '.join(missing)}."
        )
    return paths


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


def _merge(name: str, shape: tuple[int, ...], parts: Mapping[str, Tensor]) -> Tensor:
    """One full tensor from its parts, keyed by the file each part comes from."""
    first, *others = parts.values()
    dims = SPLITS.get(name.split(".")[-2])
    if dims is None or not others:
        _check_replicas(name, shape, parts)
        return first
    shapes = _part_shapes(name, shape, dims, len(parts))
    dim = next((d for d in shapes if shapes[d] == tuple(first.shape)), next(iter(shapes)))
    for file, part in parts.items():
        _check_shape(name, file, part, shapes[dim])
    return torch.cat(list(parts.values()), dim)


def _check_replicas(name: str, shape: tuple[int, ...], parts: Mapping[str, Tensor]) -> None:
    first = next(iter(parts.values()))
    for file, part in parts.items():
        _check_shape(name, file, part, shape)
        if part is not first and not torch.equal(part, first):  # NaN is not equal to itself
            raise CheckpointError(
                f"{name} must be the same in every shard, but {file} differs from the first."
            )


def _part_shapes(
    name: str, shape: tuple[int, ...], dims: tuple[int, ...], parts: int
) -> dict[int, tuple[int, ...]]:
    """Dimension → shape of one part, for each dimension that the parts can share evenly."""
    shapes = {
        dim: (*shape[:dim], shape[dim] // parts, *shape[dim + 1 :])
        for dim in dims
        if shape[dim] % parts == 0
    }
    if not shapes:
        raise CheckpointError(f"{name} of shape {shape} cannot be cut evenly into {parts} shards.")
    return shapes


# --- the safetensors layout ---------------------------------------------------------------------


def _safetensors(folder: Path, args: ModelArgs) -> Iterator[tuple[str, Tensor]]:
    expected = expected_shapes(args)
    ours = {hugging_face_name(name): name for name in expected}
    files = _safetensors_files(folder)
    found = [n for names in files.values() for n in names if not n.endswith(DERIVED)]
    _check_names(folder.name, found, ours.keys())
    for file, names in files.items():
        with _open_safetensors(folder / file) as tensors:
            for name in ours.keys() & names:
                tensor = tensors.get_tensor(name)
                _check_shape(name, file, tensor, expected[ours[name]])
                yield ours[name], _to_original_rotary(ours[name], tensor, args)


def hugging_face_name(name: str) -> str:
    """`layers.0.attention.wq.weight` → `model.layers.0.self_attn.q_proj.weight`."""
    module = name.removesuffix(".weight")
    layer = re.fullmatch(r"layers\.(\d+)\.(.+)", module)
    if layer is None:
        return f"{HUGGING_FACE_NAMES[module]}.weight"
    return f"model.layers.{layer[1]}.{HUGGING_FACE_NAMES[layer[2]]}.weight"


def _safetensors_files(folder: Path) -> dict[str, set[str]]:
    """File name → names of the tensors in it; an index, where there is one, must agree."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return {"model.safetensors": _safetensors_names(folder / "model.safetensors")}
    promised: dict[str, set[str]] = {}
    for tensor, file in _read_json(index).get("weight_map", {}).items():
        if Path(file).name != file:
            raise CheckpointError(f"{index.name} points outside its folder: {file!r}.")
        promised.setdefault(file, set()).add(tensor)
    for file, names in promised.items():
        _check_names(file, _safetensors_names(folder / file), names)
    return promised


def _safetensors_names(path: Path) -> set[str]:
    with _open_safetensors(path) as tensors:
        return set(tensors.keys())


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


# --- checks -------------------------------------------------------------------------------------


def _check_names(where: str, found: Iterable[str], expected: Iterable[str]) -> None:
    if missing := sorted(set(expected) - set(found)):
        raise CheckpointError(f"{where} lacks {_some(missing)}.")
    if unexpected := sorted(set(found) - set(expected)):
        raise CheckpointError(
            f"{where} holds tensors this model does not have: {_some(unexpected)}."
        )


def _check_shape(name: str, file: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise CheckpointError(
            f"{name} in {file} has shape {tuple(tensor.shape)}; params say {shape}."
        )
    # A quantised tensor would convert without complaint, and mean nothing.
    if not tensor.is_floating_point():
        raise CheckpointError(f"{name} in {file} is {tensor.dtype}, not floating point.")


def _some(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} must be a JSON object.")
    return content
