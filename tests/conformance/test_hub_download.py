"""Unmodified clients of the hub download under a grant, and read our reason where they may not."""

import hashlib
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.utils import timezone
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from pytest_django import Settings

from access_requests.models import Grant, Tier
from access_requests.services import revoke, suspend
from distribution.models import Download, Revision
from distribution.services import publish, withdraw
from portal.accounts.models import Account, Scope
from portal.audit.models import Event, Verb
from portal.catalog.models import LicenceVersion, Release
from tests.conformance.conftest import REPO, Hub
from tests.conformance.hub_release import BIG
from tests.distribution.asking import finished
from tests.distribution.cutting import Cut, Exchange, line_to
from tests.distribution.weights import original

MIB = 1024 * 1024


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def denials() -> list[str]:
    return list(Download.objects.filter(outcome="denied").values_list("code", flat=True))


# ---- a grant opens -------------------------------------------------------------------------------


def test_one_file_arrives_as_it_was_published(hub: Hub) -> None:
    got = hub.file("params.json", hub.alices)
    assert got.read_bytes() == (hub.folder / "params.json").read_bytes()
    assert got.parent.name == hub.sha
    row = finished(Download.objects.get(method="GET"))
    assert (row.grant, row.outcome, row.bytes_sent) == (hub.grant, "served", got.stat().st_size)
    assert row.user_agent.startswith("unknown/None; hf_hub/")
    assert Event.objects.filter(verb=Verb.DOWNLOAD_STARTED).count() == 1


def test_a_second_call_fetches_nothing_again(hub: Hub) -> None:
    token = hub.alices
    hub.file("params.json", token)
    hub.file("params.json", token)
    assert Download.objects.filter(method="GET").count() == 1


def test_the_head_says_commit_hash_and_size(hub: Hub) -> None:
    address = hf_hub_url(REPO, "params.json", endpoint=hub.url)
    found = get_hf_file_metadata(address, token=hub.alices, endpoint=hub.url)
    assert found.commit_hash == hub.sha
    assert found.etag == sha256(hub.folder / "params.json")
    assert found.size == (hub.folder / "params.json").stat().st_size
    assert found.location == f"{hub.url}/{REPO}/resolve/{hub.sha}/params.json"


def ask(hub: Hub, method: str, client: str, rev: str = "main") -> httpx.Response:
    return httpx.request(
        method,
        f"{hub.url}/{REPO}/resolve/{rev}/params.json",
        headers={"authorization": f"Bearer {hub.alices}", "user-agent": client},
    )


@pytest.mark.parametrize("client", ["unknown/None; hf_hub/0.20.3; python/3.11.7", "curl/8.0"])
@pytest.mark.parametrize("rev", ["main", "v1"])
def test_a_branch_is_answered_without_a_redirect(hub: Hub, client: str, rev: str) -> None:
    """After one, huggingface_hub up to 0.20 and hf-hub (Rust) do not send their token again."""
    head, got = ask(hub, "HEAD", client, rev), ask(hub, "GET", client, rev)
    assert got.content == (hub.folder / "params.json").read_bytes()
    for answer in (head, got):
        assert answer.status_code == 200
        assert answer.headers["x-repo-commit"] == hub.sha
        assert answer.headers["etag"] == f'"{sha256(hub.folder / "params.json")}"'
        assert answer.headers["content-length"] == str(len(got.content))
        assert "location" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("x-xet")]


def test_a_client_that_pins_what_it_was_shown_is_given_the_commit_s_address(hub: Hub) -> None:
    newer = "transformers/4.44.2; hf_hub/0.21.0; python/3.11.7"
    pinned = f"{hub.url}/{REPO}/resolve/{hub.sha}/params.json"
    head = ask(hub, "HEAD", newer)
    assert (head.status_code, head.headers["location"]) == (200, pinned)
    assert "location" not in ask(hub, "GET", newer).headers
    assert "location" not in ask(hub, "HEAD", newer, hub.sha).headers


def test_no_address_of_another_origin_is_given_as_the_commit_s(
    hub: Hub, settings: Settings
) -> None:
    """To another origin than that which the client came to, it would go without its token."""
    settings.BASE_URL = "https://weights.example.org"
    assert "location" not in ask(hub, "HEAD", "unknown/None; hf_hub/2.4.0; python/3.11.7").headers


def test_a_branch_that_moves_during_a_download_mixes_no_revisions(
    hub: Hub, settings: Settings, republished: Callable[[], Revision]
) -> None:
    """It moves between the HEAD and the GET; the client goes on at the commit's address."""
    moved: list[Revision] = []

    def move(exchange: Exchange) -> None:
        if exchange.method == "GET" and not moved:
            moved.append(republished())

    with line_to(hub.url) as line:
        settings.BASE_URL, line.answer = line.url, move
        got = hub.file("params.json", hub.alices, endpoint=line.url)
    assert moved[0].digest != hub.sha
    assert got.parent.name == hub.sha
    assert sha256(got) == sha256(hub.folder / "params.json")


