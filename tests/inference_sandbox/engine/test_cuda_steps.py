"""The kernels of a GPU where there is none: Triton's interpreter runs them, and its compiler compiles them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PYTHON = Path(sys.prefix) / "triton" / "bin" / "python"
ROOT = Path(__file__).parents[3]


def on_triton(what: str, cache: Path) -> dict[str, Any]:
    if not PYTHON.exists():
        pytest.skip("Triton is not here: script/test installs it beside the project's environment")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(PYTHON), "-m", "tests.inference_sandbox.engine.on_triton", what],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return on_triton("interpret", tmp_path_factory.mktemp("triton"))


@pytest.mark.parametrize(
    "case",
    [
        *("one row", "one long row", "three rows", "heads that share keys"),
        *("larger heads", "larger heads, one row"),
        *("int8, one row", "int8, three rows"),
    ],
)
def test_a_step_by_kernels_is_the_models_own(interpreted: dict[str, Any], case: str) -> None:
    assert interpreted[case]["logits"] < 1e-5
    assert interpreted[case]["cache"] < 1e-6


def test_in_bfloat16_it_is_as_near_as_rounding_allows(interpreted: dict[str, Any]) -> None:
    found = interpreted["bfloat16, one row"]
    assert found["logits"] < 0.03
    assert found["cache"] < 0.01


def test_requests_that_come_and_go_get_the_same_tokens(interpreted: dict[str, Any]) -> None:
    by_kernels, by_model = interpreted["answers"]
    assert by_kernels == by_model
    assert sum(map(len, by_model.values())) > 12


def test_every_kernel_compiles_for_an_h100(tmp_path: Path) -> None:
    assert all(length > 1000 for length in on_triton("compile", tmp_path).values())
