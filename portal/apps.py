from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The portal itself has no tables; it is an app for its template tags and commands."""

    name = "portal"
