"""`take_down meta/llama-7b --reason "…"`: nobody gets a revision's files, and what leaves stops."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from distribution import services
from distribution.management.people import acting, manager, release_of, revision_of
from distribution.selectors import MAIN


class Command(BaseCommand):
    help = (
        "Take a revision down at once, under all its names. Transfers that the site serves stop; "
        "whoever downloaded it is told the reason. Grants and bytes stay; restore brings it back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("repo", help="the release, for example meta/llama-7b")
        parser.add_argument("--revision", default=MAIN, help="a tag or a digest; default: main")
        parser.add_argument("--reason", required=True, help="told to those who downloaded it")
        parser.add_argument("--as", dest="email", help="the manager in whose name it is done")

    def handle(
        self,
        *args: Any,
        repo: str,
        revision: str,
        reason: str,
        email: str | None,
        **options: Any,
    ) -> None:
        found = revision_of(release_of(repo), revision)
        with acting():
            services.take_down(found.pk, actor=manager(email), reason=reason)
        self.stdout.write(f"took {found} down")
