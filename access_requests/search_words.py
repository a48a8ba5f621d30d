"""The words of a text as the search compares them: small, without accents, letters and digits."""

import re
import unicodedata
from collections.abc import Iterable

WORD = re.compile(r"[^\W_]+")
LONGEST = 40  # characters; what is longer is no word
NOT_SPLIT = str.maketrans({"ß": "ss", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d",
                           "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ı": "i", "ð": "d",
                           "þ": "th", "Þ": "th"})  # fmt: skip


def document_of(texts: Iterable[str]) -> str:
    """What is kept to search in: each word once."""
    return " ".join(sorted({word for text in texts for word in words_of(text)}))


def words_of(text: str) -> list[str]:
    """“Łukasz Müller-García” → lukasz, muller, garcia."""
    parts = unicodedata.normalize("NFKD", text.translate(NOT_SPLIT))
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    return [word[:LONGEST] for word in WORD.findall(plain.casefold())]
