"""The tensors that a model must have, from the folder's own description of it."""

import math
from typing import Any

from distribution.checkpoints.headers import Tensor
from distribution.errors import PublishError

Shape = tuple[int, ...]
MOST = 10_000_000  # no width of a model comes near
MOST_LAYERS = 10_000  # bounds the work that a params.json can ask for
# All that a params.json of LLaMA says; one that says more is of another architecture, or quantised.
LLAMA_PARAMS = {
    *("dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "norm_eps", "rope_theta"),
    *("multiple_of", "ffn_dim_multiplier", "max_seq_len", "max_batch_size", "use_scaled_rope"),
    "tie_word_embeddings",
}
# Types in which quantised weights lie. Indices, such as those of positions, are I64.
PACKED = frozenset({"I32", "U32", "I16", "U16", "I8", "U8", "F4", "F6_E2M3", "F6_E3M2"})


def is_plain_llama(params: dict[str, Any]) -> bool:
    """Whether a params.json describes LLaMA's own architecture."""
    return params.keys() <= LLAMA_PARAMS


def is_packed(config: dict[str, Any], header: dict[str, Tensor]) -> bool:
    """Whether weights of Hugging Face's layout are quantised: their shapes are then not the model's."""
    return bool(config.get("quantization_config") or config.get("quantization")) or any(
        (tensor.dtype in PACKED or tensor.dtype.startswith("F8")) and len(tensor.shape) > 1
        for tensor in header.values()
    )


def original_shapes(
    params: dict[str, Any], *, embedding: Tensor | None, shards: int
) -> dict[str, Shape]:
    """Name → full shape under the original names.

    embedding: `tok_embeddings.weight` of one of the `shards`; LLaMA 1 leaves the size of the
    vocabulary to it.
    """
    file = "params.json"
    dim, heads = _number(params, "dim", file), _number(params, "n_heads", file)
    kv_heads = _number(params, "n_kv_heads", file, heads)
    _check_heads(file, dim, heads, kv_heads)
    return _llama(
        dim=dim,
        q_dim=dim,
        kv_dim=dim // heads * kv_heads,
        hidden=_hidden(params, dim),
        vocab=_vocab(params, dim, embedding, shards),
        layers=_number(params, "n_layers", file, most=MOST_LAYERS),
        tied=params.get("tie_word_embeddings") is True,
    )


def safetensors_shapes(config: dict[str, Any]) -> dict[str, Shape] | None:
    """Name → full shape under Hugging Face's names; None for another architecture than LLaMA's."""
    file = "config.json"
    if "LlamaForCausalLM" not in (config.get("architectures") or []):
        return None
    dim, heads = _number(config, "hidden_size", file), _number(config, "num_attention_heads", file)
    kv_heads = _number(config, "num_key_value_heads", file, heads)
    head_dim = _number(config, "head_dim", file, dim // heads or 1)
    _check_heads(file, head_dim * heads if "head_dim" in config else dim, heads, kv_heads)
    shapes = _llama(
        dim=dim,
        q_dim=head_dim * heads,
        kv_dim=head_dim * kv_heads,
        hidden=_number(config, "intermediate_size", file),
        vocab=_number(config, "vocab_size", file),
        layers=_number(config, "num_hidden_layers", file, most=MOST_LAYERS),
        tied=config.get("tie_word_embeddings") is True,
    )
    named = {hugging_face_name(name): shape for name, shape in shapes.items()}
    biased = [
        *(("self_attn",) if config.get("attention_bias") else ()),
        *(("mlp",) if config.get("mlp_bias") else ()),
    ]
    biases = {
        name.removesuffix("weight") + "bias": shape[:1]
        for name, shape in named.items()
        if any(f".{part}." in name for part in biased)
    }
    return named | biases


def _llama(
    *, dim: int, q_dim: int, kv_dim: int, hidden: int, vocab: int, layers: int, tied: bool
) -> dict[str, Shape]:
    layer: dict[str, Shape] = {
        "attention.wq": (q_dim, dim),
        "attention.wk": (kv_dim, dim),
        "attention.wv": (kv_dim, dim),
        "attention.wo": (dim, q_dim),
        "feed_forward.w1": (hidden, dim),
        "feed_forward.w2": (dim, hidden),
        "feed_forward.w3": (hidden, dim),
        "attention_norm": (dim,),
        "ffn_norm": (dim,),
    }
    shapes: dict[str, Shape] = {"tok_embeddings.weight": (vocab, dim), "norm.weight": (dim,)}
    for number in range(layers):
        shapes |= {f"layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    if not tied:
        shapes["output.weight"] = (vocab, dim)
    return shapes


HUGGING_FACE = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "tok_embeddings": "model.embed_tokens",
    "norm": "model.norm",
    "output": "lm_head",
}


def hugging_face_name(name: str) -> str:
    """`layers.0.attention.wq.weight` → `model.layers.0.self_attn.q_proj.weight`."""
    module = name.removesuffix(".weight")
    if not module.startswith("layers."):
        return f"{HUGGING_FACE[module]}.weight"
    _, number, inner = module.split(".", 2)
    return f"model.layers.{number}.{HUGGING_FACE[inner]}.weight"


def _hidden(params: dict[str, Any], dim: int) -> int:
    """The feed-forward width as LLaMA derives it: 8/3 of dim, scaled, rounded up to a multiple."""
    multiple_of = _number(params, "multiple_of", "params.json", 256)
    multiplier = params.get("ffn_dim_multiplier") or 1
    if (
        isinstance(multiplier, bool)
        or not isinstance(multiplier, int | float)
        or not 0 < multiplier < 100
    ):
        raise PublishError(
            f"params.json: ffn_dim_multiplier is {multiplier!r}; expected a number above 0. Mend "
            f"it, then publish again."
        )
    hidden = int(multiplier * int(2 * (4 * dim) / 3))
    return multiple_of * math.ceil(hidden / multiple_of)


def _vocab(params: dict[str, Any], dim: int, embedding: Tensor | None, shards: int) -> int:
    if params.get("vocab_size", -1) != -1:
        return _number(params, "vocab_size", "params.json")
    if embedding is None or len(embedding.shape) != 2:
        raise PublishError(
            "The shards have no tok_embeddings.weight with two dimensions. Publish the complete "
            "checkpoint."
        )
    rows, width = embedding.shape
    return rows * shards if shards > 1 and width == dim else rows


def _check_heads(file: str, dim: int, heads: int, kv_heads: int) -> None:
    if dim % heads or heads % kv_heads:
        raise PublishError(
            f"{file}: {heads} heads and {kv_heads} key/value heads do not divide a dimension of "
            f"{dim}. Mend it, then publish again."
        )


def _number(
    values: dict[str, Any], key: str, file: str, default: int | None = None, *, most: int = MOST
) -> int:
    value = values.get(key)
    if value is None and default is not None:
        return default
    if type(value) is not int or not 0 < value <= most:
        raise PublishError(
            f"{file}: {key} is {value!r}; expected a whole number from 1 to {most:,}. Mend it, "
            f"then publish again."
        )
    return value
