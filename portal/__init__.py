"""The portal: identity, settings, catalogue, audit log, look. `celery` is loaded so that tasks find their app."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
