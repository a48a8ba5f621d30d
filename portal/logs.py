"""Log lines name the request that they belong to, by the id that its answer bears."""

import logging
from contextvars import ContextVar

# Copied into the threads and tasks that a request starts; "-" outside of any.
request_of: ContextVar[str] = ContextVar("request_of", default="-")


class NamesRequest(logging.Filter):
    """Gives each record a `request_id`, for the format to show."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_of.get()
        return True
