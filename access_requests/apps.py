from django.apps import AppConfig


class AccessRequestsConfig(AppConfig):
    name = "access_requests"
    verbose_name = "Access requests"

    def ready(self) -> None:
        from access_requests.selectors import own_data as told
        from access_requests.services import erasing
        from portal.accounts import own_data
        from portal.accounts.erasing import register

        register(erasing.erase, check=erasing.check)
        own_data.register("applications", told.applications)
        own_data.register("places", told.places)
        own_data.register("agreements", told.agreements)
        own_data.register("grants", told.grants)
