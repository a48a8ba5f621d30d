"""Versions of huggingface_hub that people have, each in an environment of its own, against a real server.

Their requests are kept in tests/clients/recorded/ and sent again by
tests/distribution/test_hub_recorded.py, which runs by default. To record them anew:

    UPDATE_RECORDED=1 script/test --all tests/conformance/test_hub_versions.py -k works
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import hf_hub_download
from pytest_django import Settings
from tokenizers import Tokenizer

from distribution.hub import card
from distribution.models import Download, Revision
from portal.accounts.models import Account
from tests.clients.environments import ROOT, all_only, python_of
from tests.clients.recording import Client, Recorder, Request, load, save
from tests.clients.recording import live as live
from tests.clients.recording import recorder as recorder
from tests.conformance.conftest import REPO, Hub
from tests.conformance.hub_release import BIG
from tests.distribution.cutting import Exchange, line_to
from tests.live import Site

WALK = ROOT / "tests/clients/hub_walk.py"
VERSIONS = ("hub_0_20", "hub_0_23", "hub_0_36", "hub_1_33")
# Calls that end in an error.
REFUSED = (
    *("absent", "no such revision", "bad token"),
    *("mallory: file", "mallory: snapshot", "nobody: file", "nobody: snapshot"),
)
PARAMETERS = 2088  # of the model that hub_release.py writes
DOWNLOAD = """
import hashlib, sys
from huggingface_hub import hf_hub_download
for name in ("params.json", "big.bin.txt"):
    print(hashlib.sha256(open(hf_hub_download(sys.argv[1], name), "rb").read()).hexdigest())
"""
LOAD = """
import json, sys
from transformers import AutoConfig, AutoTokenizer
repo, mallorys = sys.argv[1:]
config, tokenizer = AutoConfig.from_pretrained(repo), AutoTokenizer.from_pretrained(repo)
ids = tokenizer("the weights of a model").input_ids
print(json.dumps([config.model_type, config.num_hidden_layers, ids]))
for token in (mallorys, False):
    try:
        AutoConfig.from_pretrained(repo, token=token, cache_dir="another")
    except OSError as error:
        print(" ".join(str(error).split()))
"""
DEMO_REPO = "demo/smollm2-135m"
TEXT = "Weights are weighed here, naïvely: 12 times."
TOKENIZE = """
import json, sys
from transformers import AutoConfig, AutoTokenizer
repo, text = sys.argv[1:]
ids = AutoTokenizer.from_pretrained(repo)(text).input_ids
print(json.dumps([AutoConfig.from_pretrained(repo).model_type, ids]))
"""


@all_only
@pytest.mark.parametrize("version", [*VERSIONS, "newest"])
def test_all_that_people_do_with_the_client_works(
    version: str, hub: Hub, mallory: Account, recorder: Recorder
) -> None:
    tokens = {hub.alices: "alice", hub.token(mallory): "mallory"}
    results = walk(python(version), hub, *tokens)
    file = "hub_newest" if version == "newest" else version
    number = results["version"]
    client = Client(
        f"huggingface_hub {number}",
        user_agent=f"unknown/None; hf_hub/{number}; python/3.11.7",
        keeps_token=version != "hub_0_20",
        follows_location=True,
    )
    check_recorded(file, client, recorder.requests(tokens, hub.sha))
    refusals = {name: str(results.pop(name)) for name in REFUSED}
    assert results.pop("expanded info") in (None, [0, PARAMETERS, True, None, None])
    assert results == {"version": results["version"], **expected(hub)}
    assert "has no file 'added_tokens.json'" in refusals["absent"]
    assert refusals["no such revision"].startswith("RevisionNotFoundError")
    for name in ("mallory: file", "mallory: snapshot"):
        assert "You have no grant for LLaMA 7B. Apply for it" in refusals[name]
    for name in ("nobody: file", "nobody: snapshot"):
        assert "Sign in, or send a token." in refusals[name]
    fetched = Download.objects.filter(outcome="served", bytes_asked__gt=0)
    assert {row.grant for row in fetched} == {hub.grant}


@all_only
@pytest.mark.parametrize("version", [*VERSIONS, "newest"])
def test_the_client_downloads_from_a_bucket(version: str, hub_on_s3: Hub) -> None:
    """The store refuses a request that carries our token beside its own signature."""
    done = run(python(version), hub_on_s3, "-c", DOWNLOAD, REPO)
    assert done.stdout.split() == [sha256(hub_on_s3.folder / name) for name in ("params.json", BIG)]
    assert set(Download.objects.filter(method="GET").values_list("outcome", flat=True)) == {
        "redirected"
    }


@all_only
def test_transformers_4_loads_configuration_and_tokenizer(
    hub: Hub, mallory: Account, recorder: Recorder
) -> None:
    tokens = {hub.alices: "alice", hub.token(mallory): "mallory"}
    alices, mallorys = tokens
    done = run(python("transformers_4_44"), hub, "-c", LOAD, REPO, mallorys, token=alices)
    assert done.returncode == 0, done.stderr
    loaded, *refused = done.stdout.splitlines()
    assert json.loads(loaded) == ["llama", 2, [3, 4, 5, 6, 8]]
    assert "You have no grant for LLaMA 7B. Apply for it" in refused[0]
    assert "Sign in, or send a token." in refused[1]
    client = Client(
        "transformers 4.44.2",
        user_agent="transformers/4.44.2; hf_hub/0.23.5; python/3.11.7",
        keeps_token=True,
        follows_location=True,
    )
    check_recorded("transformers_4_44", client, recorder.requests(tokens, hub.sha))


@all_only
def test_transformers_4_reads_the_demos_release(site: Site, tmp_path: Path) -> None:
    """Its tokenizers 0.19 knows merges as strings alone."""
    token = site.token("researcher@demo.test", "read", "download")
    done = subprocess.run(
        [str(python("transformers_4_44")), "-c", TOKENIZE, DEMO_REPO, TEXT],
        cwd=tmp_path,
        env={"HF_ENDPOINT": site.url, "HF_HOME": str(tmp_path), "HF_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    file = hf_hub_download(
        DEMO_REPO, "tokenizer.json", endpoint=site.url, token=token, cache_dir=tmp_path / "here"
    )
    assert json.loads(done.stdout) == ["llama", Tokenizer.from_file(file).encode(TEXT).ids]


@all_only
def test_the_oldest_client_notices_a_branch_that_moves_to_another_size(
    hub: Hub, settings: Settings, republished: Callable[[], Revision]
) -> None:
    """It asks for the branch twice, and compares sizes alone; since 0.21 it goes on at the commit's address."""

    def move(exchange: Exchange) -> None:
        if exchange.method == "GET" and hub.release.revisions.count() == 1:  # type: ignore[attr-defined]
            republished()

    with line_to(hub.url) as line:
        settings.BASE_URL, line.answer = line.url, move
        done = run(python("hub_0_20"), replace(hub, url=line.url), "-c", DOWNLOAD, REPO)
    assert "Consistency check failed" in done.stderr
    assert not done.stdout


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def python(version: str) -> Path:
    return Path(sys.executable) if version == "newest" else python_of(version)


