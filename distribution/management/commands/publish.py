"""`publish PATH --repo meta/llama-7b`: make a folder of weights the current revision of a
release.
"""

from argparse import ArgumentParser
from pathlib import Path
from types import TracebackType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from distribution import services
from distribution.errors import PublishError, StoreError
from distribution.management.people import manager
from distribution.sizes import human
from portal.refusals import Refusal


class Bars:
    """One progress bar after another, by bytes: hashing, storing."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._stage = ""
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage or self._bar is None:
            if self._bar is not None:
                self._bar.close()
            self._stage = stage
            self._bar = tqdm(
                total=total, desc=stage, unit="B", unit_scale=True, disable=self._silent or None
            )
        self._bar.update(done - self._bar.n)


class Command(BaseCommand):
    help = (
        "Check a folder of weights (params.json with consolidated.NN.pth, or config.json with "
        "model*.safetensors), "
        "bring it into the store and make it the current revision of a release. Run again, it "
        "changes nothing; "
        "interrupted, it goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="the folder that holds the weights")
        parser.add_argument("--repo", required=True, help="the release, for example meta/llama-7b")
        parser.add_argument("--tag", default="", help="a name for this revision, for example v1")
        parser.add_argument("--as", dest="email", help="the manager in whose name it is published")

    def handle(
        self, *args: Any, path: Path, repo: str, tag: str, email: str | None, **options: Any
    ) -> None:
        try:
            with Bars(silent=options["verbosity"] == 0) as bars:
                published = services.publish_folder(
                    path, repo_id=repo, actor=manager(email), tag=tag, progress=bars
                )
        except (PublishError, StoreError) as error:
            raise CommandError(str(error))
        except Refusal as refusal:
            raise CommandError(f"{refusal.detail} {refusal.way_out}")
        except KeyboardInterrupt:
            raise CommandError(
                "Interrupted; nothing is half-published. Run the same command again to go on."
            )
        revision = published.revision
        if published.changed:
            self.stdout.write(
                f"published {revision}: {revision.artifacts.count()} files, {human(revision.size)}"
            )
        else:
            self.stdout.write(f"{revision} is published already; nothing changed")
