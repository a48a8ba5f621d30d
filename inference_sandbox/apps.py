from django.apps import AppConfig


class InferenceSandboxConfig(AppConfig):
    name = "inference_sandbox"
    verbose_name = "Sandbox"

    def ready(self) -> None:
        from inference_sandbox import erasing
        from portal.accounts.erasing import register

        register(erasing.erase)
