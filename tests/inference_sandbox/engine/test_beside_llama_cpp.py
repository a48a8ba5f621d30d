"""The peer of the benchmarks, llama.cpp: it computes the same model, and its requests share a batch without a trace."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gguf import GGUFReader

from benchmarks.beside_llama_cpp import FORMATS, PYTHON, LlamaCpp, llama_cpp, write_gguf
from demo.weights import gguf_path
from inference_sandbox.engine.engine import Engine, SamplingParams

PROMPTS = [
    "The capital of France is",
    "The history of the lighthouse begins with fires on hilltops, and",
    "Once upon a time",
]
TOKENS = (16, 9, 12)


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, LlamaCpp]]:
    if not PYTHON.exists():
        pytest.skip("llama.cpp is not here: script/test --all compiles it")
    with llama_cpp(FORMATS, rows=3, length=64) as found:
        yield found


@pytest.mark.parametrize("kind", ["F32", "F16"])
def test_it_writes_what_the_engine_writes_alone_and_in_a_crowd(
    demo_engine: Engine, peers: dict[str, LlamaCpp], kind: str
) -> None:
    asked = [(demo_engine.tokenizer.encode(p), n) for p, n in zip(PROMPTS, TOKENS, strict=True)]
    ours = [
        [o.token for o in demo_engine.generate(p, SamplingParams(max_tokens=n, ignore_eos=True))]
        for p, n in asked
    ]
    assert [peers[kind].run([one])[0] for one in asked] == ours
    assert peers[kind].run(asked) == ours
    assert peers[kind].run(asked, every=2) == ours
    assert peers[kind].run([*asked, *asked, *asked], every=1) == ours * 3, "six wait for a row"


def test_the_file_as_it_is_shipped_answers_too(
    demo_engine: Engine, peers: dict[str, LlamaCpp]
) -> None:
    ((first, *rest),) = peers["Q4_1"].run([(demo_engine.tokenizer.encode(PROMPTS[0]), 4)])
    assert demo_engine.tokenizer.decode([first]) == " Paris"
    assert len(rest) == 3


def test_a_wider_file_says_the_same_of_the_model(tmp_path: Path) -> None:
    write_gguf(tmp_path / "wide.gguf", "F16")
    shipped, wide = GGUFReader(gguf_path()), GGUFReader(tmp_path / "wide.gguf")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in wide.tensors}
    assert [t.name for t in wide.tensors] == [t.name for t in shipped.tensors]
    assert set(kinds.values()) == {"F16", "F32"}
    assert all(("norm" in name) == (kind == "F32") for name, kind in kinds.items())
    for name, field in shipped.fields.items():
        if not name.startswith("GGUF.") and name != "general.file_type":
            assert wide.fields[name].contents() == field.contents(), name
