"""What a model says of itself: from params.json to config.json and what goes with it, and back."""

import math
from pathlib import Path
from typing import Any

from distribution.checkpoints.common import read_json
from distribution.checkpoints.shapes import LLAMA_PARAMS
from distribution.errors import PublishError

DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
ROPE_THETA, CONTEXT = 10000.0, 2048  # of LLaMA 1, whose params.json names neither
# How the models of the family were made: (multiple_of, ffn_dim_multiplier).
WIDTHS = ((256, None), (256, 1.5), (1024, 1.3), (4096, 1.3), (4096, 1.2), (1024, None))
SENTENCEPIECE = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
TEXT_OF_TIKTOKEN = b"IQ== 0"  # how LLaMA 3's tokenizer.model begins; sentencepiece's is binary


def check_params(params: dict[str, Any]) -> None:
    """Raise PublishError for what config.json cannot say."""
    if unknown := sorted(params.keys() - LLAMA_PARAMS):
        raise _cannot("params.json", f"has keys that are unknown here: {', '.join(unknown)}")
    if params.get("use_scaled_rope"):
        raise _cannot("params.json", "asks for scaled rotary embeddings, without their numbers")


def config(
    params: dict[str, Any], *, shape: dict[str, tuple[int, ...]], dtype: str, ids: dict[str, int]
) -> dict[str, Any]:
    """config.json, of params that were checked. shape: of the tensors under the original names. ids: of bos
    and eos.
    """
    heads = params["n_heads"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": params["dim"],
        "intermediate_size": shape["layers.0.feed_forward.w1.weight"][0],
        "num_hidden_layers": params["n_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": params.get("n_kv_heads") or heads,
        "head_dim": params["dim"] // heads,
        "vocab_size": shape["tok_embeddings.weight"][0],
        "hidden_act": "silu",
        "rms_norm_eps": params.get("norm_eps", 1e-5),
        "rope_theta": params.get("rope_theta", ROPE_THETA),
        "max_position_embeddings": params.get("max_seq_len", CONTEXT),
        "tie_word_embeddings": bool(params.get("tie_word_embeddings", False)),
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": DTYPES[dtype],
        **ids,
    }


def params(config: dict[str, Any]) -> dict[str, Any]:
    """params.json. What LLaMA 1 does not name stands there only where it is different."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        raise _cannot("config.json", "asks for scaled rotary embeddings")
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise _cannot("config.json", "asks for biases, which the layout does not have")
    dim, heads = config["hidden_size"], config["num_attention_heads"]
    if config.get("head_dim") not in (None, dim // heads):
        raise _cannot("config.json", "has a head_dim of its own, which the layout does not have")
    theta = rope.get("rope_theta") or config.get("rope_theta") or ROPE_THETA
    context = config.get("max_position_embeddings") or CONTEXT
    return {
        "dim": dim,
        "n_layers": config["num_hidden_layers"],
        "n_heads": heads,
        "n_kv_heads": config.get("num_key_value_heads") or heads,
        "vocab_size": config["vocab_size"],
        **_widths(dim, config["intermediate_size"]),
        "norm_eps": config.get("rms_norm_eps", 1e-6),
        **({"rope_theta": theta} if theta != ROPE_THETA else {}),
        **({"max_seq_len": context} if context != CONTEXT else {}),
        **({"tie_word_embeddings": True} if config.get("tie_word_embeddings") else {}),
    }


def _widths(dim: int, hidden: int) -> dict[str, Any]:
    """multiple_of and, where it is needed, ffn_dim_multiplier that lead to this width."""
    base = int(2 * (4 * dim) / 3)
    # Any width above the base is its own multiple; one below is a share of it.
    own = [(hidden, None), *((1, (hidden + half) / base) for half in (0.0, 0.5))]
    for multiple, factor in (*WIDTHS, *own):
        if multiple * math.ceil(int((factor or 1) * base) / multiple) == hidden:
            return {"multiple_of": multiple} | ({"ffn_dim_multiplier": factor} if factor else {})
    raise _cannot("config.json", f"has a width of {hidden}, which no params.json can name")


def token_ids(folder: Path) -> dict[str, int]:
    """The ids of the tokens that begin and end a text, as far as the tokenizer tells."""
    if not (folder / "tokenizer.json").is_file():
        return {"bos_token_id": 1, "eos_token_id": 2} if has_sentencepiece(folder) else {}
    told = folder / "tokenizer_config.json"
    named = read_json(told) if told.is_file() else {}
    added = read_json(folder / "tokenizer.json").get("added_tokens") or []
    ids = {token["content"]: token["id"] for token in added}
    return {
        f"{name}_id": ids[text]
        for name in ("bos_token", "eos_token")
        if (text := _content(named.get(name))) in ids
    }


def has_sentencepiece(folder: Path) -> bool:
    path = folder / "tokenizer.model"
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return not file.read(len(TEXT_OF_TIKTOKEN)).startswith(TEXT_OF_TIKTOKEN)


def tokenizer_config(folder: Path, context: int) -> dict[str, Any] | None:
    """tokenizer_config.json for a folder that has none; None where it has one."""
    if (folder / "tokenizer_config.json").is_file():
        return None
    if (folder / "tokenizer.json").is_file():
        return {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": context}
    if not has_sentencepiece(folder):
        raise _cannot("tokenizer.model", "is no sentencepiece model; put tokenizer.json beside it")
    flags = {"add_bos_token": True, "add_eos_token": False, "legacy": False}
    return {
        "tokenizer_class": "LlamaTokenizer",
        **SENTENCEPIECE,
        **flags,
        "model_max_length": context,
    }


def _content(token: Any) -> Any:
    return token.get("content") if isinstance(token, dict) else token


def _cannot(file: str, found: str) -> PublishError:
    return PublishError(
        f"{file} {found}. Convert it with the model's own program, then publish a folder that "
        f"holds both layouts."
    )
