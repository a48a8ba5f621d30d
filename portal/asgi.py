"""The web process: ASGI, so that a stream of tokens costs a coroutine and not a thread."""

import os
from typing import Any

import django
from django.conf import settings
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from portal.garbage import settle
from portal.handler import SiteHandler


def behind_proxy(app: Any) -> Any:
    """Take the visitor's address and scheme from X-Forwarded-For and -Proto, if our own proxy sends them."""
    if not settings.TRUSTED_PROXIES:
        return app
    return ProxyHeadersMiddleware(app, trusted_hosts=settings.TRUSTED_PROXIES)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)
application = behind_proxy(SiteHandler())
settle()
