"""From a folder's own description (`params.json` or `config.json`) to ModelArgs.

A key that we do not know is an error: it may change what the model computes. Imports no torch: publishing
asks with the same functions whether the engine will run a set of files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


class CheckpointError(Exception):
    """The folder does not hold a model that this engine can run; the text says why."""


class VocabularyUnknownError(CheckpointError):
    """The description leaves the vocabulary to a tokenizer, and there is none."""


@dataclass(frozen=True, kw_only=True)
class ModelArgs:
    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    vocab_size: int
    norm_eps: float
    rope_theta: float
    max_seq_len: int
    tied: bool  # the output layer shares the embedding's weights

    @property
    def q_dim(self) -> int:
        """The queries of all heads together: as wide as the model in most."""
        return self.n_heads * self.head_dim

    @property
    def n_params(self) -> int:
        attention = 2 * self.dim * (self.n_heads + self.n_kv_heads) * self.head_dim
        layer = attention + 3 * self.dim * self.hidden_dim + 2 * self.dim
        return (2 - self.tied) * self.vocab_size * self.dim + self.n_layers * layer + self.dim

    @property
    def repeats(self) -> int:
        """Query heads that share one key head."""
        return self.n_heads // self.n_kv_heads


@dataclass(frozen=True)
class Reader:
    """Takes values of the right kind out of a JSON object; an absent or null one is the default."""

    file: str
    values: dict[str, Any]

    def whole(self, key: str, default: int | None = None) -> int:
        value = default if self.values.get(key) is None else self.values[key]
        if type(value) is not int or value < 1:  # bool is an int to isinstance
            raise CheckpointError(
                f"{self.file}: {key} must be a whole number above 0, not {value!r}."
            )
        return value

    def real(self, key: str, default: float) -> float:
        value = default if self.values.get(key) is None else self.values[key]
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise CheckpointError(f"{self.file}: {key} must be a number above 0, not {value!r}.")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.values.get(key, False)
        if not isinstance(value, bool):
            raise CheckpointError(f"{self.file}: {key} must be true or false, not {value!r}.")
        return value


KNOWN_PARAMS = {
    *("dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "norm_eps", "rope_theta"),
    *("multiple_of", "ffn_dim_multiplier", "max_seq_len", "max_batch_size", "use_scaled_rope"),
    "tie_word_embeddings",
}
# LLaMA 1 was trained on 2,048 positions, and its params.json does not say so.
LLAMA_CONTEXT = 2048


def args_from_params(
    params: dict[str, Any], tokenizer_vocab_size: int | None, *, context: int = LLAMA_CONTEXT
) -> ModelArgs:
    """Read the original layout's `params.json`; `tie_word_embeddings`, `max_seq_len` are ours.

    context: of a model whose description does not say it.
    """
    if unknown := sorted(params.keys() - KNOWN_PARAMS):
        raise CheckpointError(f"params.json has keys unknown to this engine: {', '.join(unknown)}.")
    if params.get("use_scaled_rope"):
        raise CheckpointError("params.json asks for scaled rotary embeddings, not supported yet.")
    read = Reader("params.json", params)
    dim, n_heads = read.whole("dim"), read.whole("n_heads")
    return _checked(
        ModelArgs(
            dim=dim,
            n_layers=read.whole("n_layers"),
            n_heads=n_heads,
            n_kv_heads=read.whole("n_kv_heads", n_heads),
            head_dim=_head_dim(read, dim, n_heads),
            hidden_dim=_hidden_dim(
                dim, read.whole("multiple_of", 256), read.real("ffn_dim_multiplier", 1.0)
            ),
            vocab_size=_vocab_size(read, tokenizer_vocab_size),
            norm_eps=read.real("norm_eps", 1e-5),
            rope_theta=read.real("rope_theta", 10000.0),
            max_seq_len=read.whole("max_seq_len", context),
            tied=read.flag("tie_word_embeddings"),
        ),
        "params.json",
    )


def args_from_config(config: dict[str, Any], *, context: int = LLAMA_CONTEXT) -> ModelArgs:
    """Read Hugging Face's `config.json` of a LlamaForCausalLM."""
    _refuse_variants(config)
    read = Reader("config.json", config)
    dim, n_heads = read.whole("hidden_size"), read.whole("num_attention_heads")
    rope = Reader("config.json", _rope(config))
    return _checked(
        ModelArgs(
            dim=dim,
            n_layers=read.whole("num_hidden_layers"),
            n_heads=n_heads,
            n_kv_heads=read.whole("num_key_value_heads", n_heads),
            head_dim=_head_dim(read, dim, n_heads),
            hidden_dim=read.whole("intermediate_size"),
            vocab_size=read.whole("vocab_size"),
            norm_eps=read.real("rms_norm_eps", 1e-6),
            rope_theta=rope.real("rope_theta", read.real("rope_theta", 10000.0)),
            max_seq_len=read.whole("max_position_embeddings", context),
            tied=read.flag("tie_word_embeddings"),
        ),
        "config.json",
    )


def _refuse_variants(config: dict[str, Any]) -> None:
    architectures = config.get("architectures") or []
    if architectures != ["LlamaForCausalLM"]:
        found = ", ".join(map(str, architectures)) if isinstance(architectures, list) else ""
        raise CheckpointError(
            f"config.json is of {found or 'an architecture that it does not name'}; we run "
            f"LlamaForCausalLM."
        )
    if config.get("quantization_config") or config.get("quantization"):
        raise CheckpointError(
            f"the weights are quantised{_method(config)}; we run weights in floating point."
        )
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise CheckpointError("config.json asks for biases, which LLaMA does not have.")
    if config.get("hidden_act", "silu") != "silu":
        raise CheckpointError(f"config.json asks for {config['hidden_act']}; LLaMA uses silu.")
    kind = _rope(config).get("rope_type", _rope(config).get("type", "default"))
    if kind != "default":
        raise CheckpointError(f"config.json asks for {kind} rotary scaling, not supported yet.")


def _method(config: dict[str, Any]) -> str:
    """By which program, where that is said."""
    told = config.get("quantization_config")
    method = told.get("quant_method") if isinstance(told, dict) else None
    return f" ({method[:40]})" if isinstance(method, str) and method else ""


def _head_dim(read: Reader, dim: int, heads: int) -> int:
    """As it is said, or as dimension and heads make it."""
    if read.values.get("head_dim") is None and dim % heads:
        raise CheckpointError(f"{read.file}: {heads} heads do not fit a dimension of {dim}.")
    return read.whole("head_dim", max(1, dim // heads))


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    # transformers 5 writes rope_parameters, earlier ones rope_theta and rope_scaling.
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def _hidden_dim(dim: int, multiple_of: int, multiplier: float) -> int:
    """The feed-forward width as LLaMA derives it: 8/3 of dim, scaled, rounded up."""
    hidden = int(multiplier * int(2 * (4 * dim) / 3))
    return multiple_of * math.ceil(hidden / multiple_of)


def _vocab_size(read: Reader, of_tokenizer: int | None) -> int:
    if read.values.get("vocab_size", -1) != -1:
        return read.whole("vocab_size")
    if of_tokenizer is None:
        raise VocabularyUnknownError(
            "params.json leaves the vocabulary to the tokenizer: there is none."
        )
    return of_tokenizer


def _checked(args: ModelArgs, file: str) -> ModelArgs:
    if args.head_dim % 2 or args.n_heads % args.n_kv_heads:
        raise CheckpointError(
            f"{file}: {args.n_heads} heads of {args.head_dim} and {args.n_kv_heads} key/value heads do "
            f"not fit together."
        )
    return args
