"""`script/manage index_evidence`: keep anew what evidence finds applications by."""

from typing import Any

from django.core.management.base import BaseCommand

from access_requests import services


class Command(BaseCommand):
    help = (
        "Index the long answers and institutions of all submitted applications anew: after an "
        "upgrade, or when a list of institutions was loaded and older applications should know it."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        count = services.index_again(services.to_index())
        self.stdout.write(f"{count} applications are indexed.")
