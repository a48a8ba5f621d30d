"""What must lie in a folder so that the engine runs it: which files, and which tensors in them.

Two layouts: the original one (`params.json`, `consolidated.NN.pth`, one file per model-parallel
rank) and the safetensors one (`config.json`, Hugging Face names). Imports no torch: publishing asks with
the same functions, of headers alone, whether the engine will run a set of files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from inference_sandbox.engine.params import (
    LLAMA_CONTEXT,
    CheckpointError,
    ModelArgs,
    args_from_config,
    args_from_params,
)

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
# The output layer. Some save it although the description says that it is the embedding.
OUTPUT = "output.weight"

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
# As torch and as safetensors write them. A quantised tensor would convert, and mean nothing.
FLOATING = frozenset(
    {"torch.float64", "torch.float32", "torch.float16", "torch.bfloat16"}
    | {"F64", "F32", "F16", "BF16"}
)
SHARD = re.compile(r"consolidated\.(\d{2,})\.pth")
INDEX = "model.safetensors.index.json"


class Described(Protocol):
    """A tensor, or what a header says of one."""

    @property
    def dtype(self) -> Any: ...

    @property
    def shape(self) -> Any: ...


Header = Mapping[str, Described]


def read_args(
    folder: Path, *, tokenizer_vocab_size: int | None = None, context: int = LLAMA_CONTEXT
) -> ModelArgs:
    """The architecture that the folder describes, without opening any weights.

    context: of a model whose description does not say it.
    """
    if is_original(folder):
        params = read_json(folder / "params.json")
        return args_from_params(params, tokenizer_vocab_size, context=context)
    if (folder / "config.json").is_file():
        return args_from_config(read_json(folder / "config.json"), context=context)
    raise CheckpointError("the folder holds neither params.json nor config.json.")


def is_original(folder: Path) -> bool:
    """Whether the folder is read in the original layout: of two layouts that one is."""
    if not (folder / "params.json").is_file():
        return False
    has_shards = any(SHARD.fullmatch(path.name) for path in folder.iterdir())
    return has_shards or not (folder / "config.json").is_file()


def shard_paths(folder: Path) -> list[Path]:
    """The files of the original layout, one a rank, in order."""
    paths = sorted(folder.glob("consolidated.*.pth"))
    if not paths:
        raise CheckpointError("the folder holds params.json but no consolidated.NN.pth.")
    wanted = [f"consolidated.{number:02d}.pth" for number in range(len(paths))]
    found = [path.name for path in paths]
    if found != wanted:
        missing = sorted(set(wanted) - set(found)) or wanted
        raise CheckpointError(
            f"The shards are not numbered without a gap: found {', '.join(found)}; "
            f"missing {', '.join(missing)}."
        )
    return paths


def safetensors_files(folder: Path) -> list[str]:
    """The files of the safetensors layout, as the index names them where there is one."""
    if not (folder / INDEX).is_file():
        if not (folder / "model.safetensors").is_file():
            raise CheckpointError(f"the folder has neither model.safetensors nor {INDEX}.")
        return ["model.safetensors"]
    weight_map = read_json(folder / INDEX).get("weight_map", {})
    for file in weight_map.values():
        if Path(file).name != file:
            raise CheckpointError(f"{INDEX} points outside its folder: {file!r}.")
    return sorted(set(weight_map.values()))


def expected_shapes(args: ModelArgs, *, with_output: bool = False) -> dict[str, tuple[int, ...]]:
    """Name and full shape of every tensor of the model.

    with_output: the output layer is there, also where it could be the embedding.
    """
    kv_dim, dim, hidden = args.n_kv_heads * args.head_dim, args.dim, args.hidden_dim
    layer = {
        "attention.wq": (args.q_dim, dim),
        "attention.wk": (kv_dim, dim),
        "attention.wv": (kv_dim, dim),
        "attention.wo": (dim, args.q_dim),
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
    if with_output or not args.tied:
        shapes[OUTPUT] = (args.vocab_size, dim)
    return shapes


def hugging_face_name(name: str) -> str:
    """`layers.0.attention.wq.weight` → `model.layers.0.self_attn.q_proj.weight`."""
    module = name.removesuffix(".weight")
    layer = re.fullmatch(r"layers\.(\d+)\.(.+)", module)
    if layer is None:
        return f"{HUGGING_FACE_NAMES[module]}.weight"
    return f"model.layers.{layer[1]}.{HUGGING_FACE_NAMES[layer[2]]}.weight"


def check_original(args: ModelArgs, shards: Mapping[str, Header]) -> dict[str, int | None]:
    """The dimension along which each tensor is cut, None where every shard has all of it.

    Raises CheckpointError unless the shards, by their file, are this model's.
    """
    expected = expected_shapes(args, with_output=any(OUTPUT in shard for shard in shards.values()))
    for file, shard in shards.items():
        _check_names(file, shard, expected)
    return {
        name: _cut(name, shape, {file: shard[name] for file, shard in shards.items()})
        for name, shape in expected.items()
    }


def check_safetensors(args: ModelArgs, files: Mapping[str, Header]) -> dict[str, tuple[str, str]]:
    """Of each tensor of the model the file that holds it, and its name there.

    Raises CheckpointError unless the files hold this model's tensors, and no more.
    """
    found = {
        name: (file, tensor) for file, header in files.items() for name, tensor in header.items()
    }
    expected = expected_shapes(args, with_output=hugging_face_name(OUTPUT) in found)
    places = {name: hugging_face_name(name) for name in expected}
    _check_names("the weights", found, places.values())
    for name, theirs in places.items():
        _check_tensor(theirs, *found[theirs], expected[name])
    return {name: (found[theirs][0], theirs) for name, theirs in places.items()}


def _cut(name: str, shape: tuple[int, ...], parts: Mapping[str, Described]) -> int | None:
    dims = SPLITS.get(name.split(".")[-2]) if len(parts) > 1 else None
    if dims is None:
        # The ranks of some checkpoints, LLaMA 3 70B's say, differ in their norms; the first one counts.
        for file, part in parts.items():
            _check_tensor(name, file, part, shape)
        return None
    shapes = _part_shapes(name, shape, dims, len(parts))
    first = tuple(next(iter(parts.values())).shape)
    dim = next((d for d in shapes if shapes[d] == first), next(iter(shapes)))
    for file, part in parts.items():
        _check_tensor(name, file, part, shapes[dim])
    return dim


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


def _check_names(where: str, found: Iterable[str], expected: Iterable[str]) -> None:
    names = {name for name in found if not name.endswith(DERIVED)}
    if missing := sorted(set(expected) - names):
        raise CheckpointError(f"{where} lacks {_some(missing)}.")
    if unexpected := sorted(names - set(expected)):
        raise CheckpointError(
            f"{where} holds tensors this model does not have: {_some(unexpected)}."
        )


def _check_tensor(name: str, file: str, tensor: Described, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise CheckpointError(
            f"{name} in {file} has shape {tuple(tensor.shape)}; params say {shape}."
        )
    if str(tensor.dtype) not in FLOATING:
        raise CheckpointError(f"{name} in {file} is {tensor.dtype}, not floating point.")


def _some(names: list[str], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} must be a JSON object.")
    return content
