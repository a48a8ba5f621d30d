"""Comparing names by their words, as lists and records spell them."""

import re
import unicodedata

from portal.names import fold_marks

# Letters that no Unicode decomposition takes apart.
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"}
)
_WORD = re.compile(r"[^\W_]+")


def name_words(name: str) -> list[str]:
    """Its words in the order of the alphabet, without accents, capitals and marks."""
    plain = fold_marks(name).casefold().translate(_LETTERS)
    taken_apart = unicodedata.normalize("NFKD", plain)
    bare = "".join(sign for sign in taken_apart if not unicodedata.combining(sign))
    return sorted(_WORD.findall(bare.replace("'", "")))


def name_key(name: str) -> str:
    """One string for all spellings that differ in accents, capitals, marks or the order of words.

    At most 200 characters, as a column holds it.
    """
    return " ".join(name_words(name))[:200]
