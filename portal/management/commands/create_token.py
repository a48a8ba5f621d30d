"""`create_token EMAIL [--scope read --scope download]`: prints a token and nothing else."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.accounts import services
from portal.accounts.addresses import account_at
from portal.accounts.models import Scope
from portal.refusals import Refusal


class Command(BaseCommand):
    help = "Make an API token for an account and print it (and nothing else)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument(
            "--scope",
            action="append",
            help=f"one of {', '.join(Scope.values)}; repeatable; default all",
        )
        parser.add_argument("--name", default="command line")
        parser.add_argument(
            "--days", type=int, default=services.TOKEN_DAYS, help="days until it expires"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        account = account_at(options["email"])
        if account is None:
            raise CommandError(f"There is no account with the address {options['email']}.")
        try:
            _, text = services.create_token(
                account,
                actor=None,
                name=options["name"],
                scopes=options["scope"] or list(Scope.values),
                days=options["days"],
            )
        except Refusal as refusal:
            raise CommandError(f"{refusal.detail} {refusal.way_out}") from refusal
        self.stdout.write(text)
