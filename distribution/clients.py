"""The few lines that bring a release with each program, with the names of this site and release filled in."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse

from distribution.models import Artifact
from distribution.selectors import MAIN
from portal.catalog.models import Release

TOKEN = "wb_YOUR_TOKEN"  # noqa: S105 (what people put theirs in the place of)
BEARER = f'-H "Authorization: Bearer {TOKEN}"'


@dataclass(frozen=True)
class Client:
    """A program: its name, what it is good for in half a sentence, and the lines to copy."""

    name: str
    note: str
    lines: str


def clients(release: Release, artifacts: Sequence[Artifact]) -> list[Client]:
    """The programs that can bring these files, of which there is at least one; `from_pretrained` where it can
    load them.
    """
    paths = [artifact.path for artifact in artifacts]
    with_transformers = "config.json" in paths and any(p.endswith(".safetensors") for p in paths)
    found = [_hf(release)]
    if with_transformers:
        found.append(_from_pretrained(release))
    return [
        *found,
        _script(release),
        _curl(release, max(artifacts, key=lambda artifact: artifact.size)),
        _wget(release),
        _aria2(release),
    ]


def _hf(release: Release) -> Client:
    lines = (
        f"export HF_ENDPOINT={settings.BASE_URL}",
        f"export HF_TOKEN={TOKEN}",
        f"hf download {release.repo_id} --local-dir {release.slug}",
    )
    return Client("hf", "all files, many at once", "\n".join(lines))


def _from_pretrained(release: Release) -> Client:
    lines = (
        "import os",
        f'os.environ["HF_ENDPOINT"] = "{settings.BASE_URL}"  # before the next import',
        f'os.environ["HF_TOKEN"] = "{TOKEN}"',
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        f'tokenizer = AutoTokenizer.from_pretrained("{release.repo_id}")',
        f'model = AutoModelForCausalLM.from_pretrained("{release.repo_id}")',
    )
    return Client("from_pretrained", "straight into transformers", "\n".join(lines))


def _script(release: Release) -> Client:
    place = settings.BASE_URL + reverse("distribution:generic-script")
    lines = (
        f"curl -fsSO {place}",
        f"export WEIGHBRIDGE_TOKEN={TOKEN}",
        f"bash weighbridge-download.sh --release {release.slug}",
    )
    return Client("Our script", "bash and curl alone; checks every file", "\n".join(lines))


def _curl(release: Release, artifact: Artifact) -> Client:
    path = artifact.path
    place = settings.BASE_URL + reverse("hub-resolve", args=[release.repo_id, f"{MAIN}/{path}"])
    name = path.rpartition("/")[2]
    lines = (f"curl -fL -C - -o {name} \\", f"  {BEARER} \\", f"  {place}")
    return Client("curl", "one file; again to resume", "\n".join(lines))


def _wget(release: Release) -> Client:
    place = settings.BASE_URL + reverse("api-release-links", args=[release.slug])
    lines = (
        f'curl -fsS -X POST -H "Accept: text/plain" \\\n  {BEARER} \\',
        f"  {place} |",
        "  wget -c -i -",
    )
    return Client("wget", "all files; again to resume", "\n".join(lines))


def _aria2(release: Release) -> Client:
    place = settings.BASE_URL + reverse("api-metalink", args=[release.slug, MAIN])
    lines = (
        f"curl -fsS -o {release.slug}.meta4 \\\n  {BEARER} \\",
        f"  {place}",
        f"aria2c {release.slug}.meta4",
    )
    return Client("aria2c", "several connections; checks every piece", "\n".join(lines))
