"""Making hostile files, and what is said of them."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from distribution.checkpoints.contents import check_content
from distribution.errors import PublishError
from tests.distribution.weights import Runs


def refusal(path: Path, *, with_code: bool = False) -> str:
    with pytest.raises(PublishError) as error:
        check_content(path, with_code=with_code)
    assert str(error.value).startswith(path.name)
    return str(error.value)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def loaded(path: Path, call: str = "torch.load(path, weights_only=False)") -> None:
    """Load the file as a careless client does, in a process of its own; it may well fail."""
    code = f"import sys, pickle, numpy, torch; path = sys.argv[1]; {call}"
    subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=60)


def evil(mark: Path) -> Runs:
    return Runs(os.system, f"touch '{mark}'")


def legacy(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=False)
    return out.getvalue()
