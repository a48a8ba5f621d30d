"""From one layout of a LLaMA model to the other: tensor by tensor, in bounded memory, without torch."""

from distribution.converting.made import Made
from distribution.converting.plans import SHARD_SIZE, VERSION, convert

__all__ = ["SHARD_SIZE", "VERSION", "Made", "convert"]
