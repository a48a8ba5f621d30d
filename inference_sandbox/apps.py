from django.apps import AppConfig


class InferenceSandboxConfig(AppConfig):
    name = "inference_sandbox"
    verbose_name = "Sandbox"

    def ready(self) -> None:
        from inference_sandbox import erasing, selectors
        from portal.accounts import own_data
        from portal.accounts.erasing import register

        register(erasing.erase)
        own_data.register("runs", selectors.texts_of)
        own_data.register("reports_of_runs", selectors.reports_of)

        from inference_sandbox import state  # noqa: F401 - registers the runs with the state of the site
