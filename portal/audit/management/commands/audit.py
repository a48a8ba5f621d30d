"""`audit verify`, `audit prove EVENT`, `audit seal`, `audit key`."""

import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal.audit import keys, sealing, verifying
from portal.refusals import Refusal


def _head(text: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,17}:[0-9a-f]{64}", text):
        raise ArgumentTypeError("it looks like 12:<64 hex digits>, as `audit verify` prints it")
    return text


class Command(BaseCommand):
    help = (
        "The audit log: check it, prove one event to a third party, seal what waits, show the key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        verify = acts.add_parser("verify", help="name the first bad event or seal; exit 1 if any")
        verify.add_argument(
            "--head", type=_head, help="a head kept from an earlier walk: NUMBER:HASH"
        )
        prove = acts.add_parser("prove", help="print the proof of one event, as JSON")
        prove.add_argument("event", type=int, help="its id")
        seal = acts.add_parser("seal", help="seal what waits, now")
        seal.add_argument(
            "--all",
            action="store_true",
            help="also events that `verify` calls inserted, once you know where they come from",
        )
        acts.add_parser("key", help="print the public key that checks the seals")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        match act:
            case "verify":
                self.verify(options["head"] or "")
            case "prove":
                self.prove(options["event"])
            case "seal":
                made = sealing.seal_waiting(late=True, everything=options["all"])
                events = sum(seal.count for seal in made)
                self.stdout.write(f"sealed {events:,} events in {len(made):,} seals")
            case "key":
                self.stdout.write(keys.public_key())

    def verify(self, head: str) -> None:
        try:
            found = verifying.verify(head)
        except verifying.Broken as broken:
            raise CommandError(str(broken)) from broken
        self.stdout.write(
            f"whole: {found.events:,} events in {found.seals:,} seals, {found.waiting:,} wait for the next"
        )
        if found.head:
            self.stdout.write(f"head {found.head}")

    def prove(self, event: int) -> None:
        try:
            proof = verifying.prove(event)
        except Refusal as refusal:
            raise CommandError(f"{refusal.detail} {refusal.way_out}") from refusal
        self.stdout.write(json.dumps(proof, indent=2, sort_keys=True))
