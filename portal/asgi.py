"""The web process: ASGI, so that a stream of tokens costs a coroutine and not a thread."""

import os

import django

from portal.garbage import settle
from portal.handler import SiteHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)
application = SiteHandler()
settle()
