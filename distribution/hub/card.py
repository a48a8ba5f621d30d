"""The model card as the hub has it: README.md that begins with a block of metadata."""

import json
from typing import Any

from django.conf import settings
from django.urls import reverse

from distribution.hub import contents
from distribution.models import Revision
from portal.catalog.models import Release

NAME = contents.CARD
# Downloads are decided by people: the automatic rules of a family open the sandbox alone.
GATED = "manual"
TASK = "text-generation"


def metadata(release: Release, revision: Revision | None) -> dict[str, Any]:
    """`cardData` of the API: what the block says, the publisher's own or the one that we write."""
    return (revision and contents.card(revision)) or _written(release, revision)


def _written(release: Release, revision: Revision | None) -> dict[str, Any]:
    licence = release.family.licence
    page = settings.BASE_URL + release.get_absolute_url()
    found = libraries(revision)
    return {
        "license": "other",
        "license_name": licence.slug,
        "license_link": page,
        "gated": GATED,
        "pipeline_tag": TASK,
        "tags": [release.family.slug],
        "extra_gated_heading": f"{release.name} is given to people, case by case",
        "extra_gated_description": f"Apply at {page}",
        **({"library_name": found[0]} if found else {}),
    }


def tags(release: Release, revision: Revision | None) -> list[str]:
    """For lists and their filters, from the block and the files."""
    block = metadata(release, revision)
    named = [
        release.family.slug,
        task(release, revision),
        f"license:{block.get('license', 'other')}",
    ]
    named += [f"base_model:{name}" for name in _texts(block.get("base_model"))]
    named += [*_texts(block.get("language")), *_texts(block.get("tags")), *libraries(revision)]
    return list(dict.fromkeys(named))


def task(release: Release, revision: Revision | None) -> str:
    """`pipeline_tag`"""
    return str(metadata(release, revision).get("pipeline_tag") or TASK)


def _texts(value: Any) -> list[str]:
    """The values of a key of the block that takes one or several."""
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


def libraries(revision: Revision | None) -> list[str]:
    """What loads the files as they are."""
    if revision is None:
        return []
    paths = {artifact.path for artifact in revision.artifacts.all()}
    has_safetensors = any(path.endswith(".safetensors") for path in paths)
    return ["transformers", "safetensors"] if has_safetensors and "config.json" in paths else []


def readme(release: Release, revision: Revision) -> bytes:
    """The block, then the card as the release's page shows it. A value in JSON is a value in YAML."""
    block = _written(release, revision).items()
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in block]
    card = release.model_card or f"# {release.name}\n\n{release.summary}"
    return "\n".join(["---", *lines, "---", "", card.strip(), ""]).encode()


def address(release: Release) -> str:
    """Where the hub's clients find the file, for people who look."""
    return reverse("hub-resolve", args=[release.repo_id, f"main/{NAME}"])
