"""The hub protocol: unmodified `huggingface_hub`, `hf` and `transformers` read and download here.

What they send and need is written in docs/developers/hub.md. No rule about access stands in this package.
"""
