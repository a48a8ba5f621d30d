"""What the metadata calls say of a release and its revision, field by field as the Hub names them."""

from collections.abc import Callable, Container
from typing import Any

from distribution.hub import card, contents, tree
from distribution.models import Revision
from portal import hub_words
from portal.catalog.models import Release

Fields = dict[str, Any]


def listed(release: Release, revision: Revision | None) -> Fields:
    """The fields of a row of a list. Of a release that has no files here, no commit is named.

    `downloads` and `likes` are numbers that clients insist on. How often a release was downloaded is not public here,
    and there are no likes: both are 0.
    """
    fields: Fields = {
        "_id": f"{release.pk:024x}",
        "id": release.repo_id,
        "modelId": release.repo_id,
        "author": release.repo_id.partition("/")[0],
        "gated": card.GATED,
        "private": release.metadata == Release.Metadata.PRIVATE,
        "disabled": release.status == Release.Status.WITHDRAWN,
        "downloads": 0,
        "likes": 0,
        "tags": card.tags(release, revision),
        "pipeline_tag": card.task(release, revision),
    }
    if revision:
        fields |= {"sha": revision.digest, "lastModified": hub_words.moment(revision.created_at)}
        if found := card.libraries(revision):
            fields["library_name"] = found[0]
    return fields


def details(
    release: Release, revision: Revision, names: Container[str], *, blobs: bool = False
) -> Fields:
    """Those of DETAILS that are named, where the files have them."""
    made = {name: make(release, revision) for name, make in DETAILS.items() if name in names}
    if blobs and "siblings" in made:
        made["siblings"] = _siblings(release, revision, blobs=True)
    return {name: value for name, value in made.items() if value is not None}


def only(fields: Fields, names: list[str]) -> Fields:
    """The fields that a call with `expand` asked for, and the two that the Hub always gives."""
    return {name: value for name, value in fields.items() if name in {"_id", "id", *names}}


def _siblings(release: Release, revision: Revision, *, blobs: bool = False) -> list[Fields]:
    return [tree.sibling(file, blobs=blobs) for file in tree.files_of(release, revision)]


def _created_at(release: Release, revision: Revision) -> str:
    first = Revision.objects.filter(release=release).order_by("pk").first() or revision
    return hub_words.moment(first.created_at)


def _used_storage(release: Release, revision: Revision) -> int:
    return sum(file.size for file in tree.files_of(release, revision))


# Fields that cost a query or a read of the store, by their names.
DETAILS: dict[str, Callable[[Release, Revision], Any]] = {
    "createdAt": _created_at,
    "cardData": card.metadata,
    "siblings": _siblings,
    "usedStorage": _used_storage,
    "config": lambda _, revision: contents.config(revision),
    "safetensors": lambda _, revision: contents.parameters(revision),
}
