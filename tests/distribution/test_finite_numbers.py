"""NaN and infinity in norms and in the output layer are found before anything is published."""

import math
from pathlib import Path

import numpy
import pytest
import torch
from safetensors.torch import save_file

from distribution.checkpoints import numbers
from distribution.checkpoints.headers import Place, Tensor, places_in_pth, places_in_safetensors
from distribution.errors import PublishError
from distribution.services import publish
from portal.catalog.models import Release
from tests.distribution import sets
from tests.distribution.published import nothing_is_published, stored
from tests.distribution.weights import original, shard

TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E8M0": torch.float8_e8m0fnu,
}


def damaged(folder: Path, name: str, value: float, place: tuple[int, ...], shards: int = 1) -> Path:
    original(folder, shards)
    table = shard(shards, seed=shards - 1)
    table[name][place] = value
    torch.save(table, folder / f"consolidated.{shards - 1:02d}.pth")
    return folder


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("norm.weight", (7,)),
        ("layers.1.ffn_norm.weight", (0,)),
        ("layers.0.attention_norm.weight", (3,)),
        ("output.weight", (15, 7)),
    ],
)
def test_a_shard_with_a_number_that_is_none_is_refused(
    release: Release, tmp_path: Path, store: Path, name: str, place: tuple[int, ...], value: float
) -> None:
    release.model_parallel = 2
    release.save(update_fields=["model_parallel"])
    folder = damaged(tmp_path / "set", name, value, place, shards=2)
    with pytest.raises(PublishError) as refused:
        publish(folder, repo_id="meta/llama-7b", actor=None)
    assert f"{name} in consolidated.01.pth holds NaN or infinity" in str(refused.value)
    assert nothing_is_published(release)
    assert not stored(store), "nothing was copied before it was found"


@pytest.mark.parametrize(
    ("name", "tied", "is_refused"),
    [
        ("lm_head.weight", False, True),
        ("model.norm.weight", False, True),
        ("model.embed_tokens.weight", True, True),  # it is the output layer
        ("model.embed_tokens.weight", False, False),  # only who sends that token meets it
        ("model.layers.0.mlp.up_proj.weight", False, False),  # too much to read
    ],
)
def test_a_safetensors_file_is_looked_at_in_the_same_way(
    release: Release, tmp_path: Path, name: str, tied: bool, is_refused: bool
) -> None:
    config = sets.LLAMA | {"tie_word_embeddings": tied}
    tensors = sets.tensors_of(config)
    tensors[name].view(-1)[-1] = math.nan
    folder = sets.model(tmp_path / "set", config, tensors)
    if not is_refused:
        publish(folder, repo_id="meta/llama-7b", actor=None)
        return
    with pytest.raises(PublishError, match=f"{name} in model.safetensors holds NaN"):
        publish(folder, repo_id="meta/llama-7b", actor=None)


@pytest.mark.parametrize(
    "name",
    [
        *("transformer.h.0.ln_1.weight", "transformer.ln_f.bias", "encoder.LayerNorm.weight"),
        *("model.layers.3.self_attn.q_norm.weight", "gpt_neox.final_layer_norm.bias"),
        *("embed_out.weight", "transformer.wte.weight"),
    ],
)
def test_other_architectures_are_looked_at_by_the_names_of_their_tensors(
    tmp_path: Path, name: str
) -> None:
    save_file({name: torch.tensor([1.0, math.inf])}, tmp_path / "model.safetensors")
    with pytest.raises(PublishError, match="holds NaN or infinity"):
        numbers.check_numbers(tmp_path, ["model.safetensors"])
    save_file({name: torch.tensor([1.0, 3e38])}, tmp_path / "model.safetensors")
    numbers.check_numbers(tmp_path, ["model.safetensors"])


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_of_number_is_judged_as_torch_judges_it(tmp_path: Path, dtype: str) -> None:
    """All values of a byte or of two, and of longer ones those beside the edge."""
    width = numbers.WIDTH[dtype]
    unsigned = numpy.dtype(numbers.UNSIGNED[width])
    if width <= 2:
        patterns = numpy.arange(2 ** (8 * width)).astype(unsigned)
    else:
        mask = numbers.NOT_FINITE[dtype]
        patterns = numpy.array([0, 1, mask - 1, mask, mask + 1, mask // 2], unsigned)
    path = tmp_path / "x"
    patterns.tofile(path)
    tensor = torch.from_numpy(numpy.fromfile(path, "u1")).view(TYPES[dtype]).double()
    finite = torch.isfinite(tensor).numpy()
    expected = None if finite.all() else int((~finite).argmax())
    place = Place(path, Tensor(dtype, patterns.shape), 0, (1,))
    assert numbers.first_not_finite(place) == expected
    mask = numbers.NOT_FINITE[dtype]
    assert ((patterns & mask) == mask).tolist() == (~finite).tolist()


def test_the_place_is_told_behind_many_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbers, "BLOCK", 64)
    tensor = torch.zeros(100, 10, dtype=torch.bfloat16)
    tensor[99, 3] = math.nan
    save_file({"lm_head.weight": tensor}, tmp_path / "model.safetensors")
    place = places_in_safetensors(tmp_path / "model.safetensors")["lm_head.weight"]
    assert numbers.first_not_finite(place) == 993


def test_a_view_of_a_larger_storage_is_read_where_it_lies(tmp_path: Path) -> None:
    whole = torch.zeros(8, 8)
    whole[0, 0] = math.nan
    torch.save({"norm.weight": whole[1:].t(), "a": whole}, tmp_path / "consolidated.00.pth")
    places = places_in_pth(tmp_path / "consolidated.00.pth")
    assert numbers.first_not_finite(places["norm.weight"]) is None
    assert numbers.first_not_finite(places["a"]) == 0


def test_an_empty_tensor_holds_nothing(tmp_path: Path) -> None:
    save_file({"norm.weight": torch.zeros(0)}, tmp_path / "model.safetensors")
    numbers.check_numbers(tmp_path, ["model.safetensors"])
