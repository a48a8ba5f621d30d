"""Sets of files as people publish them, as small as can be: other architectures, quantised, adapters."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from distribution.checkpoints.headers import BITS
from distribution.checkpoints.shapes import safetensors_shapes
from tests.inference_sandbox.engine.releases import write_byte_tokenizer

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 264,
    "max_position_embeddings": 64,
}
Tensors = dict[str, torch.Tensor]
GGUF = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)


def tensors_of(config: dict[str, Any], seed: int = 0) -> Tensors:
    """All tensors of a plain LLaMA."""
    generator = torch.Generator().manual_seed(seed)
    shapes = safetensors_shapes(config)
    assert shapes is not None
    return {
        name: (0.1 * torch.randn(shape, generator=generator)).to(torch.bfloat16)
        for name, shape in shapes.items()
    }


def model(
    folder: Path, config: dict[str, Any], tensors: Tensors, *, tokenizer: bool = True
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if tokenizer:
        write_byte_tokenizer(folder)
    save_file(tensors, folder / "model.safetensors")
    return folder


def llama(folder: Path, *, more: Tensors | None = None, **changes: Any) -> Path:
    """A plain LLaMA, but for these values of its config.json and these tensors beside its own."""
    config = LLAMA | changes
    return model(folder, config, tensors_of(config) | (more or {}))


def quantised(folder: Path, method: str, of_weight: Callable[[str, torch.Tensor], Tensors]) -> Path:
    """A LLaMA whose products were each replaced by what `of_weight` makes of them."""
    found: Tensors = {}
    for name, tensor in tensors_of(LLAMA).items():
        is_product = "_proj." in name
        found |= of_weight(name.removesuffix(".weight"), tensor) if is_product else {name: tensor}
    told = {"quantization_config": {"quant_method": method}} if method else {}
    return model(folder, LLAMA | told, found)


def gptq(name: str, tensor: torch.Tensor) -> Tensors:
    rows, columns = tensor.shape
    return {
        f"{name}.qweight": torch.zeros(columns // 8, rows, dtype=torch.int32),
        f"{name}.qzeros": torch.zeros(1, rows // 8, dtype=torch.int32),
        f"{name}.scales": torch.ones(1, rows, dtype=torch.float16),
        f"{name}.g_idx": torch.zeros(columns, dtype=torch.int32),
    }


def bitsandbytes(name: str, tensor: torch.Tensor) -> Tensors:
    return {
        f"{name}.weight": torch.zeros(tensor.numel() // 2, 1, dtype=torch.uint8),
        f"{name}.weight.absmax": torch.ones(1),
        f"{name}.weight.quant_map": torch.zeros(16),
        f"{name}.weight.quant_state.bitsandbytes__nf4": torch.zeros(8, dtype=torch.uint8),
    }


def compressed_tensors(name: str, tensor: torch.Tensor) -> Tensors:
    return {
        f"{name}.weight_packed": torch.zeros(tensor.shape[0], 1, dtype=torch.int32),
        f"{name}.weight_scale": torch.ones(tensor.shape[0], 1, dtype=torch.bfloat16),
        f"{name}.weight_shape": torch.tensor(tensor.shape),
    }


def float8(name: str, tensor: torch.Tensor) -> Tensors:
    return {
        f"{name}.weight": tensor.float().to(torch.float8_e4m3fn),
        f"{name}.weight_scale_inv": torch.ones(1, 1),
    }


def raw_safetensors(path: Path, dtype: str, *, elements: int = 32, missing: int = 0) -> Path:
    """A file of one tensor of whatever type, also one that this torch does not know."""
    size = elements * BITS[dtype] // 8
    entry = {"dtype": dtype, "shape": [elements], "data_offsets": [0, size]}
    header = json.dumps({"x.weight_scale": entry}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size - missing))
    return path


def other(folder: Path, architecture: str, names: list[str], files: dict[str, Any]) -> Path:
    """A model of another architecture: a few tensors of its own, and files beside them."""
    config = {"architectures": [architecture], "hidden_size": 16, "vocab_size": 264}
    model(folder, config, {name: torch.ones(4, 4) for name in names}, tokenizer=False)
    return with_files(folder, files)


def with_files(folder: Path, files: dict[str, Any]) -> Path:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / path).write_bytes(data)
    return folder


def adapter(folder: Path) -> Path:
    """As PEFT saves LoRA."""
    with_files(
        folder, {"adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "x"}}
    )
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    save_file({name: torch.ones(2, 4)}, folder / "adapter_model.safetensors")
    return folder


def diffusion(folder: Path) -> Path:
    """As diffusers saves a pipeline: a folder for each part."""
    with_files(folder, {"model_index.json": {"_class_name": "X"}, "unet/config.json": {}})
    save_file({"a": torch.ones(2)}, folder / "unet" / "diffusion_pytorch_model.safetensors")
    return folder


def bin_shards(folder: Path) -> Path:
    """`pytorch_model.bin` in two files and their index, as transformers saved before safetensors."""
    weight_map = {}
    with_files(folder, {"config.json": LLAMA})
    write_byte_tokenizer(folder)
    for number, name in enumerate(("a.weight", "b.weight"), 1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: torch.ones(2, 2)}, folder / file)
        weight_map[name] = file
    return with_files(folder, {"pytorch_model.bin.index.json": {"weight_map": weight_map}})


def mistral_original(folder: Path) -> Path:
    """As Mistral hands out its weights: params.json and consolidated.safetensors."""
    params = {"dim": 16, "n_layers": 1, "head_dim": 4, "hidden_dim": 32, "n_heads": 4}
    with_files(folder, {"params.json": params, "tekken.json": {}})
    save_file({"norm.weight": torch.ones(16)}, folder / "consolidated.safetensors")
    return folder
