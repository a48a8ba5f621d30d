"""Absolute addresses of this site. They come from WEIGHBRIDGE_BASE_URL, and never from the Host header of a request:
whoever sends it would choose where a mailed link leads.
"""

from urllib.parse import urlsplit

from django.conf import settings


def absolute_url(address: str) -> str:
    """The address under the site's own; of one that names a host already, path and query stay."""
    parts = urlsplit(address)
    query = f"?{parts.query}" if parts.query else ""
    return f"{settings.BASE_URL}{parts.path}{query}"
