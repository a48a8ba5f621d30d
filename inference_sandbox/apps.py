from pathlib import Path

from django.apps import AppConfig


class InferenceSandboxConfig(AppConfig):
    name = "inference_sandbox"
    verbose_name = "Sandbox"

    def ready(self) -> None:
        from distribution import sandbox_notes
        from inference_sandbox import erasing, selectors
        from portal.accounts import own_data
        from portal.accounts.erasing import register

        register(erasing.erase)
        sandbox_notes.register(_notes_of)
        own_data.register("runs", selectors.texts_of)
        own_data.register("reports_of_runs", selectors.reports_of)

        from inference_sandbox import state  # noqa: F401 - registers the runs with the state of the site


def _notes_of(folder: Path) -> dict[str, str]:
    from inference_sandbox import support  # the libraries of tokenizers, which few processes need

    return support.notes_of(folder)
