"""The website reads the files of a tokenizer that the engine reads, and no weights."""

import json
import shutil
from pathlib import Path

import pytest
from django.conf import settings

from distribution import selectors as distribution
from inference_sandbox import tokens
from inference_sandbox.engine.tokenizer import load_tokenizer
from portal.catalog.models import Family
from tests.inference_sandbox.conftest import tiny_release

pytestmark = pytest.mark.django_db


def test_the_website_has_the_tokens_and_the_ends_of_the_engine(
    family: Family, weights: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    (folder / "added_tokens.json").write_text(json.dumps({"<|extra|>": 259, "<|eot|>": 260}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<|extra|>"}))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [258, 260]}))
    revision = distribution.current_revision(tiny_release(family, folder))
    website, engine = tokens.tokenizer_of(revision), load_tokenizer(folder)
    assert website.eos_ids == engine.eos_ids == {258, 260}
    assert website.control_tokens == engine.control_tokens
    assert website.control_tokens["<|extra|>"] == 259
    assert not set(website.encode("<|extra|><|eot|>")) & {259, 260}
    cache = settings.SANDBOX_CACHE / "tokenizers" / revision.digest
    fetched = {path.name for path in cache.iterdir()}
    assert fetched == {path.name for path in folder.iterdir()} - {"consolidated.00.pth"}
