"""Steps by compiled kernels beside the model's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from inference_sandbox.engine import cpu_kernels, cpu_steps, linear, memory
from inference_sandbox.engine.batch import Piece
from inference_sandbox.engine.cpu_steps import CompiledSteps
from inference_sandbox.engine.model import Transformer
from inference_sandbox.engine.params import args_from_params
from tests.inference_sandbox.engine.releases import PARAMS, weights_of

PROMPTS = [[3, 1, 4], list(range(40)), [9], [8, 8], [200, 7, 7, 1], [5]]
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "int8": torch.bfloat16,
    "int8 of float32": torch.float32,
}


def model(dtype: str, **changed: int) -> Transformer:
    """changed: of PARAMS, or `head_dim`, which a params.json cannot say."""
    params = {name: changed.pop(name, value) for name, value in PARAMS.items()}
    args = replace(args_from_params(params, None), **changed)
    weights = {name: tensor.to(DTYPES[dtype]) for name, tensor in weights_of(args).items()}
    return Transformer(args, weights, int8="int8" in dtype)


def error(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).norm() / b.float().norm())


@torch.inference_mode()
def step(own: Transformer, rows: list[int]) -> tuple[float, float]:
    """How far a step of these rows is from the model's own: in the logits, and in the cache after it."""
    theirs, ours = own.cache(rows=6, length=64), own.cache(rows=6, length=64)
    steps = CompiledSteps(own, ours)
    for row, prompt in enumerate(PROMPTS):
        own(own.batch([Piece(row, 0, prompt)]), theirs)
    ours.data.copy_(theirs.data)
    batch = own.batch([Piece(row, len(PROMPTS[row]), [5 + row]) for row in rows])
    assert steps.takes(batch)
    logits = own.logits(own(batch, theirs))
    return error(steps(batch, ahead=False)[1], logits), error(ours.data, theirs.data)


@pytest.mark.parametrize("rows", [[0], [1], [0, 1], [0, 1, 2, 4], [0, 1, 2, 3, 4, 5]], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "int8 of float32"])
def test_a_step_by_kernels_is_the_models_own(dtype: str, rows: list[int]) -> None:
    logits, cache = step(model(dtype), rows)
    assert logits < 1e-5
    assert cache < 1e-5


@pytest.mark.parametrize("head_dim", [4, 16])
@pytest.mark.parametrize("rows", [[1], [0, 1, 2, 3, 4, 5]], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "int8 of float32"])
def test_heads_may_be_smaller_or_larger_than_their_share(
    dtype: str, rows: list[int], head_dim: int
) -> None:
    own = model(dtype, head_dim=head_dim)
    assert own.args.q_dim != own.args.dim
    logits, cache = step(own, rows)
    assert logits < 1e-5
    assert cache < 1e-5


@pytest.mark.parametrize("rows", [[1], [0, 1, 2, 3, 4, 5]], ids=str)
@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_in_bfloat16_it_is_as_near_as_rounding_allows(dtype: str, rows: list[int]) -> None:
    logits, cache = step(model(dtype), rows)
    assert logits < 0.03
    assert cache < 0.01


def test_without_instructions_for_bfloat16_a_kernel_takes_some_rows_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (cpu_steps, linear):
        monkeypatch.setattr(module, "multiplies_bfloat16", lambda: False)
    logits, cache = step(model("bfloat16"), [0, 1, 2, 3, 4, 5])
    assert logits < 0.03
    assert cache < 0.01
    monkeypatch.setattr(cpu_steps, "MOST_BFLOAT16_ROWS", 3)
    assert step(model("bfloat16"), [0, 1, 2, 3])[0] < 0.03, "more rows are oneDNN's"


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_query_heads_share_their_own_keys(kv_heads: int) -> None:
    assert max(step(model("float32", n_kv_heads=kv_heads), [0, 1, 2])) < 1e-5


def test_outputs_that_fill_no_block_of_four_are_computed_too() -> None:
    generator = torch.Generator().manual_seed(1)
    x, weight = (torch.randn(rows, 33, generator=generator) for rows in (7, 10))
    out = np.empty((7, 10), np.float32)
    cpu_kernels.multiply(x.numpy(), weight.numpy(), np.empty(0, np.float32), out)
    assert error(torch.from_numpy(out), x @ weight.T) < 1e-6


def test_a_number_is_rounded_to_the_nearest_bfloat16_and_a_tie_to_the_even_one() -> None:
    numbers = torch.cat(
        [torch.randn(500), torch.tensor([1.00390625, 1.01171875, -1.00390625, 0.0, 1e-30])]
    )
    both = torch.stack([torch.full_like(numbers, 100.0), numbers]).view(1, -1)  # silu(100) is 100
    out = torch.empty(1, len(numbers), dtype=torch.bfloat16)
    cpu_kernels.gate(both.numpy(), out.view(torch.uint16).numpy())
    assert torch.equal(out[0], (numbers * 100).bfloat16())


@pytest.mark.parametrize("value", [0.0, -1e-6, -0.5, -1.0, -10.0, -80.0])
def test_its_exponential_is_that_of_the_library(value: float) -> None:
    gates = np.array([[value, 1.0]], np.float32)  # silu(v) · 1
    out = np.empty((1, 1), np.float32)
    cpu_kernels.gate(gates, out)
    assert out[0, 0] == pytest.approx(value / (1 + np.exp(-value)), rel=1e-6)


def test_where_memory_is_short_the_weights_are_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    own = model("float32")
    assert own.layers[0].wo.weight.numel() == 0
    cache = own.cache(rows=2, length=8)
    steps = CompiledSteps(own, cache)
    assert not steps.takes(
        own.batch([Piece(0, 0, [1])])
    )  # one row is the model's own business then
    assert steps.takes(own.batch([Piece(0, 0, [1]), Piece(1, 0, [1])]))
