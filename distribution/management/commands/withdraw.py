"""`withdraw meta/llama-7b --reason "…"`: nobody gets the release from now on; grants and bytes stay."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from distribution import services
from distribution.management.people import acting, manager, release_of


class Command(BaseCommand):
    help = (
        "Withdraw a release: nobody gets it from now on. Its grants and its bytes stay; "
        "restore brings it back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("repo", help="the release, for example meta/llama-7b")
        parser.add_argument("--reason", required=True, help="goes into the audit log")
        parser.add_argument("--as", dest="email", help="the manager in whose name it is withdrawn")

    def handle(self, *args: Any, repo: str, reason: str, email: str | None, **options: Any) -> None:
        release = release_of(repo)
        with acting():
            services.withdraw(release.pk, actor=manager(email), reason=reason)
        self.stdout.write(f"withdrew {repo}; its grants stay, its links open nothing")
