"""`script/demo`: it starts everything, stops everything, and loses nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from demo import schema
from tests.live import ROOT, Site, environment, free_port, start_again, stop, wait_gone


def home_page(site: Site) -> str:
    with urllib.request.urlopen(site.url, timeout=10) as answer:
        return answer.read().decode()


def test_ctrl_c_leaves_no_process_and_a_second_start_finds_everything(site: Site) -> None:
    """The site of all tests is the first start: it began in an empty folder. At their end it is stopped by SIGTERM."""
    assert "SmolLM2 135M" in home_page(site)
    token = site.token("newcomer@demo.test", "read")
    files = sorted(path for path in (site.home / "store").rglob("*") if path.is_file())
    assert stop(site, signal.SIGINT) == 0
    assert wait_gone(site) == []

    start_again(site)
    request = urllib.request.Request(
        f"{site.url}/api/v1/applications/", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200, "the token of the first start still opens"
    assert files == sorted(path for path in (site.home / "store").rglob("*") if path.is_file())
    another = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment(site.home, WEIGHBRIDGE_PORT=str(free_port())),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert another.returncode == 1
    assert "already runs" in another.stderr


def test_a_supervisor_that_is_killed_takes_its_processes_along(site: Site) -> None:
    """SIGKILL cannot be caught: the kernel tells the children.

    `script/manage` on the same home means that demo while it runs: its address in mails, its Redis, and that no
    second factor is asked. Of one that is over it takes nothing, though it had no time to tidy up.
    """
    code = "from django.conf import settings as s; print(s.DEMO, s.REQUIRE_MFA, s.BASE_URL)"
    told = site.manage("shell", "--no-imports", "-c", code)
    stop(site, signal.SIGKILL)
    assert told.split() == ["True", "False", site.url]
    assert wait_gone(site) == []
    told = site.manage("shell", "--no-imports", "-c", code)
    assert told.split() == ["False", "True", "http://127.0.0.1:8000"]
    start_again(site)


def test_a_process_that_dies_is_started_again(site: Site) -> None:
    found = subprocess.run(["pgrep", "-f", "celery.*beat"], capture_output=True, text=True)
    mine = set(map(int, found.stdout.split())) & set(site.group())
    assert mine
    for pid in mine:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while "beat ended" not in (site.home / "demo.err").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "SmolLM2 135M" in home_page(site)


def test_a_home_of_an_older_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "weighbridge.sqlite3"
    database.write_bytes(b"of an older version")
    refused = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment(tmp_path, WEIGHBRIDGE_PORT=str(free_port())),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1
    assert "was made by an older version" in refused.stderr
    assert "remove that folder" in refused.stderr
    assert database.read_bytes() == b"of an older version"


def test_a_home_of_this_version_is_not_from_an_older_one(tmp_path: Path) -> None:
    assert not schema.is_from_older_version(tmp_path), "an empty folder"
    (tmp_path / schema.DATABASE).touch()
    assert not schema.is_from_older_version(tmp_path), "an empty database"
    schema.write_stamp(tmp_path)
    (tmp_path / schema.DATABASE).write_bytes(b"of this version")
    assert not schema.is_from_older_version(tmp_path)
    (tmp_path / schema.STAMP).write_text("another digest\n")
    assert schema.is_from_older_version(tmp_path)


@pytest.mark.parametrize("port", ["web", "0", "99999"])
def test_a_port_that_is_none_is_said(tmp_path: Path, port: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env=environment(tmp_path, WEIGHBRIDGE_PORT=port),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "must be a port number" in done.stderr


def test_a_taken_port_is_said_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "demo"],
            cwd=ROOT,
            env=environment(tmp_path, WEIGHBRIDGE_PORT=port),
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"Port {port} is taken" in done.stderr
    assert done.stdout == ""


def test_the_demos_release_loads_in_transformers_as_it_stands(site: Site, tmp_path: Path) -> None:
    """Both layouts in one revision: fetched over signed links, as a holder fetches them."""
    token = site.token("researcher@demo.test", "download")
    for path, url in links_of(site, token).items():
        if not path.startswith("consolidated."):
            urllib.request.urlretrieve(url, tmp_path / path)
    assert len(list(tmp_path.glob("model-*-of-00003.safetensors"))) == 3
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    said = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        said, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**prompt, max_new_tokens=12, do_sample=False)[0]
    assert "Paris" in tokenizer.decode(answer[prompt["input_ids"].shape[1] :])


def links_of(site: Site, token: str) -> dict[str, str]:
    request = urllib.request.Request(
        f"{site.url}/api/v1/releases/smollm2-135m/links/",
        data=b"{}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        links = json.load(answer)
    assert {"params.json", "consolidated.02.pth"} <= {link["path"] for link in links}
    return {link["path"]: link["url"] for link in links}
