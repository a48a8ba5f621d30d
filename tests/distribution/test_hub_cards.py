"""The block of metadata at the top of a model card: what a client reads in the file, the API says too."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from huggingface_hub import ModelCard

from distribution.hub import card
from distribution.models import Revision
from distribution.services import publish
from portal.accounts.models import Account, Scope
from portal.catalog.models import Release
from tests.distribution.weights import original, safetensors
from tests.people import with_token

INFO, FILE = "/api/models/meta/llama-7b", "/meta/llama-7b/resolve/main/README.md"
README = """\
---
license: apache-2.0
language:
- en
- cy
library_name: transformers
pipeline_tag: text2text-generation
base_model: acme/tiny
tags: [small]
---

# Tiny

Known only to people with a grant.
"""


def published(folder: Path, release: Release, readme: str | bytes) -> Revision:
    content = readme.encode() if isinstance(readme, str) else readme
    (folder / "README.md").write_bytes(content)
    revision = publish(folder, repo_id=release.repo_id, actor=None)
    release.refresh_from_db()
    return revision


def info(client: Client | None = None, **query: str) -> dict[str, Any]:
    answer = (client or Client()).get(INFO, query)
    assert answer.status_code == 200, answer.content
    fields: dict[str, Any] = answer.json()
    return fields


def test_the_generated_card_says_what_the_api_says(release: Release, tmp_path: Path) -> None:
    folder = original(safetensors(tmp_path / "both"))
    publish(folder, repo_id=release.repo_id, actor=None)
    file = tmp_path / "README.md"
    file.write_bytes(Client().get(FILE).content)
    said = ModelCard.load(file).data.to_dict()
    assert said == info()["cardData"]
    assert (said["library_name"], said["license"]) == ("transformers", "other")


def test_a_published_card_says_what_the_api_says(
    release: Release, folder: Path, tmp_path: Path
) -> None:
    published(folder, release, README)
    fields = info()
    assert ModelCard(README).data.to_dict() == fields["cardData"]
    assert fields["pipeline_tag"] == "text2text-generation"
    assert set(fields["tags"]) >= {"license:apache-2.0", "base_model:acme/tiny", "en", "small"}
    (row,) = Client().get("/api/models", {"filter": "license:apache-2.0"}).json()
    assert row["tags"] == fields["tags"]
    assert Client().get("/api/models", {"filter": "license:other"}).json() == []


def test_no_more_of_a_published_card_is_shown_without_a_grant(
    release: Release, folder: Path, mallory: Account
) -> None:
    published(folder, release, README.replace("tags:", "internal: do not tell\ntags:"))
    for client in (Client(), with_token(mallory, Scope.READ, Scope.DOWNLOAD)):
        fields = info(client)
        assert "internal" not in fields["cardData"]
        assert "Known only" not in str(fields)
        assert client.get(FILE).status_code in (401, 403)
    Release.objects.update(metadata=Release.Metadata.PRIVATE)
    assert Client().get(INFO).status_code == 404
    assert "apache" not in Client().get("/api/models").content.decode()


BOMB = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


def test_a_bad_block_is_parsed_once(
    release: Release, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(folder, release, "---\nlicense: [once\n---\n")
    assert info()["cardData"]["license"] == "other"
    monkeypatch.setattr("yaml.safe_load", lambda text: pytest.fail("parsed again"))
    assert info()["cardData"]["license"] == "other"


@pytest.mark.parametrize(
    "readme",
    [
        "# No block",
        "---\n---\n",
        "---\nlicense: [unclosed\n---\n",
        "---\n- a\n- list\n---\n",
        "---\nlicense: {a: b}\ntags: [1, [2]]\n---\n",
        "---\nlicense: !!python/object/apply:os.system [ls]\n---\n",
        f"---\n{BOMB}tags: *a29\n---\n",
        "---\ntags: " + "[" * 5_000 + "\n---\n",
        "---\n" + "x: y\n" * 5_000 + "license: mit\n---\n",
        b"---\nlicense: \xff\xfe\x00\n---\n",
    ],
    ids=lambda readme: str(readme[:24]),
)
def test_a_card_without_a_good_block_is_described_by_the_site(
    release: Release, folder: Path, readme: str | bytes
) -> None:
    revision = published(folder, release, readme)
    fields = info()
    assert fields["cardData"] == card._written(release, revision)
    assert "license:other" in fields["tags"]
