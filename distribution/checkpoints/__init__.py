"""What a folder of weights says about itself, read without loading a tensor and without torch."""

from distribution.checkpoints.facts import Facts, facts_of
from distribution.checkpoints.headers import Tensor, read_header
from distribution.checkpoints.layouts import validate, validate_original, validate_safetensors

__all__ = [
    "Facts",
    "Tensor",
    "facts_of",
    "read_header",
    "validate",
    "validate_original",
    "validate_safetensors",
]
