"""Whether the weights that every token passes are numbers: norms, and the rows of the output layer.

One NaN or infinity there makes every answer of the model NaN. Such weights are damaged, and refused.
"""

import re
from collections.abc import Iterable
from math import prod
from pathlib import Path

import numpy as np

from distribution.checkpoints.headers import (
    WIDTH,
    Place,
    places_in_pth,
    places_in_safetensors,
)
from distribution.errors import PublishError

BLOCK = 16 * 1024 * 1024  # bytes of a tensor that are looked at together
NORM = re.compile(r"(^|[._])(\w*norm\w*|ln_\w+|layer_?norm\w*)\.(weight|bias|scale)$", re.I)
OUTPUT = re.compile(r"(^|\.)(output|lm_head|embed_out)\.weight$")
EMBEDDING = re.compile(r"(^|\.)(tok_embeddings|embed_tokens|embed_in|wte|word_embeddings)\.weight$")
# dtype → the bits that all are set in what is no finite number, and in nothing else.
NOT_FINITE = {
    "F64": 0x7FF0_0000_0000_0000,
    "F32": 0x7F80_0000,
    "F16": 0x7C00,
    "BF16": 0x7F80,
    "F8_E5M2": 0x7C,
    "F8_E4M3": 0x7F,
    "F8_E8M0": 0xFF,
}
UNSIGNED = {1: "u1", 2: "<u2", 4: "<u4", 8: "<u8"}


def check_numbers(folder: Path, files: Iterable[str]) -> None:
    """Raise PublishError for NaN or infinity in a norm or in the output layer of the model."""
    places = [
        (file, name, place)
        for file in sorted(files)
        for name, place in _places(folder / file).items()
        if place.tensor.dtype in NOT_FINITE
    ]
    has_output = any(OUTPUT.search(name) for _, name, _ in places)
    # Without an output layer of its own a model uses its embedding.
    kinds = (NORM, OUTPUT) if has_output else (NORM, EMBEDDING)
    for file, name, place in places:
        if any(kind.search(name) for kind in kinds):
            _check(file, name, place)


def _places(path: Path) -> dict[str, Place]:
    match path.suffix.lower():
        case ".safetensors":
            return places_in_safetensors(path)
        case ".pth" | ".pt" | ".bin" | ".ckpt":
            return places_in_pth(path)
    return {}


def _check(file: str, name: str, place: Place) -> None:
    if (index := first_not_finite(place)) is not None:
        raise PublishError(
            f"{name} in {file} holds NaN or infinity (first at element {index:,}): a model with such "
            f"weights cannot answer. Copy the file again from its source, or save a checkpoint from before "
            f"the training broke, then publish again."
        )


def first_not_finite(place: Place) -> int | None:
    """The first element that is NaN or infinite, counted in the order of the file; None: there is none.

    Of a view with gaps what lies between its elements is looked at as well.
    """
    dtype, shape = place.tensor.dtype, place.tensor.shape
    if not prod(shape):
        return None
    needed = 1 + sum((n - 1) * step for n, step in zip(shape, place.stride, strict=True))
    mask, width = NOT_FINITE[dtype], WIDTH[dtype]
    step = BLOCK // width
    for start in range(0, needed, step):
        count = min(step, needed - start)
        block = np.fromfile(place.path, UNSIGNED[width], count, offset=place.start + start * width)
        if (found := (block & mask) == mask).any():
            return start + int(found.argmax())
    return None
