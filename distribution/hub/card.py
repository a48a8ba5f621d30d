"""The model card as the hub has it: README.md that begins with a block of metadata."""

import json
from typing import Any

from django.conf import settings
from django.urls import reverse

from distribution.models import Revision
from portal.catalog.models import Release

NAME = "README.md"
# Downloads are decided by people: the automatic rules of a family open the sandbox alone.
GATED = "manual"
TASK = "text-generation"


def metadata(release: Release) -> dict[str, Any]:
    """What the block says, and `cardData` of the API."""
    licence = release.family.licence
    page = settings.BASE_URL + release.get_absolute_url()
    return {
        "license": "other",
        "license_name": licence.slug,
        "license_link": page,
        "gated": GATED,
        "pipeline_tag": TASK,
        "tags": [release.family.slug],
        "extra_gated_heading": f"{release.name} is given to people, case by case",
        "extra_gated_description": f"Apply at {page}",
    }


def tags(release: Release, revision: Revision | None) -> list[str]:
    """For lists and their filters."""
    return [release.family.slug, TASK, "license:other", *libraries(revision)]


def libraries(revision: Revision | None) -> list[str]:
    """What loads the files as they are."""
    if revision is None:
        return []
    paths = {artifact.path for artifact in revision.artifacts.all()}
    has_safetensors = any(path.endswith(".safetensors") for path in paths)
    return ["transformers", "safetensors"] if has_safetensors and "config.json" in paths else []


def readme(release: Release, revision: Revision) -> bytes:
    """The block, then the card as the release's page shows it. A value in JSON is a value in YAML."""
    block = metadata(release)
    if found := libraries(revision):
        block["library_name"] = found[0]
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in block.items()]
    card = release.model_card or f"# {release.name}\n\n{release.summary}"
    return "\n".join(["---", *lines, "---", "", card.strip(), ""]).encode()


def address(release: Release) -> str:
    """Where the hub's clients find the file, for people who look."""
    return reverse("hub-resolve", args=[release.repo_id, f"main/{NAME}"])
