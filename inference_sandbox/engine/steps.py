"""Quicker ways than the model's own to compute steps in which each row has one token."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from inference_sandbox.engine.batch import Batch
from inference_sandbox.engine.cache import KVCache

if TYPE_CHECKING:
    from inference_sandbox.engine.model import Transformer


logger = logging.getLogger(__name__)


class Steps(Protocol):
    def takes(self, batch: Batch) -> bool: ...

    def __call__(self, batch: Batch, *, ahead: bool) -> tuple[Tensor, Tensor]:
        """What the last layer makes of each token, [N, dim], and the logits; fills the cache.

        ahead: all take the likeliest token and will be there in the next step, which may begin.
        """

    def forget(self) -> None:
        """A row of the cache changes hands."""

    def beside(self) -> AbstractContextManager[None]:
        """In which tokens are chosen from the logits."""


def make_steps(model: Transformer, cache: KVCache, *, most_rows: int) -> Steps | None:
    """The quickest way that this device and this model have; None if that is the model itself.

    What must be compiled is compiled here, rather than in somebody's first answer.
    """
    if model.device.type == "cpu":
        from inference_sandbox.engine.cpu_steps import CompiledSteps

        return CompiledSteps(model, cache)
    head_dim = model.args.head_dim
    if model.device.type != "cuda" or head_dim & (head_dim - 1):
        return None
    if importlib.util.find_spec("triton") is None or not _has_compiler():
        logger.warning(
            "Steps are computed kernel by kernel, which is several times slower: Triton or the C "
            "compiler that it needs (gcc) is not here."
        )
        return None
    from inference_sandbox.engine.cuda_steps import GraphedSteps

    return GraphedSteps(model, cache, most_rows=most_rows)


def _has_compiler() -> bool:
    return bool(os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang"))
