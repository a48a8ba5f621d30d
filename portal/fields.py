"""Fields of serializers whose lists have a length: DRF looks at every entry before it counts them."""

from typing import Any

from rest_framework import serializers


class BoundedListField(serializers.ListField):
    """A list of at most `max_length` entries; one that is longer is refused unread."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, **kwargs)
        self.most = max_length

    def to_internal_value(self, data: Any) -> list[Any]:
        _check_length(data, self.most)
        found: list[Any] = super().to_internal_value(data)
        return found


class BoundedDictField(serializers.DictField):
    """A table of at most `max_length` entries; one that is longer is refused unread."""

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.most = max_length

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        _check_length(data, self.most)
        found: dict[str, Any] = super().to_internal_value(data)
        return found


def _check_length(data: Any, most: int) -> None:
    if isinstance(data, list | dict) and len(data) > most:
        raise serializers.ValidationError(
            f"This has {len(data):,} entries; it may have at most {most:,}.", code="max_length"
        )
