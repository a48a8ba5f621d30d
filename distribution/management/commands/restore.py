"""`restore meta/llama-7b [--revision v1]`: what was withdrawn or taken down can be had again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from distribution import services
from distribution.management.people import acting, manager, release_of, revision_of


class Command(BaseCommand):
    help = "Bring a withdrawn release back; with --revision, a revision that was taken down."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("repo", help="the release, for example meta/llama-7b")
        parser.add_argument("--revision", help="main, a tag or a digest")
        parser.add_argument("--as", dest="email", help="the manager in whose name it is done")

    def handle(
        self, *args: Any, repo: str, revision: str | None, email: str | None, **options: Any
    ) -> None:
        release = release_of(repo)
        with acting():
            if revision is None:
                services.restore(release.pk, actor=manager(email))
                self.stdout.write(f"restored {repo}")
            else:
                found = revision_of(release, revision)
                services.restore_revision(found.pk, actor=manager(email))
                self.stdout.write(f"restored {found}")
