from django.apps import AppConfig


class AccessRequestsConfig(AppConfig):
    name = "access_requests"
    verbose_name = "Access requests"

    def ready(self) -> None:
        from access_requests.services import erasing
        from portal.accounts.erasing import register

        register(erasing.erase, check=erasing.check)
