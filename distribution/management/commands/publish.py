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
from distribution.converting import SHARD_SIZE
from distribution.errors import PublishError, StoreError
from distribution.management.people import manager
from distribution.models import Revision
from distribution.sizes import human
from portal.refusals import Refusal


class Bars:
    """A progress bar, by bytes, for each stage that there is something to tell of."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._bars: dict[str, tqdm[Any]] = {}

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for bar in self._bars.values():
            bar.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._bars:
            self._bars[stage] = tqdm(
                total=total, desc=stage, unit="B", unit_scale=True, disable=self._silent or None
            )
        self._bars[stage].update(done - self._bars[stage].n)


class Command(BaseCommand):
    help = (
        "Check a folder of weights (params.json with consolidated.NN.pth, config.json with "
        "model*.safetensors, or weights of another form, such as GGUF or an adapter), "
        "bring it into the store and make it the current revision of a release. Run again, it "
        "changes nothing; "
        "interrupted, it goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="the folder that holds the weights")
        parser.add_argument("--repo", required=True, help="the release, for example meta/llama-7b")
        parser.add_argument(
            "--also",
            choices=[Revision.Layout.ORIGINAL.value, Revision.Layout.SAFETENSORS.value],
            default="",
            help="make the other layout too, and publish both in one revision",
        )
        parser.add_argument(
            "--shard-size",
            type=int,
            default=SHARD_SIZE,
            metavar="BYTES",
            help="the most that a safetensors file of --also holds",
        )
        parser.add_argument(
            "--note",
            default="",
            help="what to tell those who downloaded the revision that this one replaces",
        )
        parser.add_argument("--tag", default="", help="a name for this revision, for example v1")
        parser.add_argument(
            "--with-code",
            action="store_true",
            help="allow Python source, and configurations that point to it, among the files",
        )
        parser.add_argument(
            "--correct-facts",
            action="store_true",
            help="where the weights contradict the numbers of the catalogue (layers, parameters …), "
            "publish them and correct the catalogue",
        )
        parser.add_argument("--as", dest="email", help="the manager in whose name it is published")

    def handle(self, *args: Any, path: Path, repo: str, email: str | None, **options: Any) -> None:
        names = ("tag", "note", "also", "shard_size", "with_code", "correct_facts")
        wanted = {name: options[name] for name in names}
        try:
            with Bars(silent=options["verbosity"] == 0) as bars:
                published = services.publish_folder(
                    path, repo_id=repo, actor=manager(email), progress=bars, **wanted
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
        elif not published.corrected:
            self.stdout.write(f"{revision} is published already; nothing changed")
        if revision.sandbox_note:
            self.stdout.write(f"{revision.sandbox_note} People can download it all the same.")
        if published.corrected:
            told = ", ".join(name.replace("_", " ") for name in published.corrected)
            self.stdout.write(f"corrected in the catalogue from the weights: {told}")
