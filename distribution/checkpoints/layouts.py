"""Whether the files of a folder make one whole model: parameters, shards and tokenizer agree.

Of a plain LLaMA every tensor is known, and must be there. Of other architectures, quantised weights and
adapters the names and shapes are their own: their files must be whole, and all be there.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from distribution.checkpoints.common import read_json, some
from distribution.checkpoints.contents import check_content
from distribution.checkpoints.headers import Tensor, read_header
from distribution.checkpoints.indexes import check_indexes
from distribution.checkpoints.numbers import check_numbers
from distribution.checkpoints.shapes import (
    Shape,
    is_packed,
    is_plain_llama,
    original_shapes,
    safetensors_shapes,
)
from distribution.errors import PublishError
from distribution.models import Revision

SHARD = re.compile(r"consolidated\.(\d{2,})\.pth")
# The files of one model as from_pretrained looks for them; others are variants of it.
MODEL = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
INDEX = "model.safetensors.index.json"
# How a layer of LLaMA calls its tensors there: more of them than config.json says are another model's.
LAYER = re.compile(
    r"model\.layers\.(\d+)\.(self_attn|mlp|input_layernorm|post_attention_layernorm)\..*"
)
WEIGHTS = (*(".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".gguf", ".onnx", ".msgpack", ".npy"),)
TOKENIZERS = ("tokenizer.model", "tokenizer.json")
# The rotary table that old checkpoints carry along; it follows from the parameters.
DERIVED = ("rope.freqs", "rotary_emb.inv_freq")
# Which dimension the ranks share out. The embedding is cut across its width by LLaMA 1 and 2, and
# across the vocabulary by LLaMA 3; norms (not named here) are whole in every shard.
SPLITS = {
    **dict.fromkeys(("wq", "wk", "wv", "w1", "w3", "output"), (0,)),
    **dict.fromkeys(("wo", "w2"), (1,)),
    "tok_embeddings": (1, 0),
}

Header = dict[str, Tensor]


def layouts_of(paths: Iterable[str]) -> set[str]:
    """The layouts that have weights among these files."""
    ends = {".pth": "original", ".safetensors": "safetensors"}
    return {layout for path in paths for end, layout in ends.items() if path.endswith(end)}


def validate(
    folder: Path, files: list[str], *, model_parallel: int | None, with_code: bool = False
) -> Revision.Layout:
    """Which layout the folder has, once everything in it was found whole. Raises PublishError.

    A folder may carry both layouts; the original one then gives the revision its name. with_code: it may
    have Python source.
    """
    for file in files:  # also those that neither layout names
        check_content(folder / file, with_code=with_code)
    check_indexes(folder, files)
    layout = layout_of(folder, files)
    if has_model_files(files):
        validate_safetensors(folder)
    if layout == Revision.Layout.ORIGINAL:
        validate_original(folder, model_parallel=model_parallel)
    check_numbers(folder, files)
    return layout


def layout_of(folder: Path, files: Iterable[str]) -> Revision.Layout:
    """The layout whose name the revision bears. Raises PublishError for a folder without weights."""
    files = set(files)
    if "params.json" in files and any(SHARD.fullmatch(file) for file in files):
        return Revision.Layout.ORIGINAL
    if has_model_files(files):
        return Revision.Layout.SAFETENSORS
    if any(file.lower().endswith(WEIGHTS) for file in files):
        return Revision.Layout.OTHER
    if "params.json" in files:
        raise PublishError(
            f"{folder} has params.json but no consolidated.NN.pth. Put the shards beside it."
        )
    raise PublishError(
        f"{folder} holds neither params.json with consolidated.NN.pth nor config.json with "
        f"model*.safetensors, nor weights of another form ({', '.join(sorted(WEIGHTS))}). Give the folder "
        f"that directly holds them."
    )


def has_model_files(files: Iterable[str]) -> bool:
    """Whether a model in Hugging Face's layout is among them."""
    files = set(files)
    return "config.json" in files and (INDEX in files or any(map(MODEL.fullmatch, files)))


# ---- the original layout -------------------------------------------------------------------------


def validate_original(folder: Path, *, model_parallel: int | None = None) -> None:
    """params.json, consolidated.NN.pth and a tokenizer that belong together. Raises
    PublishError.
    """
    params = read_json(folder / "params.json")
    shards = shards_of(folder)
    if model_parallel is not None and len(shards) != model_parallel:
        raise PublishError(
            f"The folder has {_count(len(shards), 'shard')}, the catalogue says {model_parallel} "
            f"for this release. "
            "Add the missing files, or correct `model-parallel shards` of the release in the admin, "
            "or publish with --correct-facts."
        )
    if not is_plain_llama(
        params
    ):  # another architecture, or quantised: names and shapes are its own
        return
    _check_tokenizer(folder)
    headers = {path.name: _weights(path) for path in shards}
    _check_same(headers)
    first = next(iter(headers.values()))
    expected = original_shapes(
        params, embedding=first.get("tok_embeddings.weight"), shards=len(shards)
    )
    for file, header in headers.items():
        _check_names(file, header, expected)
    for name, shape in expected.items():
        _check_parts(name, shape, {file: header[name] for file, header in headers.items()})


