"""Matrix products in the form that the device does fastest: y = x · weightᵀ, no bias.

On a CPU the weights are put in the blocked order of oneDNN once, at the start; `F.linear` would do
so at each call, which costs more than the product itself while few tokens are computed. A CPU
without instructions for bfloat16 is given float32: packed, too, where there is memory for both,
else a slice of the weights at a time.

int8 is weight-only: each output channel has a scale, activations stay as they are, and so what one
row of a batch gets does not depend on the others.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

FEW = 4  # rows up to which the int8 kernel of the CPU is the faster one
SLICE = 1 << 20  # weights that are widened together: they stay in the processor's cache


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
    if weight.device.type == "cpu" and _can_pack(weight.dtype, keep_plain=keep_plain):
        return PackedLinear(weight, keep_plain=keep_plain)
    return PlainLinear(weight)


def _can_pack(dtype: torch.dtype, *, keep_plain: bool) -> bool:
    if not _has_onednn():
        return False
    # In float32 they take twice the memory: where both would not fit, slices have to do.
    return dtype == torch.float32 or (
        dtype == torch.bfloat16 and (multiplies_bfloat16() or keep_plain)
    )


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


@cache
def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it. Without them oneDNN takes five times as long as in float32."""
    return _has_onednn() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _is_slow(x: Tensor) -> bool:
    """Whether a product of these rows is better computed in float32. Of the fewest, reading the weights is the most."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.bfloat16
    return on_cpu and x.shape[0] > FEW and not multiplies_bfloat16()


def _widened(x: Tensor, weight: Tensor) -> Tensor:
    """x · weightᵀ in float32, from weights of any dtype."""
    wide, count = x.float(), max(1, SLICE // weight.shape[1])
    product = wide.new_empty(x.shape[0], weight.shape[0])
    for start in range(0, weight.shape[0], count):
        rows = weight[start : start + count].float()
        product[:, start : start + count] = F.linear(wide, rows)
    return product


class PlainLinear:
    scale = None

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        if _is_slow(x):
            return _widened(x, self.weight).to(x.dtype)
        return F.linear(x, self.weight)


class PackedLinear:
    scale = None

    def __init__(self, weight: Tensor, *, keep_plain: bool) -> None:
        self.weight = weight if keep_plain else weight.new_empty(0)
        is_wide = weight.dtype == torch.bfloat16 and not multiplies_bfloat16()
        self._dtype = torch.float32 if is_wide else weight.dtype
        # No hint of a batch size: this order is a good one for all of them.
        ordered = weight.to(self._dtype).contiguous()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(ordered)

    def __call__(self, x: Tensor) -> Tensor:
        given = x.to(self._dtype)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            given, self._packed, None, "none", [], ""
        )
        return product.to(x.dtype)


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
        if _is_slow(x):
            return (_widened(x, self.weight) * self.scale).to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype)) * self.scale
