from django.apps import AppConfig


class InferenceSandboxConfig(AppConfig):
    name = "inference_sandbox"
    verbose_name = "Sandbox"