def shards_of(folder: Path) -> list[Path]:
    found = sorted((path for path in folder.iterdir() if SHARD.fullmatch(path.name)), key=_number)
    if not found:
        raise PublishError(
            f"{folder} has params.json but no consolidated.NN.pth. Put the shards beside it."
        )
    last = max(_number(found[-1]), len(found) - 1)
    missing = sorted(
        {f"consolidated.{n:02d}.pth" for n in range(last + 1)} - {path.name for path in found}
    )
    if missing:
        raise PublishError(
            f"Shards are missing: found {some([path.name for path in found])}; missing "
            f"{some(missing)}. "
            "Copy them into the folder, then publish again."
        )
    return found


def _number(path: Path) -> int:
    return int(path.name.split(".")[1])


def _weights(path: Path) -> Header:
    return {
        name: tensor for name, tensor in read_header(path).items() if not name.endswith(DERIVED)
    }


def _check_same(headers: dict[str, Header]) -> None:
    """All shards have the names, types and shapes of the first."""
    (first_file, first), *others = headers.items()
    for file, header in others:
        if odd := sorted(first.keys() ^ header.keys()):
            raise PublishError(
                f"{first_file} and {file} hold different tensors: only one of them has "
                f"{some(odd)}. "
                "Publish the shards of one and the same checkpoint."
            )
        for name, tensor in header.items():
            if tensor != first[name]:
                raise PublishError(
                    f"{name} is {_say(first[name])} in {first_file} but {_say(tensor)} in {file}. "
                    "Publish the shards of one and the same checkpoint."
                )


def _check_parts(name: str, shape: Shape, parts: dict[str, Tensor]) -> None:
    """One part per shard: they add up to the full shape along a split dimension, or are each the
    whole.
    """
    file, part = next(iter(parts.items()))
    dims = SPLITS.get(name.split(".")[-2], ())
    fitting = (
        [_part(shape, dim, len(parts)) for dim in dims if shape[dim] % len(parts) == 0]
        if dims
        else [shape]
    )
    if part.shape not in fitting:
        wanted = (
            " or ".join(map(str, fitting)) or f"a shape that {len(parts)} shards can share evenly"
        )
        raise PublishError(
            f"{file}: {name} has shape {part.shape}; params.json and "
            f"{_count(len(parts), 'shard')} make it {wanted}. "
            "Publish the params.json that belongs to these shards."
        )


def _part(shape: Shape, dim: int, shards: int) -> Shape:
    return (*shape[:dim], shape[dim] // shards, *shape[dim + 1 :])


# ---- the safetensors layout ----------------------------------------------------------------------


def validate_safetensors(folder: Path) -> None:
    """config.json, model*.safetensors, their index and a tokenizer that belong together. Raises
    PublishError.
    """
    config = read_json(folder / "config.json")
    found: Header = {}
    for file, promised in _promised(folder).items():
        header = read_header(folder / file)
        if promised is not None and (odd := sorted(promised ^ header.keys())):
            raise PublishError(
                f"{file} and its index disagree about {some(odd)}. Publish the index that was "
                f"saved with these files."
            )
        found |= header
    if is_packed(config, found):
        return
    expected = safetensors_shapes(config)
    if expected is None:  # an architecture that we do not know: names and shapes are its own
        return
    _check_tokenizer(folder)
    more = {name for name in found.keys() - expected.keys() if not LAYER.fullmatch(name)}
    weights = {name: tensor for name, tensor in found.items() if not name.endswith(DERIVED)}
    _check_names("model.safetensors", {n: weights[n] for n in weights.keys() - more}, expected)
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise PublishError(
                f"{name} has shape {weights[name].shape}; config.json makes it {shape}. Publish "
                f"the config.json that belongs to these files."
            )


def _promised(folder: Path) -> dict[str, set[str] | None]:
    """File → tensors that the index says are in it (None where there is no index)."""
    files = {path.name for path in folder.iterdir() if MODEL.fullmatch(path.name)}
    index = folder / INDEX
    if not index.is_file():
        if files != {"model.safetensors"}:
            raise PublishError(
                f"Without {index.name} one model.safetensors is expected; found "
                f"{some(sorted(files)) or 'none'}. Add the index."
            )
        return {"model.safetensors": None}
    promised: dict[str, set[str]] = {}
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise PublishError(
            f"{index.name} has no weight_map. Publish the index that was saved with these files."
        )
    for tensor, file in weight_map.items():
        promised.setdefault(str(file), set()).add(tensor)
    if odd := sorted(files - promised.keys()):
        raise PublishError(
            f"{index.name} and the folder disagree about {some(odd)}. Add what is missing, or "
            f"remove what is left over."
        )
    return {file: promised[file] for file in sorted(promised)}


# ---- both ----------------------------------------------------------------------------------------


def _check_tokenizer(folder: Path) -> None:
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise PublishError(
            f"{folder} has no tokenizer. Put tokenizer.model or tokenizer.json beside the weights."
        )


def _check_names(file: str, header: Header, expected: dict[str, Shape]) -> None:
    if missing := sorted(expected.keys() - header.keys()):
        hint = "Publish the complete checkpoint."
        if missing == ["output.weight"]:
            hint = (
                "If the embedding is the output layer too, say so in params.json: "
                '"tie_word_embeddings": true.'
            )
        raise PublishError(f"{file} lacks {some(missing)}. {hint}")
    if extra := sorted(header.keys() - expected.keys()):
        raise PublishError(
            f"{file} holds tensors that this model does not have: {some(extra)}. Remove them, or "
            f"publish the parameters that belong to it."
        )


def _say(tensor: Tensor) -> str:
    return f"{tensor.dtype} {tensor.shape}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
