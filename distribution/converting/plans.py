"""Which files the other layout of a folder has, and what is in them."""

import json
from pathlib import Path
from typing import Any

from distribution.checkpoints.common import read_json
from distribution.checkpoints.headers import Place, Tensor, places_in_pth, places_in_safetensors
from distribution.checkpoints.layouts import DERIVED, MODEL, SPLITS, shards_of
from distribution.checkpoints.shapes import (
    Shape,
    hugging_face_name,
    is_packed,
    original_shapes,
)
from distribution.converting import checklist, descriptions, pth_files, safetensors_files
from distribution.converting.made import Made, made_text
from distribution.converting.tensors import Whole, to_hugging_face, to_original
from distribution.errors import PublishError
from distribution.models import Revision

SHARD_SIZE = 5 * 10**9  # bytes of one safetensors file, as Hugging Face cuts them
FLOATS = frozenset({"F32", "F16", "BF16"})
VERSION = 1  # to be raised when the same input shall give other files


def convert(folder: Path, paths: list[str], *, to: str, ranks: int, shard_size: int) -> list[Made]:
    """The files to add to a folder, which was validated, so that it has the layout `to` as well.

    ranks: model-parallel shards of the original layout. shard_size: bytes of a safetensors file.
    Raises PublishError where the other layout is there, or cannot hold this model.
    """
    safetensors = to == Revision.Layout.SAFETENSORS
    made = _to_safetensors(folder, shard_size) if safetensors else _to_original(folder, ranks)
    taken = {path.lower() for path in paths}  # some systems tell no upper from lower case
    if there := sorted(file.path for file in made if file.path.lower() in taken):
        raise PublishError(
            f"The folder has {', '.join(there[:4])} already. Publish it without --also, or take "
            f"{'it' if len(there) == 1 else 'them'} out."
        )
    return made


def _to_safetensors(folder: Path, shard_size: int) -> list[Made]:
    params = read_json(folder / "params.json")
    shards = [_weights(places_in_pth(path)) for path in shards_of(folder)]
    descriptions.check_params(params)
    _check_floats(shards[0])
    shapes = original_shapes(
        params, embedding=_tensor(shards[0], "tok_embeddings.weight"), shards=len(shards)
    )
    tensors = {
        hugging_face_name(name): _joined(name, shape, [shard[name] for shard in shards], params)
        for name, shape in shapes.items()
    }
    ids = descriptions.token_ids(folder)
    dtype = shards[0]["tok_embeddings.weight"].tensor.dtype
    config = descriptions.config(params, shape=shapes, dtype=dtype, ids=ids)
    texts = {"config.json": config, "generation_config.json": {"_from_model_config": True, **ids}}
    tokenizer = descriptions.tokenizer_config(folder, config["max_position_embeddings"])
    if tokenizer is not None:
        texts["tokenizer_config.json"] = tokenizer
    return [
        *safetensors_files.files(tensors, most=shard_size),
        *(made_text(name, _json(content)) for name, content in texts.items()),
    ]


def _check_floats(places: dict[str, Place]) -> None:
    if any(place.tensor.dtype not in FLOATS for place in places.values()):
        raise _quantised()


def _quantised() -> PublishError:
    return PublishError(
        "The weights are quantised, and only those in floating point can be had in another layout. Publish "
        "the folder without --also."
    )


def _joined(name: str, shape: Shape, parts: list[Place], params: dict[str, Any]) -> Whole:
    """The tensor that the ranks share out, in Hugging Face's order."""
    fitting = (dim for dim in _dims(name) if parts[0].tensor.shape[dim] != shape[dim])
    dim = next(fitting, None)
    heads = params["n_heads"]
    order = {"wq": heads, "wk": params.get("n_kv_heads") or heads}.get(name.split(".")[-2])
    tensor = Whole(tuple(parts), dim)
    if order is None:
        return tensor
    return Whole(tuple(parts), dim, to_hugging_face(order, params["dim"] // heads))


def _to_original(folder: Path, ranks: int) -> list[Made]:
    config = read_json(folder / "config.json")
    if "LlamaForCausalLM" not in (config.get("architectures") or []):
        raise PublishError(
            "config.json is of another architecture than LLaMA's, which has no original layout."
        )
    places: dict[str, Place] = {}
    for path in sorted(path for path in folder.iterdir() if MODEL.fullmatch(path.name)):
        places |= _weights(places_in_safetensors(path))
    if is_packed(config, {name: place.tensor for name, place in places.items()}):
        raise _quantised()
    _check_floats(places)
    if "lm_head.weight" in places:  # saved, although the embedding may be the output layer
        config["tie_word_embeddings"] = False
    params = descriptions.params(config)
    shapes = original_shapes(params, embedding=None, shards=ranks)
    parts = {
        name: (_regrouped(name, places[hugging_face_name(name)], params), _cut(name, shape, ranks))
        for name, shape in shapes.items()
    }
    shards = [
        pth_files.file(
            f"consolidated.{rank:02d}.pth",
            {
                name: pth_files.part(tensor, dim, rank, ranks)
                for name, (tensor, dim) in parts.items()
            },
        )
        for rank in range(ranks)
    ]
    described = made_text("params.json", json.dumps(params) + "\n")
    return checklist.with_sums([*shards, described])


def _regrouped(name: str, place: Place, params: dict[str, Any]) -> Whole:
    """The tensor in the original order."""
    heads = {"wq": params["n_heads"], "wk": params["n_kv_heads"]}.get(name.split(".")[-2])
    if heads is None:
        return Whole((place,), None)
    return Whole((place,), None, to_original(heads, params["dim"] // params["n_heads"]))


def _cut(name: str, shape: Shape, ranks: int) -> int | None:
    """The dimension that the ranks share out; None: each has the whole."""
    dims = _dims(name)
    if not dims or ranks == 1:
        return None
    fitting = [dim for dim in dims if shape[dim] % ranks == 0]
    if not fitting:
        raise PublishError(
            f"{name} of shape {shape} cannot be cut into {ranks} shards. Correct `model-parallel "
            f"shards` of the release in the admin."
        )
    return fitting[0]


def _dims(name: str) -> tuple[int, ...]:
    return SPLITS.get(name.split(".")[-2], ())


def _weights(places: dict[str, Place]) -> dict[str, Place]:
    return {name: place for name, place in places.items() if not name.endswith(DERIVED)}


def _tensor(places: dict[str, Place], name: str) -> Tensor | None:
    return places[name].tensor if name in places else None


def _json(content: Any) -> str:
    return json.dumps(content, indent=2) + "\n"
