"""Pickles under any name, however they are written: each is refused, and nothing of it runs."""

import io
import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from distribution.checkpoints.contents import check_content
from tests.distribution.hostile import evil, loaded, refusal, written
from tests.distribution.weights import Runs, pickled

# ---- pickles under any name ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["x.BIN", "x.Pt", "x.joblib", "x.dat", "x.safetensors", "tokenizer.model", "README", "x.npy"],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_bare_pickle_is_refused_under_any_name(
    tmp_path: Path, mark: Path, name: str, protocol: int
) -> None:
    path = written(tmp_path / name, pickle.dumps(evil(mark), protocol))
    said = refusal(path)
    assert "refused: weights only" in said
    assert "`posix.system`" in said
    assert not mark.exists()


def test_what_loads_a_bare_pickle_runs_it(tmp_path: Path, mark: Path) -> None:
    path = written(tmp_path / "x.dat", pickle.dumps(Runs(os.system, f"echo ran >> '{mark}'"), 0))
    loaded(
        path,
        "pickle.load(open(path, 'rb')); numpy.load(path, allow_pickle=True); "
        "torch.load(path, weights_only=False)",
    )
    assert mark.read_text().count("ran") == 3, "pickle, numpy and torch"


@pytest.mark.parametrize(
    "opcodes",
    [
        b"(S'touch x'\nios\nsystem\n.",  # INST
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",  # STACK_GLOBAL
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940" + b"0h\x00h\x01\x93\x8c\x01x\x85R.",  # by memo
        b"X\x00\x00\x03\x00" + bytes(3 * 65536) + b"0cos\nsystem\n.",  # behind a long text
        b"N0" * 50_000 + b"cos\nsystem\n.",
        b"N." * 30 + b"cos\nsystem\n.",  # the thirty-first
        b"L119547037146038801333356L\n.I1001\n.}.cos\nsystem\n.",  # torch's legacy form as a text
        b"U\x02os0(I1\nI2\nl0}(I1\nI2\nd0cos\nsystem\n.",
    ],
)
def test_an_import_is_found_wherever_the_pickle_has_it(tmp_path: Path, opcodes: bytes) -> None:
    assert "refused: weights only" in refusal(written(tmp_path / "vocabulary.txt", opcodes))


@pytest.mark.parametrize("content", [b"N0" * 200_000 + b"cos\nsystem\n.", b"N." * 500])
def test_a_pickle_that_is_too_long_to_follow_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "pickle that cannot be followed" in refusal(written(tmp_path / "a.dat", content))


def test_a_harmless_pickle_is_refused_as_well(tmp_path: Path) -> None:
    assert "a bare pickle" in refusal(written(tmp_path / "a.dat", pickled({"x": [1, 2.0]})))


@pytest.mark.parametrize(
    "text",
    [
        "# Model card\n\nIt can do much.\n",
        "can be loaded\nwith any program\n",
        "N.B. read the licence\n",
        "import torch\nprint(1)\n",
        "[PAD]\n[UNK]\n",
        "the\ncat\nsat\n",
        "(c) 2023 the authors\nAll rights reserved\n",
        "{}",
        "I am a text.\n.\n",
    ],
)
def test_a_text_is_no_pickle(tmp_path: Path, text: str) -> None:
    check_content(written(tmp_path / "notes.txt", text.encode()))


LINE = st.sampled_from(
    [b"", b"0", b"01", b"010", b"-5", b" 7", b"0x1f", b"1L", b"'a'", b"'os' ", b"1.5", b"3 "]
).map(lambda line: line + b"\n")
COUNTED = st.binary(max_size=2)


def step(codes: bytes, argument: "st.SearchStrategy[bytes]") -> "st.SearchStrategy[bytes]":
    return st.builds(lambda code, rest: bytes([code]) + rest, st.sampled_from(codes), argument)


STEPS = st.one_of(
    step(b"N\x88\x89]})(\x8f012tld\x85\x86\x87aesu\x90\x91bRQ\x94\x81o", st.just(b"")),
    step(b"ILFSVgp", LINE),
    step(b"Khq", st.sampled_from([b"\0", b"\1"])),
    step(b"J", st.binary(min_size=4, max_size=4)),
    step(b"UC\x8c\x8a", COUNTED.map(lambda value: bytes([len(value)]) + value)),
    step(b"TBX\x8b", COUNTED.map(lambda value: struct.pack("<I", len(value)) + value)),
    step(b"\x8d\x8e\x96", COUNTED.map(lambda value: struct.pack("<Q", len(value)) + value)),
    step(b"\x95", st.integers(0, 9).map(lambda length: struct.pack("<Q", length))),
    step(b"\x80", st.sampled_from([b"\x02", b"\x05", b"\x06"])),
)
IMPORTS = [b"cos\nsystem\n.", b"(ios\nsystem\n.", b"\x8c\x02os\x8c\x06system\x93."]


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEPS, max_size=7), imports=st.sampled_from(IMPORTS))
@example(steps=[b"}", b"N", b"b"], imports=IMPORTS[0])  # an empty state of what has none
@example(steps=[b"]", b"K\0", b"a", b"K\0", b"K\1", b"s"], imports=IMPORTS[0])  # item 0 of a list
@example(steps=[b"\x96" + bytes(8), b"K\0", b"a"], imports=IMPORTS[0])  # into a bytearray
@example(steps=[b"I010\n"], imports=IMPORTS[0])  # as C reads a number
@example(steps=[b"S'" + b"a" * 70_000 + b"'\n"], imports=IMPORTS[1])
@example(steps=[b"\x95\x03" + bytes(7), b"(M\0", b"As0"], imports=IMPORTS[0])  # a cut frame
def test_wherever_a_real_unpickler_comes_to_an_import_the_file_is_refused(
    tmp_path: Path, steps: list[bytes], imports: bytes
) -> None:
    found: list[str] = []

    class Watched(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            found.append(f"{module}.{name}")
            raise ImportError

    content = b"".join(steps) + imports
    with suppress(Exception):
        Watched(io.BytesIO(content)).load()
    if "os.system" in found:
        assert "refused" in refusal(written(tmp_path / "a.dat", content))
