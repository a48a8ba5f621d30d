"""What several checks of a folder need: its JSON files, and words for what is wrong."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distribution.errors import PublishError


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise PublishError(f"{path.name} is missing. Put it beside the weights.")
    except (OSError, ValueError, RecursionError) as error:
        raise PublishError(
            f"{path.name} is not readable JSON ({error}). Correct it, then publish again."
        )
    if not isinstance(value, dict):
        raise PublishError(f"{path.name} is a JSON {type(value).__name__}; expected an object.")
    return value


def some(names: Iterable[str], most: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
