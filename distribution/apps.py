from django.apps import AppConfig


class DistributionConfig(AppConfig):
    name = "distribution"
    verbose_name = "Distribution"

    def ready(self) -> None:
        from distribution import selectors
        from distribution.services import erasing
        from portal.accounts import own_data
        from portal.accounts.erasing import register

        register(erasing.erase)
        own_data.register("downloads", selectors.downloads_of)

        from distribution import state  # noqa: F401 - registers the store with the state of the site
        from distribution.script import schema  # noqa: F401 - registers the scheme of script keys
