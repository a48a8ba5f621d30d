"""`huggingface_hub`, unmodified, decides requests on a running site; the REST face sees what it did."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
from huggingface_hub import HfApi

from tests.live import Site

REPO = "meta/llama-65b"  # one of the invented applications is for it alone, and no other test takes that
SCRIPT = """
from huggingface_hub import HfApi
api = HfApi()
for request in api.list_pending_access_requests("meta/llama-65b"):
    print(request.username, request.request_id)
"""


def rest(site: Site, email: str, *scopes: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {site.token(email, *scopes)}"}
    return httpx.Client(base_url=f"{site.url}/api/v1/", headers=headers, timeout=60)


def test_a_request_is_accepted_and_set_back_by_the_client(site: Site, tmp_path: Path) -> None:
    reviewer = site.token("reviewer@demo.test", "review")
    manager = HfApi(endpoint=site.url, token=site.token("manager@demo.test", "review"))
    # As a newcomer would: nothing but the two variables.
    script = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "HF_ENDPOINT": site.url, "HF_TOKEN": reviewer, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert script.returncode == 0, script.stderr
    waiting = [line.split() for line in script.stdout.splitlines()]
    assert waiting, "the demo has a queue of invented applications for this release"
    desk = rest(site, "reviewer@demo.test", "read", "review")
    user, number = next(  # one that nobody holds, for this release alone
        (user, int(reference.removeprefix("WB-")))
        for user, reference in waiting
        if (one := desk.get(f"applications/{int(reference.removeprefix('WB-'))}/").json())["state"]
        == "submitted"
        and one["releases"] == ["llama-65b"]
    )
    HfApi(endpoint=site.url, token=reviewer).accept_access_request(REPO, user)
    assert desk.get(f"applications/{number}/").json()["state"] == "approved"
    assert user in [one.username for one in manager.list_accepted_access_requests(REPO)]
    manager.cancel_access_request(REPO, user)
    assert user in [one.username for one in manager.list_pending_access_requests(REPO)]
    assert user not in [one.username for one in manager.list_accepted_access_requests(REPO)]
