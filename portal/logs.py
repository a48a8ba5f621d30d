"""Log lines name the request that they belong to, by the id that its answer bears, and hold no link that opens."""

import logging
from contextvars import ContextVar

from portal.secret_paths import redact

# Copied into the threads and tasks that a request starts; "-" outside of any.
request_of: ContextVar[str] = ContextVar("request_of", default="-")


class NamesRequest(logging.Filter):
    """Gives each record a `request_id`, for the format to show."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_of.get()
        return True


class SafeFormatter(logging.Formatter):
    """Redacts the whole line, with the traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))
