"""`make_demo`: the demo's people, catalogue, applications, and its release with real weights.

Run twice, it changes nothing.
"""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from demo import catalogue, people
from portal.catalog.models import Release

SHARD_SIZE = 100_000_000  # bytes: three files, so that clients meet an index


class Command(BaseCommand):
    help = "Fill an empty site with the demo's people, catalogue and weights."

    def handle(self, *args: Any, **options: Any) -> None:
        catalogue.make()
        people.make()
        if not Release.objects.get(repo_id=catalogue.DEMO_REPO).is_published:
            folder = Path(settings.HOME) / "demo-weights"
            if not folder.exists():
                from demo import weights  # brings torch, which a second start does without

                self.stderr.write("Writing the demo model as three shards")
                weights.build(folder)
            # The very command that a manager types.
            call_command(
                "publish",
                str(folder),
                "--repo",
                catalogue.DEMO_REPO,
                "--also=safetensors",
                f"--shard-size={SHARD_SIZE}",
                "--tag=v1",
                "--as=manager@demo.test",
            )
