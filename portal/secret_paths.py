"""Addresses whose rest speaks for its reader: signed links to files, and links that a mail carries to one person.

No log holds more of them than this. The map in deploy/nginx.conf.template has the same list.
"""

import re

SECRET_PATHS = (
    "/download/",
    "/account/confirm-email/",
    "/account/password/reset/key/",
    "/applications/join/",
    "/applications/vouch/",
)

_SLASH = r"(?:/|%(?:25)*2[Ff])"  # escaped in a query string, twice where that one is escaped again
_BEGINNINGS = "|".join(_SLASH.join(path.strip("/").split("/")) for path in SECRET_PATHS)
# To the end of the line, as a broken link has blanks and quotes in it; in an access log up to the protocol.
_SECRET = re.compile(
    rf"((?:{_SLASH}|\b)(?:{_BEGINNINGS}){_SLASH}).*?(?=\sHTTP/[\d.]+\"|$)", re.MULTILINE
)


def redact(text: str) -> str:
    """The text without the secret part of any such address in it."""
    return _SECRET.sub(r"\1...", text)
