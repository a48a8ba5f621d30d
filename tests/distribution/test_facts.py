"""Layers, parameters, context: the catalogue says what the published weights say."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from distribution import checkpoints, services
from distribution.errors import PublishError
from distribution.folders import walk
from distribution.models import Revision
from distribution.services import publish_folder
from portal.accounts.models import Account
from portal.audit.models import Verb
from portal.audit.selectors import history
from portal.catalog.models import Release
from tests.distribution.published import nothing_is_published
from tests.distribution.weights import VOCAB, original, safetensors, shard
from tests.people import signed_in

LAYER = 4 * 8 * 8 + 3 * 8 * 24 + 2 * 8  # attention, feed-forward, norms
FACTS = {
    "dimension": 8,
    "heads": 2,
    "layers": 2,
    "model_parallel": 1,
    "parameters": 2 * VOCAB * 8 + 8 + 2 * LAYER,
}


def facts(folder: Path) -> dict[str, int]:
    return checkpoints.facts_of(folder, walk(folder))


def announced(release: Release, **values: Any) -> None:
    Release.objects.filter(pk=release.pk).update(**values)


def shown(release: Release) -> dict[str, int]:
    release.refresh_from_db()
    return {name: getattr(release, name) for name in FACTS}


def publish(folder: Path, **more: Any) -> services.Published:
    return publish_folder(folder, repo_id="meta/llama-7b", actor=None, **more)


# ---- read from the folder ------------------------------------------------------------------------


def test_the_original_layout_says_what_it_is(tmp_path: Path) -> None:
    assert facts(original(tmp_path / "one")) == FACTS
    tensors = [tensor for name, tensor in shard().items() if name != "rope.freqs"]
    assert FACTS["parameters"] == sum(tensor.numel() for tensor in tensors)
    assert facts(original(tmp_path / "two", 2)) == FACTS | {"model_parallel": 2}
    long = facts(original(tmp_path / "long", max_seq_len=8192))
    assert long == FACTS | {"context_length": 8192}


def test_the_safetensors_layout_says_what_it_is(tmp_path: Path) -> None:
    folder = safetensors(tmp_path / "hf")
    less = 2 * 2 * 8 * 4  # one key/value head instead of two
    found = {**FACTS, "parameters": FACTS["parameters"] - less}
    del found["model_parallel"]
    assert facts(folder) == found
    config = json.loads((folder / "config.json").read_text())
    other = {**config, "architectures": ["GPTNeoXForCausalLM"], "max_position_embeddings": "many"}
    (folder / "config.json").write_text(json.dumps(other))
    assert facts(folder) == found, "of another architecture the tensors are counted"


# ---- published -----------------------------------------------------------------------------------


def test_publishing_fills_in_what_was_not_announced(release: Release, folder: Path) -> None:
    published = publish(folder)
    assert shown(release) == FACTS
    assert published.corrected == ()
    assert published.revision.facts == FACTS
    event = history(release).get(verb=Verb.RELEASE_PUBLISHED)
    assert event.data["facts"]["after"]["layers"] == 2
    assert release.context_length is None, "this params.json does not name it"


def test_weights_that_contradict_the_announcement_are_not_published(
    release: Release, folder: Path, store: Path
) -> None:
    announced(release, layers=99, parameters=1_234, heads=2)
    with pytest.raises(PublishError) as caught:
        publish(folder)
    for words in ("layers 99 there, 2 in the weights", "parameters 1,234", "--correct-facts"):
        assert words in str(caught.value)
    assert "heads" not in str(caught.value)
    assert nothing_is_published(release)
    assert not store.exists(), "it was said before anything was copied"


def test_told_to_it_publishes_them_and_corrects_the_catalogue(
    release: Release, tmp_path: Path
) -> None:
    announced(release, layers=99, heads=2, context_length=2048)
    folder = original(tmp_path / "two", 2, max_seq_len=8192)
    published = publish(folder, correct_facts=True)
    assert published.corrected == ("context_length", "layers", "model_parallel")
    assert shown(release) == FACTS | {"model_parallel": 2}
    assert release.context_length == 8192
    told = history(release).get(verb=Verb.RELEASE_PUBLISHED).data["facts"]
    assert (told["before"]["layers"], told["after"]["layers"]) == (99, 2)


def test_the_same_bytes_once_more_repair_what_somebody_mistyped(
    revision: Revision, release: Release, folder: Path
) -> None:
    announced(release, layers=99, parameters=1_234)
    again = publish(folder)
    assert (again.revision, again.changed) == (revision, False)
    assert again.corrected == ("layers", "parameters")
    assert shown(release) == FACTS
    event = history(release).get(verb=Verb.RELEASE_CHANGED)
    assert event.data["before"] == {"layers": 99, "parameters": 1_234}
    assert publish(folder).corrected == ()
    assert history(release).filter(verb=Verb.RELEASE_CHANGED).count() == 1


def test_other_bytes_of_the_same_size_are_not_taken_for_the_same(
    revision: Revision, release: Release, folder: Path
) -> None:
    announced(release, layers=99)
    (folder / "tokenizer.model").write_bytes(b"not read at publicatioN")
    with pytest.raises(PublishError, match="layers 99 there"):
        publish(folder)
    assert Revision.objects.get() == revision


def test_a_revision_that_becomes_the_current_one_again_brings_its_facts_along(
    revision: Revision, release: Release, tmp_path: Path, manager: Account
) -> None:
    publish(original(tmp_path / "long", max_seq_len=8192))
    announced(release, layers=3)
    services.make_current(revision.pk, actor=manager)
    assert shown(release) == FACTS


def test_the_command_says_what_it_corrected(
    release: Release, folder: Path, manager: Account
) -> None:
    def run(*more: str) -> str:
        out = StringIO()
        arguments = (str(folder), "--repo=meta/llama-7b", "--verbosity=0", *more)
        call_command("publish", *arguments, stdout=out)
        return out.getvalue()

    announced(release, layers=99)
    with pytest.raises(CommandError, match="--correct-facts"):
        run()
    assert "corrected in the catalogue from the weights: layers" in run("--correct-facts")
    assert "nothing changed" in run()
    announced(release, layers=99)
    assert run().endswith("corrected in the catalogue from the weights: layers\n")


# ---- in the admin --------------------------------------------------------------------------------


def change(client: Client, release: Release, **changes: Any) -> int:
    names = ("repo_id", "slug", "name", "model_parallel", "link_hours", "metadata", "position")
    form = {name: getattr(release, name) for name in names} | {"family": release.family_id}
    url = f"/admin/catalog/release/{release.pk}/change/"
    return client.post(url, {**form, **changes}).status_code


def test_before_publication_the_numbers_are_announced_by_hand_or_left_empty(
    release: Release, manager: Account
) -> None:
    client = signed_in(manager)
    assert change(client, release, layers="", context_length=4096) == 302
    release.refresh_from_db()
    assert (release.layers, release.context_length) == (None, 4096)


def test_after_it_nobody_edits_what_the_weights_say(
    revision: Revision, release: Release, manager: Account
) -> None:
    client = signed_in(manager)
    page = client.get(f"/admin/catalog/release/{release.pk}/change/").content.decode()
    for name in FACTS:
        assert f'name="{name}"' not in page
    assert 'name="context_length"' in page, "the weights do not say it"
    assert change(client, release, layers=99, parameters=1, context_length=4096) == 302
    assert shown(release) == FACTS
    assert release.context_length == 4096