def test_who_downloads_a_branch_that_moved_is_told_the_new_commit_and_hash(
    hub: Hub, republished: Callable[[], Revision]
) -> None:
    """Clients that pin nothing get what the branch is by then: its size, hash and commit are on the answer."""
    client = "unknown/None; hf_hub/0.20.3; python/3.11.7"
    before, newer = ask(hub, "HEAD", client), republished()
    after = ask(hub, "GET", client)
    assert after.headers["x-repo-commit"] == newer.digest
    assert after.headers["etag"] != before.headers["etag"]
    assert after.headers["content-length"] != before.headers["content-length"]


def test_the_whole_revision_arrives_and_is_verified(hub: Hub, tmp_path: Path) -> None:
    got = hub.snapshot(hub.alices, local_dir=tmp_path / "here")
    for path in hub.folder.rglob("*"):
        if path.is_file():
            assert sha256(got / path.relative_to(hub.folder)) == sha256(path)
    checked = hub.api(hub.alices).verify_repo_checksums(REPO, local_dir=got)
    assert not checked.mismatches
    assert not checked.missing_paths
    (got / "params.json").write_text("{}")
    assert hub.api(hub.alices).verify_repo_checksums(REPO, local_dir=got).mismatches


def test_patterns_choose_files(hub: Hub) -> None:
    got = hub.snapshot(hub.alices, allow_patterns=["*.json"], ignore_patterns=["evals/*"])
    names = {path.relative_to(got).as_posix() for path in got.rglob("*") if path.is_file()}
    assert "params.json" in names
    assert all(name.endswith(".json") for name in names)
    assert "evals/boolq.json" not in names


def test_a_tag_and_a_commit_stay_when_main_moves(
    hub: Hub, republished: Callable[[], Revision]
) -> None:
    republished()
    old, token = (hub.folder / "params.json").read_text(), hub.alices
    assert hub.file("params.json", token).read_text() == old + "\n"
    assert hub.file("params.json", token, revision="v1").read_text() == old
    assert hub.file("params.json", token, revision=hub.sha).read_text() == old


def test_tensors_are_read_without_the_file(hub: Hub) -> None:
    found = hub.api(hub.alices).get_safetensors_metadata(REPO)
    assert found.sharded
    assert "model.norm.weight" in found.weight_map
    assert set(Download.objects.filter(bytes_asked__gt=0).values_list("first_byte", flat=True)) == {
        0
    }


def each(*lengths: int) -> Callable[[Exchange], Cut | None]:
    """Cut one answer after another that is longer than the next of these."""
    left = list(lengths)

    def cut(exchange: Exchange) -> Cut | None:
        is_longer = exchange.method == "GET" and left and exchange.length > left[0]
        return Cut(left.pop(0)) if is_longer else None

    return cut


def asked_from(exchange: Exchange) -> str:
    lines = exchange.head.lower().split("\r\n")
    return next((line[7:] for line in lines if line.startswith("range: ")), "")


def test_a_cut_line_goes_on_where_it_stopped(hub: Hub) -> None:
    with line_to(hub.url) as line:
        line.cut = each(12 * MIB)
        got = hub.file(BIG, hub.alices, endpoint=line.url)
    assert sha256(got) == sha256(hub.folder / BIG)
    asked = [asked_from(one) for one in line.downloads() if one.method == "GET"]
    assert asked == ["", f"bytes={10 * MIB}-"]
    rows = Download.objects.filter(method="GET").order_by("pk")
    assert [row.first_byte for row in rows] == [0, 10 * MIB]


def test_many_cuts_bring_the_file_whole(hub: Hub) -> None:
    with line_to(hub.url) as line:
        line.cut = each(11 * MIB, 4 * MIB, 11 * MIB, 1 * MIB)
        got = hub.file(BIG, hub.alices, endpoint=line.url)
    assert sha256(got) == sha256(hub.folder / BIG)
    assert sum(one.was_cut for one in line.exchanges) == 4


def test_a_revocation_during_a_cut_ends_the_download(hub: Hub, manager: Account) -> None:
    """The resumed request comes back to our door, which asks the grant again."""
    token = hub.alices

    def revoke_before_a_resume(exchange: Exchange) -> None:
        if asked_from(exchange):
            revoke(hub.grant.pk, actor=manager, reason="The weights were passed on.")

    with line_to(hub.url) as line:
        line.cut, line.answer = each(12 * MIB), revoke_before_a_resume
        with pytest.raises(GatedRepoError, match=r"The weights were passed on."):
            hub.file(BIG, token, endpoint=line.url)
    assert denials() == ["revoked"]


