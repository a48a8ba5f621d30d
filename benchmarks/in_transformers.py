"""The engine's models as Hugging Face transformers has them, to stand beside it."""

from __future__ import annotations

from transformers import LlamaConfig, LlamaForCausalLM

from inference_sandbox.engine.checkpoint import Checkpoint
from inference_sandbox.engine.layouts import hugging_face_name
from inference_sandbox.engine.params import ModelArgs


def config_of(args: ModelArgs) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=args.vocab_size,
        hidden_size=args.dim,
        intermediate_size=args.hidden_dim,
        num_hidden_layers=args.n_layers,
        num_attention_heads=args.n_heads,
        num_key_value_heads=args.n_kv_heads,
        head_dim=args.head_dim,
        max_position_embeddings=args.max_seq_len,
        rms_norm_eps=args.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": args.rope_theta},
        tie_word_embeddings=args.tied,
    )


def to_transformers(checkpoint: Checkpoint) -> LlamaForCausalLM:
    """The same weights as a LlamaForCausalLM: Q and K go to Hugging Face's rotary order."""
    args = checkpoint.args
    dtype = checkpoint.weights["norm.weight"].dtype
    model = LlamaForCausalLM(config_of(args)).to(dtype)
    state = {}
    for name, tensor in checkpoint.weights.items():
        heads = {"wq": args.n_heads, "wk": args.n_kv_heads}.get(name.split(".")[-2])
        if heads:
            pairs = tensor.view(heads, args.head_dim // 2, 2, args.dim)
            tensor = pairs.transpose(1, 2).reshape(tensor.shape)
        state[hugging_face_name(name)] = tensor
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"the weights do not fit: {missing=} {unexpected=}")
    model.tie_weights()
    return model.eval()
