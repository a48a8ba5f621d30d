"""What people do with huggingface_hub, in calls that every version since 0.20 has. Prints what came of each as JSON.

Run by the Python of an environment that has huggingface_hub and nothing of this project:
HF_ENDPOINT, HF_HOME and HF_TOKEN (alice's) in the environment; arguments: repo, commit, mallory's token.
"""

import hashlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download

REPO, COMMIT, MALLORYS = sys.argv[1:]
NOBODYS = False  # no token is sent
api = HfApi()
results = {}


def call(name, function):
    try:
        results[name] = function()
    except Exception as error:
        results[name] = f"{type(error).__name__}: {error}"


def field(value, name):
    """Up to 0.20 some values are dictionaries."""
    return value[name] if isinstance(value, dict) else getattr(value, name)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def download(name="params.json", cache="cache", **more):
    """SHA-256 of the file, and the revision under which the client's cache has it."""
    path = Path(hf_hub_download(REPO, name, cache_dir=cache, **more)).absolute()
    return [digest(path), path.relative_to(Path(cache).absolute()).parts[2]]


def snapshot():
    folder = Path(snapshot_download(REPO, cache_dir="snapshot", ignore_patterns="big*"))
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in folder.rglob("*.*")
        if path.is_file()
    }


def info():
    found = api.model_info(REPO, files_metadata=True)
    return {
        "id": found.id,
        "sha": found.sha,
        "downloads": found.downloads,
        "likes": found.likes,
        "config": found.config,
        "parameters": field(found.safetensors, "parameters"),
        "has a date": found.last_modified is not None,
        "sizes": {one.rfilename: one.size for one in found.siblings},
    }


def expanded():
    if "expand" not in inspect.signature(HfApi.model_info).parameters:
        return None  # not in this version
    found = api.model_info(REPO, expand=["downloads", "likes", "safetensors", "lastModified"])
    return [
        found.downloads,
        found.safetensors.total,
        found.last_modified is not None,
        found.sha,
        found.siblings,
    ]


def listed():
    return [
        [one.id, one.downloads, one.likes] for one in api.list_models(search="llama-7", full=True)
    ]


def tree(**more):
    return {
        one.path: one.last_commit and field(one.last_commit, "oid")
        for one in api.list_repo_tree(REPO, **more)
    }


def paths():
    found = api.get_paths_info(REPO, ["params.json", "evals", "nothing.json"], expand=True)
    return {one.path: field(one.last_commit, "oid") for one in found}


def folder_of_files():
    return sorted(
        [one["name"], one["type"], one["size"]] for one in HfFileSystem().ls(f"{REPO}/evals")
    )


def file_info():
    found = HfFileSystem().info(f"{REPO}/params.json")
    return found["size"]


def found_files():
    return sorted(HfFileSystem().find(REPO))


def read_part():
    with HfFileSystem().open(f"{REPO}/big.bin.txt", block_size=1024) as file:
        file.seek(7_000_000)
        return hashlib.sha256(file.read(100_000)).hexdigest()


def tensors():
    found = api.get_safetensors_metadata(REPO)
    return [found.sharded, sum(found.parameter_count.values())]


def command_line():
    """`hf download`, or as older versions call it `huggingface-cli download`."""
    folder = Path(sys.executable).parent
    program = folder / "hf" if (folder / "hf").exists() else folder / "huggingface-cli"
    done = subprocess.run(
        [str(program), "download", REPO, "evals/boolq.json", "params.json", "--cache-dir", "cli"],
        capture_output=True,
        text=True,
    )
    files = sorted(Path("cli").glob("*/snapshots/*/**/*.json"))
    return [digest(path) for path in files] or done.stdout[-500:] + done.stderr[-1500:]


call("version", lambda: huggingface_hub.__version__)
call("whoami", lambda: api.whoami()["name"])
call("main", download)
call("tag", lambda: download(revision="v1", cache="tag"))
call("commit", lambda: download(revision=COMMIT, cache="commit"))
call("nested", lambda: download("evals/boolq.json"))
call("large", lambda: download("big.bin.txt"))
call("card", lambda: download("README.md")[1])
call("absent", lambda: download("added_tokens.json"))
call("no such revision", lambda: download(revision="v9"))
call("snapshot", snapshot)
call("info", info)
call("expanded info", expanded)
call("list", listed)
call("files", lambda: sorted(api.list_repo_files(REPO)))
call("tree", lambda: tree())
call("whole tree", lambda: tree(recursive=True, expand=True))
call("paths", paths)
call("refs", lambda: [one.name for one in api.list_repo_refs(REPO).tags])
call("commits", lambda: [one.commit_id for one in api.list_repo_commits(REPO)])
call(
    "exist",
    lambda: [
        api.repo_exists(REPO),
        api.file_exists(REPO, "params.json"),
    ],
)
call(
    "exist not",
    lambda: [
        api.repo_exists("meta/none"),
        api.file_exists(REPO, "none"),
    ],
)
call("folder", folder_of_files)
call("file", file_info)
call("found", found_files)
call("part", read_part)
call("tensors", tensors)
call("command line", command_line)


def refused(name, token):
    call(f"{name}: info", lambda: api.model_info(REPO, token=token).sha)
    call(f"{name}: file", lambda: download(cache=name, token=token))
    call(
        f"{name}: snapshot",
        lambda: snapshot_download(REPO, cache_dir=name, token=token, allow_patterns="p*"),
    )


refused("mallory", MALLORYS)
refused("nobody", NOBODYS)
call("bad token", lambda: download(cache="bad", token="wb_of-nobody"))
print(json.dumps(results))
