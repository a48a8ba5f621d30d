"""What can go wrong between a folder and the store. Each message is one sentence or two for the
person at work.
"""


class PublishError(Exception):
    """A folder that cannot be published: what file, what was expected, what was found, what to
    do.
    """


class StoreError(Exception):
    """The store did not do what it was asked; nothing half-written is left under the key."""


class StoreFullError(StoreError):
    """There is no room for what has to be written."""
