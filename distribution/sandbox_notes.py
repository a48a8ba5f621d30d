"""What keeps the sandbox from running a set of files that people may well download.

The layer that runs models registers how it finds that out (`register`, called when its app is ready). It is
asked when a set is published, and the answer is kept with the revision.
"""

from collections.abc import Callable
from pathlib import Path

# Part of the set ("model", "tokenizer") → why it cannot be run, as it follows "because".
Notes = dict[str, str]
Check = Callable[[Path], Notes]
_checks: list[Check] = []


def register(check: Check) -> None:
    if check not in _checks:
        _checks.append(check)


def notes_of(folder: Path) -> Notes:
    """What the registered checks say of a folder that was validated; empty: it can be run."""
    return {part: cause for check in _checks for part, cause in check(folder).items()}
