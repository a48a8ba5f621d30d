"""Comparing names that people type."""

import unicodedata


def same_name(typed: str, name: str) -> bool:
    """Whether two spellings are one name: capitals, spaces and Unicode forms do not matter."""
    return bool(_plain(name)) and _plain(typed) == _plain(name)


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()
