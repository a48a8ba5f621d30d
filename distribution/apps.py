from django.apps import AppConfig


class DistributionConfig(AppConfig):
    name = "distribution"
    verbose_name = "Distribution"

    def ready(self) -> None:
        from distribution.services import erasing
        from portal.accounts.erasing import register

        register(erasing.erase)
