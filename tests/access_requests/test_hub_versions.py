"""Access requests are decided with each version of huggingface_hub that people have, in an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from access_requests.models import Application
from portal.accounts.models import Account, ApiToken, Scope
from tests.clients.environments import all_only, python_of

pytestmark = [pytest.mark.django_db(transaction=True), all_only]
REPO = "meta/llama-7b"
STATUSES = ("pending", "accepted", "rejected")
SCRIPT = """
import inspect, json, sys
from huggingface_hub import HfApi
api, repo, user = HfApi(), *sys.argv[1:]
lists = [api.list_pending_access_requests, api.list_accepted_access_requests, api.list_rejected_access_requests]
def seen():
    return [[[one.username, one.status] for one in list_(repo)] for list_ in lists]
def reject(repo, user):
    if "rejection_reason" in inspect.signature(api.reject_access_request).parameters:
        return api.reject_access_request(repo, user, rejection_reason="No plan.")
    try:  # older ones have no way to give one
        api.reject_access_request(repo, user)
    except Exception as error:
        assert "needs a reason" in str(error)
steps = [seen()]
for act in (api.accept_access_request, api.cancel_access_request, api.grant_access, reject):
    act(repo, user)
    steps.append(seen())
print(json.dumps(steps))
"""


@pytest.mark.parametrize("version", ["hub_0_20", "hub_0_23", "hub_0_36", "hub_1_33", "newest"])
def test_a_request_is_accepted_cancelled_granted_and_rejected(
    version: str,
    live_server: Any,
    settings: Settings,
    submitted: Application,
    alice: Account,
    manager: Account,
    tmp_path: Path,
) -> None:
    settings.BASE_URL = live_server.url
    token = ApiToken.make(manager, name="automation", scopes=[str(Scope.REVIEW)])[1]
    python = Path(sys.executable) if version == "newest" else python_of(version)
    done = subprocess.run(
        [str(python), "-c", SCRIPT, REPO, alice.handle],
        env={"HF_ENDPOINT": live_server.url, "HF_TOKEN": token, "HF_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    pending, accepted, rejected = (
        [[[alice.handle, status]] if status == one else [] for one in STATUSES]
        for status in STATUSES
    )
    last = accepted if version in ("hub_0_20", "hub_0_23") else rejected
    assert json.loads(done.stdout) == [pending, accepted, pending, accepted, last]