def test_from_a_bucket_the_bytes_come_without_our_token(hub_on_s3: Hub) -> None:
    got = hub_on_s3.file(BIG, hub_on_s3.alices)  # the store refuses a request with two signatures
    assert sha256(got) == sha256(hub_on_s3.folder / BIG)
    assert Download.objects.get(method="GET").outcome == "redirected"


# ---- no grant, and why ---------------------------------------------------------------------------


def test_without_a_token_the_way_in_is_said(hub: Hub) -> None:
    with pytest.raises(GatedRepoError, match=r"Sign in, or send a token.") as raised:
        hub.file("params.json")
    assert raised.value.response.status_code == 401
    assert not Download.objects.exists()  # nobody we know was refused


def test_a_wrong_token_is_called_so(hub: Hub) -> None:
    with pytest.raises(HfHubHTTPError, match="Invalid credentials in Authorization header"):
        hub.file("params.json", "wb_not-one-of-ours")


def test_an_expired_token_is_called_so(hub: Hub, alice: Account) -> None:
    expired = hub.token(alice, expires_at=timezone.now() - timedelta(minutes=1))
    with pytest.raises(HfHubHTTPError, match="Invalid credentials in Authorization header"):
        hub.file("params.json", expired)


def test_a_token_without_the_scope_is_told_which(hub: Hub, alice: Account) -> None:
    with pytest.raises(GatedRepoError, match="lacks the scope `download`"):
        hub.file("params.json", hub.token(alice, Scope.READ))


def test_somebody_without_a_grant_is_shown_the_form(hub: Hub, mallory: Account) -> None:
    with pytest.raises(GatedRepoError, match=r"You have no grant for LLaMA 7B. Apply") as raised:
        hub.file("params.json", hub.token(mallory))
    assert f"{hub.url}/applications/new/llama/?release=llama-7b" in str(raised.value)
    assert denials() == ["not_granted"]
    denied = Download.objects.get()
    assert denied.artifact is not None
    assert denied.artifact.path == "params.json"
    assert Event.objects.get(verb=Verb.DOWNLOAD_DENIED).actor_id == mallory.pk


def test_a_revoked_grant_opens_nothing_and_says_why(hub: Hub, manager: Account) -> None:
    token = hub.alices
    hub.file("params.json", token)
    revoke(hub.grant.pk, actor=manager, reason="The weights were passed on.")
    with pytest.raises(GatedRepoError, match=r"was revoked. Reason: The weights were passed on."):
        hub.file("tokenizer.json", token)
    with pytest.raises(GatedRepoError, match="was revoked"):
        hub.snapshot(token, cache_dir=hub.home / "another")
    assert set(denials()) == {"revoked"}
    assert {row.grant for row in Download.objects.filter(outcome="denied")} == {hub.grant}


def test_a_suspended_grant_says_why(hub: Hub, manager: Account) -> None:
    suspend(hub.grant.pk, actor=manager, reason="Your report is late.")
    with pytest.raises(GatedRepoError, match=r"is suspended. Reason: Your report is late."):
        hub.file("params.json", hub.alices)


def test_an_ended_grant_says_since_when(hub: Hub) -> None:
    Grant.objects.update(ends_at=timezone.now() - timedelta(days=1))
    with pytest.raises(GatedRepoError, match=r"ended on .*\(since .*Apply again"):
        hub.file("params.json", hub.alices)


def test_a_grant_for_the_sandbox_does_not_cover_the_weights(hub: Hub) -> None:
    Grant.objects.update(tier=Tier.TRY)
    token = hub.alices
    with pytest.raises(GatedRepoError, match="covers the sandbox, not the weights"):
        hub.file("params.json", token)
    assert hub.api(token).model_info(REPO).sha == hub.sha
    assert denials() == ["tier_too_low"]


def test_a_new_licence_has_to_be_accepted_first(hub: Hub) -> None:
    LicenceVersion.objects.create(
        licence=hub.release.family.licence,
        number=2,
        text="# Stricter",
        standing_grants=LicenceVersion.Standing.SUSPEND,
    )
    with pytest.raises(GatedRepoError, match="new version that you have not accepted") as raised:
        hub.file("params.json", hub.alices)
    assert f"{hub.url}/applications/" in str(raised.value)


def test_the_grant_of_one_release_does_not_open_another(hub: Hub, tmp_path: Path) -> None:
    other = Release.objects.get()
    other.pk, other.repo_id, other.slug, other.name = None, "meta/other", "other", "Other"
    other.save()
    publish(original(tmp_path / "other"), repo_id="meta/other", actor=None)
    with pytest.raises(GatedRepoError, match=r"You have no grant for Other."):
        hub.file("params.json", hub.alices, repo="meta/other")


