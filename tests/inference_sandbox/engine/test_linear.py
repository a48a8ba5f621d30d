"""Products in the form that a processor does fastest, beside the plain ones."""

import pytest
import torch
from torch import Tensor

from inference_sandbox.engine import linear
from inference_sandbox.engine.linear import make_linear


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without instructions for it, and slices that do not come out even."""
    monkeypatch.setattr(linear, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(linear, "SLICE", 48 * 7)


def product(weight: Tensor, x: Tensor, *, int8: bool, keep_plain: bool) -> float:
    """How far the product is from the exact one."""
    exact = x.double() @ weight.double().T
    found = make_linear(weight, int8=int8, keep_plain=keep_plain)(x)
    assert found.dtype == x.dtype
    return float((found.double() - exact).norm() / exact.norm())


@pytest.mark.parametrize("keep_plain", [True, False], ids=["memory for both", "tight memory"])
@pytest.mark.parametrize("rows", [1, 4, 5, 70])
@pytest.mark.parametrize(
    ("dtype", "int8", "most"),
    [
        (torch.bfloat16, False, 0.003),
        (torch.bfloat16, True, 0.012),
        (torch.float32, False, 1e-6),
        (torch.float32, True, 0.012),
    ],
    ids=["bfloat16", "int8", "float32", "int8 of float32"],
)
def test_a_processor_without_bfloat16_multiplies_it_as_float32(
    without_bfloat16: None,
    rows: int,
    dtype: torch.dtype,
    int8: bool,
    most: float,
    keep_plain: bool,
) -> None:
    generator = torch.Generator().manual_seed(rows)
    weight = torch.randn(101, 48, generator=generator).to(dtype)
    x = torch.randn(rows, 48, generator=generator).to(dtype)
    assert product(weight, x, int8=int8, keep_plain=keep_plain) < most


def test_one_that_has_it_is_given_the_weights_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def widened(x: Tensor, weight: Tensor) -> Tensor:
        raise AssertionError

    monkeypatch.setattr(linear, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(linear, "_widened", widened)
    x = torch.randn(9, 8).bfloat16()
    plain = linear.PlainLinear(torch.randn(6, 8).bfloat16())
    assert plain(x).shape == (9, 6)
    assert linear.PlainLinear(torch.randn(6, 8))(x.float()).shape == (9, 6)
