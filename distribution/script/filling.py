"""One bash file out of its parts, with what the site knows put into its first lines."""

import shlex
from functools import cache
from pathlib import Path

from django.conf import settings

from distribution import signing

NAME = "weighbridge-download"
PARTS = Path(__file__).parent / "parts"


def filled(*, release: str = "", key: str = "") -> str:
    """The whole script. release, key: a slug and a key to one grant of it, or neither."""
    values = {
        "SITE": settings.BASE_URL,
        "RELEASE": release,
        "KEY": key,
        "PUBLIC_KEY": signing.public_key_pem(),
    }
    text = source()
    for name, value in values.items():
        line = f"\n{name}=''\n"
        assert text.count(line) == 1, f"the script has one line for {name}"
        text = text.replace(line, f"\n{name}={shlex.quote(value)}\n")
    return text


@cache
def source() -> str:
    """The parts behind each other, as they stand in the repository."""
    return "".join(part.read_text() for part in sorted(PARTS.glob("*.sh")))