def run(
    python: Path, hub: Hub, *arguments: str, token: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), *arguments],
        cwd=hub.home,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(hub.home),
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(hub.home / "hf"),
            "HF_TOKEN": token or hub.alices,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )


def walk(python: Path, hub: Hub, alices: str, mallorys: str) -> dict[str, Any]:
    """What came of each call of tests/clients/hub_walk.py, by its name."""
    done = run(python, hub, str(WALK), REPO, hub.sha, mallorys, token=alices)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(results, dict)
    return results


def check_recorded(file: str, client: Client, requests: list[Request]) -> None:
    """Nothing was sent that is not kept; with UPDATE_RECORDED, what was sent is kept from now on."""
    if os.environ.get("UPDATE_RECORDED"):
        save(file, client, requests)
    kept_client, kept = load(file)
    assert kept_client == client
    assert [one for one in requests if one not in kept] == []


def expected(hub: Hub) -> dict[str, Any]:
    """The same of every version."""
    published = {
        path.relative_to(hub.folder).as_posix(): path
        for path in hub.folder.rglob("*")
        if path.is_file()
    }
    readme = card.readme(hub.release, hub.revision)
    sizes = {name: path.stat().st_size for name, path in published.items()}
    sizes["README.md"] = len(readme)
    hashes = {name: sha256(path) for name, path in published.items()}
    hashes["README.md"] = hashlib.sha256(readme).hexdigest()
    one = [hashes["params.json"], hub.sha]
    large = published[BIG].read_bytes()
    top = {name.partition("/")[0] for name in sizes}
    return {
        "whoami": hub.grant.account.handle,
        **dict.fromkeys(("main", "tag", "commit"), one),
        "nested": [hashes["evals/boolq.json"], hub.sha],
        "large": [hashes[BIG], hub.sha],
        "card": hub.sha,
        "snapshot": {name: value for name, value in hashes.items() if name != BIG},
        "info": {
            "id": REPO,
            "sha": hub.sha,
            "downloads": 0,
            "likes": 0,
            "has a date": True,
            "config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
            "parameters": {"BF16": PARAMETERS},
            "sizes": sizes,
        },
        "list": [[REPO, 0, 0]],
        "files": sorted(sizes),
        "tree": dict.fromkeys(top),
        "whole tree": dict.fromkeys([*sizes, "evals"], hub.sha),
        "paths": dict.fromkeys(["params.json", "evals"], hub.sha),
        "refs": ["v1"],
        "commits": [hub.sha],
        "exist": [True, True],
        "exist not": [False, False],
        "folder": [[f"{REPO}/evals/boolq.json", "file", sizes["evals/boolq.json"]]],
        "file": sizes["params.json"],
        "found": sorted(f"{REPO}/{name}" for name in sizes),
        "part": hashlib.sha256(large[7_000_000:7_100_000]).hexdigest(),
        "tensors": [True, PARAMETERS],
        "command line": [hashes["evals/boolq.json"], hashes["params.json"]],
        "mallory: info": hub.sha,
        "nobody: info": hub.sha,
    }
