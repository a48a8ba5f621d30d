from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    """The portal itself has no tables; it is an app for its template tags and commands."""

    name = "portal"

    def ready(self) -> None:
        from portal.upkeep import keep_statistics

        post_migrate.connect(keep_statistics, sender=self)
