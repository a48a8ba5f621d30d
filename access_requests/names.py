"""Comparing names that people type."""

import re
import unicodedata

# Letters that no Unicode decomposition takes apart.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"}
)
_WORD = re.compile(r"[^\W_]+")


def same_name(typed: str, name: str) -> bool:
    """Whether two spellings are one name: capitals, spaces and Unicode forms do not matter."""
    return bool(_plain(name)) and _plain(typed) == _plain(name)


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()


def name_words(name: str) -> list[str]:
    """Its words in the order of the alphabet, without accents, capitals and marks."""
    taken_apart = unicodedata.normalize("NFKD", name.casefold().translate(_LETTERS))
    bare = "".join(sign for sign in taken_apart if not unicodedata.combining(sign))
    return sorted(_WORD.findall(bare.replace("'", "").replace("’", "")))


def name_key(name: str) -> str:
    """One string for all spellings that differ in accents, capitals, marks or the order of words.

    At most 200 characters, as a column holds it.
    """
    return " ".join(name_words(name))[:200]
