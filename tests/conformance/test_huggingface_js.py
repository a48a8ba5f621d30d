"""@huggingface/hub, the Hub's client for JavaScript, against a real server.

Its requests are kept in tests/clients/recorded/ and sent again by tests/distribution/test_hub_recorded.py, which runs
by default. To record them anew:

    UPDATE_RECORDED=1 script/test --all tests/conformance/test_huggingface_js.py
"""

import hashlib
import json
import os
import subprocess
from typing import Any

from distribution.hub import card
from distribution.hub.tree import File, files_of
from distribution.models import Download
from portal.accounts.models import Account
from tests.clients.environments import ROOT, all_only, node, node_modules
from tests.clients.recording import Client, Recorder, load, save
from tests.clients.recording import live as live
from tests.clients.recording import recorder as recorder
from tests.conformance.conftest import REPO, Hub
from tests.conformance.hub_release import BIG

WALK = ROOT / "tests/clients/huggingface_js/walk.js"
RECORDED = "huggingface_js"
PARAMETERS = 2088  # of the model that hub_release.py writes


@all_only
def test_all_that_people_do_with_the_client_works(
    hub: Hub, mallory: Account, recorder: Recorder
) -> None:
    tokens = {f"hf_{hub.alices}": "alice", f"hf_{hub.token(mallory)}": "mallory"}
    results = walk(hub, *tokens)
    check_recorded(recorder, tokens, hub.sha)
    refusals = {
        name: results.pop(name)
        for name in list(results)
        if name.startswith(("mallory", "nobody", "wrong"))
    }
    assert results == expected(hub)
    for name in ("mallory: exists", "mallory: download", "mallory: weights", "mallory: snapshot"):
        assert refusals[name].startswith("HubApiError 403"), name
    for name in ("nobody: exists", "nobody: download", "nobody: weights", "nobody: snapshot"):
        assert refusals[name].startswith("HubApiError 401"), name
    assert "You have no grant for LLaMA 7B. Apply for it" in refusals["mallory: download"]
    assert "Sign in, or send a token." in refusals["nobody: download"]
    assert refusals["wrong token"].startswith("HubApiError 401")
    assert refusals["mallory: info"] == refusals["nobody: info"] == REPO  # its metadata are public
    fetched = Download.objects.filter(outcome="served", bytes_asked__gt=0)
    assert {row.grant for row in fetched} == {hub.grant}


def walk(hub: Hub, alices: str, mallorys: str) -> dict[str, Any]:
    """What came of each call of tests/clients/huggingface_js/walk.js, by its name."""
    arguments = [str(node_modules(RECORDED)), hub.url, REPO, hub.sha, alices, mallorys]
    done = subprocess.run(
        [node(), str(WALK), *arguments],
        cwd=hub.home,
        env={"PATH": "/usr/bin:/bin", "HOME": str(hub.home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(results, dict)
    return results


def check_recorded(recorder: Recorder, tokens: dict[str, str], commit: str) -> None:
    """Nothing was sent that is not kept; with UPDATE_RECORDED, what was sent is kept from now on."""
    package = json.loads((WALK.parent / "package.json").read_text())
    version = package["dependencies"]["@huggingface/hub"]
    client = Client(
        f"@huggingface/hub {version}", user_agent="node", keeps_token=True, follows_location=False
    )
    requests = recorder.requests(tokens, commit)
    if os.environ.get("UPDATE_RECORDED"):
        save(RECORDED, client, requests)
    kept_client, kept = load(RECORDED)
    assert kept_client == client
    assert [one for one in requests if one not in kept] == []


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def expected(hub: Hub) -> dict[str, Any]:
    paths = [path for path in hub.folder.rglob("*") if path.is_file()]
    contents = {path.relative_to(hub.folder).as_posix(): path.read_bytes() for path in paths}
    contents["README.md"] = readme = card.readme(hub.release, hub.revision)
    hashes = {name: sha256(content) for name, content in contents.items()}
    files = {file.path: file for file in files_of(hub.release, hub.revision)}
    pointer = files["consolidated.00.pth"].as_pointer()
    return {
        "whoami": hub.grant.account.handle,
        "info": {
            "id": f"{hub.release.pk:024x}",
            "name": REPO,
            "private": False,
            "gated": "manual",
            "task": "text-generation",
            "likes": 0,
            "downloads": 0,
            "updatedAt": True,
            "sha": hub.sha,
            "cardData": card.metadata(hub.release, hub.revision),
            "filePaths": sorted(contents),
            "safetensors": {"parameters": {"BF16": PARAMETERS}, "total": PARAMETERS},
        },
        "info of a commit": hub.sha,
        "access": None,
        "exists": True,
        "exists not": False,
        "models": [REPO],
        "files": [["evals", "directory", 0]]
        + [[name, "file", len(contents[name])] for name in sorted(contents)],
        "dated files": [hub.sha],
        "paths": [["params.json", hub.sha]],
        "commits": [hub.sha],
        "number of commits": 1,
        "file exists": [True, True, True, False],
        "file": hashes["params.json"],
        "file of a tag": hashes["evals/boolq.json"],
        "file of HEAD": hashes["params.json"],
        "large file": hashes[BIG],
        "part": sha256(contents[BIG][7_000_000:7_100_000]),
        "part of the card": sha256(readme[10:50]),
        "card": hashes["README.md"],
        "pointer": sha256(pointer.text),
        "absent": None,
        "download info": _download_info(files["params.json"]),
        "download info of the card": _download_info(files["README.md"]),
        "download info of the pointer": _download_info(pointer, "raw"),
        "safetensors": [True, 2, {"BF16": PARAMETERS}],
        "snapshot": hashes,
    }


def _download_info(file: File, door: str = "resolve") -> list[Any]:
    return [file.size, file.etag, f"/{REPO}/{door}/main/{file.path}"]
