from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate, post_save


class AccessRequestsConfig(AppConfig):
    name = "access_requests"
    verbose_name = "Access requests"

    def ready(self) -> None:
        from access_requests.search_index import make_whole
        from access_requests.selectors import own_data as told
        from access_requests.services import erasing
        from access_requests.services.searching import account_saved
        from portal.accounts import own_data
        from portal.accounts.erasing import register

        register(erasing.erase, check=erasing.check)
        own_data.register("applications", told.applications)
        own_data.register("places", told.places)
        own_data.register("agreements", told.agreements)
        own_data.register("grants", told.grants)
        post_migrate.connect(make_whole, sender=self)
        # The floor below names nobody above it, and a name changes by many doors.
        post_save.connect(account_saved, sender=settings.AUTH_USER_MODEL)
