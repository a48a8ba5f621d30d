"""What the commands that load a list share."""

from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from access_requests import services
from portal.refusals import Refusal


class LoadCommand(BaseCommand):
    """The file replaces the list in use once it is read as a whole."""

    kind: ClassVar[str]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--list-version", default="", help="where the name does not say it")
        parser.add_argument(
            "--dated", type=date.fromisoformat, default=None, help="YYYY-MM-DD, likewise"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            with path.open("rb") as file:
                made = services.load_list(
                    self.kind,
                    file,
                    actor=None,
                    file_name=path.name,
                    version=options["list_version"],
                    dated=options["dated"],
                )
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
        except Refusal as refusal:
            raise CommandError(f"{refusal.detail} {refusal.way_out}") from None
        self.stdout.write(f"{made.count} entries are in use: {made.described}.")
