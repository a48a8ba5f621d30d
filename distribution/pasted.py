"""What mail programs, chats and hands do to a link, undone where that is safe, and named where it is not.

Nothing here opens anything: what comes out is verified like any other token and compared with the file's whole name.
"""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

MOST = 2_000  # characters that are looked at
TIMES = 3  # how often a link may have been percent-encoded
# What a sentence, a quotation or Markdown leaves behind a link. None of them ends the name of a file of ours.
BEHIND = ".,;:!?)>]}'\"*`|\\’”»›…"
_SOFT_BREAK = re.compile(r"=\r?\n")  # how quoted-printable mail breaks a long line
_ADDED = re.compile(r"[&?#].*", re.DOTALL)  # `&amp;`, `&gt;`, a query or fragment that was encoded
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]")
SIGNATURE = 43  # characters of an HMAC-SHA256 in base64
PARTS = (4, 5)  # grant, artifact, expiry, perhaps terms, signature


def clean(text: str) -> str:
    """Without what no link of ours holds: spaces, line breaks, invisible characters, a second encoding."""
    text = text[:MOST]
    for _ in range(TIMES):
        if (decoded := unquote(text)) == text:
            break
        text = decoded
    text = _SOFT_BREAK.sub("", text)
    return "".join(one for one in text if not (one.isspace() or unicodedata.category(one) == "Cf"))


def readings(filename: str) -> Iterator[str]:
    """The names that may be meant, the likeliest first."""
    yield filename
    yield filename[:MOST].rstrip(BEHIND)
    name = clean(filename)
    yield name
    yield name.rstrip(BEHIND)
    yield _ADDED.sub("", name).rstrip(BEHIND)


def split(rest: str) -> tuple[str, str]:
    """Token and file name of a link whose slash between them was lost or encoded; "" for what is missing."""
    token, _, filename = clean(rest).partition("/")
    return token, filename


def damage(token: str) -> str:
    """What looks wrong with a token that is not genuine, as a part of a sentence."""
    if foreign := _FOREIGN.findall(token):
        shown = " ".join(
            dict.fromkeys(one if one.isprintable() else ascii(one)[1:-1] for one in foreign[:5])
        )
        return f"it holds characters that no link of ours has ({shown})"
    parts = token.split(".")
    if len(parts) < PARTS[0]:
        return f"its middle part, behind /download/, has {len(parts)} of {PARTS[0]} pieces: something was cut off"
    if len(parts) > PARTS[1]:
        return f"its middle part, behind /download/, has {len(parts)} pieces, which is too many"
    missing = SIGNATURE - len(parts[-1])
    if missing > 0:
        return f"the last {missing} characters before the file name are missing"
    if missing < 0:
        return f"there are {-missing} characters too many before the file name"
    return (
        "its length is right, so a character was changed, or it was signed with a key that is gone"
    )
