from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    """The portal itself has no tables; it is an app for its template tags and commands."""

    name = "portal"

    def ready(self) -> None:
        from portal.upkeep import keep_statistics

        post_migrate.connect(keep_statistics, sender=self)


class DeskConfig(admin.AdminConfig):
    """Django's admin, on the site of portal/admin_site.py."""

    default = False  # of this module's two; settings name it
    default_site = "portal.admin_site.Desk"
