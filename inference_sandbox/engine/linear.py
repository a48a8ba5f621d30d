"""Matrix products in the form that the device does fastest: y = x · weightᵀ, no bias.

On a CPU the weights are put in the blocked order of oneDNN once, at the start; `F.linear` would do
so at each call, which costs more than the product itself while few tokens are computed. int8 is
weight-only: each output channel has a scale, activations stay as they are, and so what one row of
a batch gets does not depend on the others.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

FEW = 4  # rows up to which the int8 kernel of the CPU is the faster one


class Linear(Protocol):
    @property
    def weight(self) -> Tensor:
        """[out, in]"""

    @property
    def scale(self) -> Tensor | None:
        """[out], of int8 weights."""

    def __call__(self, x: Tensor) -> Tensor:
        """[N, in] → [N, out]."""


def make_linear(weight: Tensor, *, int8: bool = False, keep_plain: bool = True) -> Linear:
    """weight: [out, in], where it is to be computed. keep_plain: beside the packed weights, too."""
    if int8:
        return Int8Linear(weight)
    if weight.device.type == "cpu" and _can_pack(weight.dtype):
        return PackedLinear(weight, keep_plain=keep_plain)
    return PlainLinear(weight)


def _can_pack(dtype: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    # Where the processor has no instructions for it, oneDNN refuses to pack bfloat16.
    return dtype == torch.float32 or (
        dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


class PlainLinear:
    scale = None

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class PackedLinear:
    scale = None

    def __init__(self, weight: Tensor, *, keep_plain: bool) -> None:
        self.weight = weight if keep_plain else weight.new_empty(0)
        # No hint of a batch size: this order is a good one for all of them.
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())

    def __call__(self, x: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, None, "none", [], "")
        return product


class Int8Linear:
    """Weights as round(weight / scale), with scale = the channel's largest magnitude / 127."""

    def __init__(self, weight: Tensor) -> None:
        largest = weight.float().abs().amax(-1, keepdim=True).clamp(min=1e-8)
        scale = largest / 127
        self.weight = (weight.float() / scale).round().clamp(-127, 127).to(torch.int8)
        self.scale = scale.squeeze(-1).to(weight.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and x.dtype == torch.bfloat16 and x.shape[0] <= FEW:
            return torch._weight_int8pack_mm(x, self.weight, self.scale)
        return F.linear(x, self.weight.to(x.dtype)) * self.scale
