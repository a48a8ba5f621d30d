"""Python's collector of garbage looks through all that is alive, now and then in the middle of a request."""

import gc

from django.urls import get_resolver


def settle() -> None:
    """Load the whole site, and leave it out of every look to come: it lives as long as the process.

    With a site of this size such a look takes some 80 ms.
    """
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
    gc.set_threshold(
        20_000, 10, 10
    )  # of the objects that a page makes, nearly all go by themselves
