from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Invented people and their applications, the reference catalogue, and a page that shows the mails."""

    name = "demo"
