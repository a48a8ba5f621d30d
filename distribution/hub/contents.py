"""What the Hub reads out of the files of a repo for its metadata: the block at the top of its card, the model's type,
and how many parameters it has.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import yaml

from distribution.errors import StoreError
from distribution.models import Artifact, Revision
from distribution.stores import get_store

log = logging.getLogger(__name__)

CARD = "README.md"
# The rest of the card is for people with a grant, as the file is.
CARD_KEYS = (
    *(
        "license",
        "license_name",
        "license_link",
        "language",
        "library_name",
        "pipeline_tag",
        "tags",
    ),
    *("base_model", "base_model_relation", "datasets", "metrics", "new_version", "thumbnail"),
)
CARD_BLOCK = re.compile(r"\A\s*---\r?\n(.*?)\r?\n---\s*?(?:\r?\n|\Z)", re.DOTALL)
MAX_BLOCK = 16 * 1024  # bytes
MAX_VALUES = 1_000  # of one key
CONFIG = "config.json"
# The rest of config.json is for people with a grant, as the file is.
PUBLIC_KEYS = ("architectures", "model_type", "auto_map", "quantization_config")
MAX_JSON = 64 * 1024 * 1024  # bytes of config.json, or of the header of a safetensors file


def card(revision: Revision) -> dict[str, Any] | None:
    """What the block of metadata at the top of a published README.md says. None where there is none."""
    files = [file for file in revision.artifacts.all() if file.path == CARD]
    return (_or_none(public_card, files[0]) or None) if files else None


def config(revision: Revision) -> dict[str, Any] | None:
    """The keys of config.json that the Hub shows of every repo, gated ones too. None where there is no such file."""
    files = [file for file in revision.artifacts.all() if file.path == CONFIG]
    return _or_none(public_config, files[0]) if files else None


def parameters(revision: Revision) -> dict[str, Any] | None:
    """Parameters by type and in all, of the safetensors files. None where there are none."""
    counts: Counter[str] = Counter()
    for file in revision.artifacts.all():
        if file.path.endswith(".safetensors") and "/" not in file.path:
            if (found := _or_none(parameter_counts, file)) is None:
                return None
            counts.update(found)
    return {"parameters": dict(counts), "total": counts.total()} if counts else None


def _or_none(read: Callable[[str], dict[str, Any]], file: Artifact) -> dict[str, Any] | None:
    """None where the store is out of reach: the metadata are given without the field then."""
    try:
        return read(file.store_key)
    except (StoreError, ValueError, KeyError) as error:
        log.warning("%s of %s cannot be read: %s", file.path, file.revision, error)
        return None


# What lies under a key of the store never changes.
@lru_cache(maxsize=256)
def public_card(store_key: str) -> dict[str, Any]:
    with get_store().open(store_key) as file:
        text = file.read(MAX_BLOCK).decode("utf-8-sig", "replace")
    block = CARD_BLOCK.match(text)
    try:
        values = yaml.safe_load(block[1]) if block else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        # Remembered as a card without metadata, so that it is not parsed at each request.
        log.warning("the metadata of the card %s are no YAML: %s", store_key, error)
        return {}
    if not isinstance(values, dict):
        return {}
    return {name: values[name] for name in CARD_KEYS if _is_plain(values.get(name))}


def _is_plain(value: Any) -> bool:
    """A text, a truth value, or a list of texts: nothing that grows when it is written out."""
    if isinstance(value, list):
        return len(value) <= MAX_VALUES and all(isinstance(one, str) for one in value)
    return isinstance(value, str | bool)


@lru_cache(maxsize=256)
def public_config(store_key: str) -> dict[str, Any]:
    with get_store().open(store_key) as file:
        values = json.loads(file.read(MAX_JSON))
    return {name: values[name] for name in PUBLIC_KEYS if name in values}


@lru_cache(maxsize=4096)
def parameter_counts(store_key: str) -> dict[str, int]:
    """Type → number of elements of all tensors that the header names."""
    with get_store().open(store_key) as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, MAX_JSON)))
    header.pop("__metadata__", None)
    counts: Counter[str] = Counter()
    for tensor in header.values():
        counts[tensor["dtype"]] += prod(tensor["shape"])
    return dict(counts)
