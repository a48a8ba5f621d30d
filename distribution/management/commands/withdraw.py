"""`withdraw meta/llama-7b`: nobody gets the release from now on; grants and bytes stay."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from distribution import services
from distribution.management.people import manager
from portal.catalog.models import Release
from portal.refusals import Refusal


class Command(BaseCommand):
    help = (
        "Withdraw a release: nobody gets it from now on. Its grants and its bytes stay; "
        "publish brings it back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("repo", help="the release, for example meta/llama-7b")
        parser.add_argument("--as", dest="email", help="the manager in whose name it is withdrawn")

    def handle(self, *args: Any, repo: str, email: str | None, **options: Any) -> None:
        release = Release.objects.filter(repo_id=repo).first()
        if release is None:
            known = (
                ", ".join(Release.objects.order_by("repo_id").values_list("repo_id", flat=True))
                or "none yet"
            )
            raise CommandError(f"There is no release {repo!r}. The catalogue has: {known}.")
        try:
            services.withdraw(release.pk, actor=manager(email))
        except Refusal as refusal:
            raise CommandError(f"{refusal.detail} {refusal.way_out}")
        self.stdout.write(f"withdrew {repo}; its grants stay, its links open nothing")