def test_a_withdrawn_release_is_had_by_nobody(hub: Hub) -> None:
    withdraw(hub.release.pk, actor=None, reason="Wrong weights.")
    with pytest.raises(GatedRepoError, match="was withdrawn by its publisher"):
        hub.file("params.json", hub.alices)


# ---- what is not there ---------------------------------------------------------------------------


def test_an_unknown_file_is_remembered_as_such(hub: Hub) -> None:
    with pytest.raises(RemoteEntryNotFoundError, match=r"has no file 'added_tokens.json'"):
        hub.file("added_tokens.json", hub.alices)
    kept = hub.home / "cache" / "models--meta--llama-7b" / ".no_exist" / hub.sha
    assert [path.name for path in kept.iterdir()] == ["added_tokens.json"]


@pytest.mark.parametrize("revision", ["v9", "refs/pr/1", "0" * 40])
def test_an_unknown_revision_is_called_so(hub: Hub, revision: str) -> None:
    with pytest.raises(RevisionNotFoundError):
        hub.file("params.json", hub.alices, revision=revision)


@pytest.mark.parametrize("repo", ["meta/llama-8b", "gpt2"])
def test_an_unknown_release_is_called_so(hub: Hub, repo: str) -> None:
    with pytest.raises(RepositoryNotFoundError) as raised:
        hub.file("params.json", hub.alices, repo=repo)
    assert not isinstance(raised.value, GatedRepoError)


def test_a_file_that_the_store_lost_is_no_bad_copy(hub: Hub) -> None:
    artifact = hub.revision.artifacts.get(path="params.json")
    (hub.home / "store" / artifact.store_key).unlink()
    answer = httpx.head(
        f"{hub.url}/{REPO}/resolve/{hub.sha}/params.json",
        headers={"authorization": f"Bearer {hub.alices}"},
    )
    assert answer.status_code == 503
    assert "your grant and your link stay good" in answer.headers["x-error-message"]
    assert denials() == ["unavailable"]


# ---- the programs --------------------------------------------------------------------------------


def test_hf_download_brings_a_revision(hub: Hub) -> None:
    done = hub.run(
        *("hf", "download", REPO, "--revision", "v1", "--local-dir", "here"),
        *("--include", "*.json", "--include", "consolidated.*"),
        token=hub.alices,
    )
    assert done.returncode == 0, done.stderr
    got = hub.home / "here"
    assert sha256(got / "consolidated.00.pth") == sha256(hub.folder / "consolidated.00.pth")
    assert sha256(got / "evals" / "boolq.json") == sha256(hub.folder / "evals" / "boolq.json")


def test_hf_download_tells_our_reason(hub: Hub, manager: Account) -> None:
    token = hub.alices
    revoke(hub.grant.pk, actor=manager, reason="The weights were passed on.")
    done = hub.run("hf", "download", REPO, "params.json", token=token)
    assert done.returncode != 0
    assert "The weights were passed on." in done.stdout + done.stderr


def test_hf_says_who_a_token_belongs_to(hub: Hub, alice: Account) -> None:
    done = hub.run("hf", "auth", "whoami", token=hub.alices)
    assert alice.handle in done.stdout, done.stderr


LOAD = """
import os, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
repo, folder, without_grant = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(repo)
assert tokenizer("the weights of a model").input_ids == [3, 4, 5, 6, 8]
model, published = [AutoModelForCausalLM.from_pretrained(place) for place in (repo, folder)]
assert AutoConfig.from_pretrained(repo).num_hidden_layers == 2
ours, theirs = model.state_dict(), published.state_dict()
assert ours.keys() == theirs.keys()
assert all(torch.equal(ours[name], theirs[name]) for name in ours)
print("equal")
try:
    AutoConfig.from_pretrained(repo, token=without_grant, cache_dir="another")
except OSError as error:
    print(error)
"""


def test_from_pretrained_loads_the_sharded_model_under_a_grant(hub: Hub, mallory: Account) -> None:
    """In one process, as it takes long to start: what loads, and what somebody without a grant is told."""
    python = Path(sys.executable).name
    done = hub.run(python, "-c", LOAD, REPO, str(hub.folder), hub.token(mallory), token=hub.alices)
    assert done.returncode == 0, done.stderr
    loaded, _, refused = done.stdout.partition("\n")
    assert loaded == "equal"
    assert "You have no grant for LLaMA 7B." in refused
    index = json.loads((hub.folder / "model.safetensors.index.json").read_text())
    shards = set(index["weight_map"].values())
    fetched = Download.objects.filter(method="GET", artifact__path__in=shards)
    assert {row.artifact.path for row in fetched if row.artifact} == shards
    assert len(shards) == 2
