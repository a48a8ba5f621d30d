"""The web process: ASGI, so that a stream of tokens costs a coroutine and not a thread."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

from django.core.asgi import get_asgi_application

from portal.garbage import settle

application = get_asgi_application()
settle()
