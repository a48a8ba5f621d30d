"""`raw` beside `resolve`, and parts of what the site writes itself, over the same checks."""

import hashlib

import pytest

from access_requests.models import Grant
from access_requests.services import suspend
from distribution.hub import card, tree
from distribution.models import Artifact, Download, Revision
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from tests.distribution.asking import Answer, ask

RAW, RESOLVE = "/meta/llama-7b/raw", "/meta/llama-7b/resolve"


def bearer(account: Account, *scopes: Scope) -> str:
    names = [str(scope) for scope in scopes or (Scope.DOWNLOAD,)]
    return f"Bearer {ApiToken.make(account, name='test', scopes=names)[1]}"


@pytest.fixture
def token(grant: Grant, alice: Account) -> str:
    return bearer(alice)


def said(answer: Answer) -> tuple[int, str, str]:
    headers = answer.headers
    return answer.status, headers.get("X-Error-Code", ""), headers.get("X-Error-Message", "")


# ---- raw -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rev", ["main", "HEAD", "commit"])
def test_a_small_file_is_itself_and_counted_as_everywhere(
    revision: Revision, token: str, rev: str
) -> None:
    place = f"{RAW}/{revision.digest if rev == 'commit' else rev}/params.json"
    params = revision.artifacts.get(path="params.json")
    whole = ask(place, authorization=token)
    assert whole.status == 200
    assert hashlib.sha256(whole.body).hexdigest() == params.sha256
    assert whole.headers["X-Repo-Commit"] == revision.digest
    assert Download.objects.get().bytes_asked == params.size
    part = ask(place, authorization=token, range="bytes=2-5")
    assert (part.status, part.body) == (206, whole.body[2:6])
    assert part.headers["Content-Range"] == f"bytes 2-5/{params.size}"
    head = ask(place, "HEAD", authorization=token)
    assert head.headers["Content-Length"] == str(params.size)


def test_a_large_file_is_its_pointer(revision: Revision, shard: Artifact, token: str) -> None:
    place = f"{RAW}/main/{shard.path}"
    text = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{shard.sha256}\nsize {shard.size}\n"
    ).encode()
    whole = ask(place, authorization=token)
    assert (whole.status, whole.body) == (200, text)
    assert whole.headers["ETag"] == f'"{tree.File.of(shard).oid}"'
    assert (whole.headers["X-Linked-Size"], whole.headers["X-Linked-Etag"]) == (
        str(len(text)),
        whole.headers["ETag"],
    )
    assert whole.headers["X-Repo-Commit"] == revision.digest
    part = ask(place, authorization=token, range="bytes=-4")
    assert (part.status, part.body) == (206, text[-4:])
    again = ask(place, authorization=token, if_modified_since=whole.headers["Last-Modified"])
    assert again.status == 304
    assert not Download.objects.exists(), "no byte of the weights left"


def test_what_is_large_is_large_by_kind_or_size() -> None:
    for path, size, is_large in (
        ("config.json", 700, False),
        ("tokenizer.json", 17_000_000, True),
        ("tokenizer.model", 500_000, True),
        ("model.safetensors", 10, True),
        ("original/consolidated.00.pth", 10, True),
        ("LICENSE", 10_485_760, False),
    ):
        assert tree.File(path, size, "ab" * 32).is_large is is_large, path


@pytest.mark.parametrize("path", ["params.json", "consolidated.00.pth"])
def test_raw_is_refused_as_resolve_is(
    grant: Grant, alice: Account, mallory: Account, manager: Account, path: str
) -> None:
    for headers in (
        {},
        {"authorization": bearer(mallory)},
        {"authorization": bearer(alice, Scope.READ)},
        {"authorization": "Bearer wb_of-nobody"},
    ):
        refused = ask(f"{RAW}/main/{path}", **headers)
        assert said(refused) == said(ask(f"{RESOLVE}/main/{path}", **headers))
        assert refused.status in (401, 403)
        assert b"sha256" not in refused.body
    suspend(grant.pk, actor=manager, reason="Your report is late.")
    refused = ask(f"{RAW}/main/{path}", authorization=bearer(alice))
    assert said(refused)[:2] == (403, "GatedRepo")
    assert set(Download.objects.values_list("code", flat=True)) == {"not_granted", "suspended"}


@pytest.mark.parametrize("door", [RAW, RESOLVE])
def test_a_refused_head_promises_no_json(revision: Revision, door: str) -> None:
    """@huggingface/hub would read it, and show "Unexpected end of JSON input"."""
    head, get = (ask(f"{door}/main/params.json", method) for method in ("HEAD", "GET"))
    assert said(head) == said(get)
    assert head.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert get.headers["Content-Type"] == "application/json"


def test_a_missing_file_or_repo_is_called_so(token: str) -> None:
    for place, code in (
        (f"{RAW}/main/none.json", "EntryNotFound"),
        (f"{RAW}/v9/params.json", "RevisionNotFound"),
        ("/meta/none/raw/main/params.json", "RepoNotFound"),
        ("/gpt2/raw/main/config.json", "RepoNotFound"),
    ):
        assert said(ask(place, authorization=token))[:2] == (404, code)


# ---- the card ------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [RAW, RESOLVE])
@pytest.mark.parametrize("rev", ["main", "commit"])
def test_a_part_of_the_generated_card_is_that_part(revision: Revision, door: str, rev: str) -> None:
    """A client that slices, or resumes, once took the whole card for the part."""
    place = f"{door}/{revision.digest if rev == 'commit' else rev}/README.md"
    content = card.readme(revision.release, revision)
    whole = ask(place)
    assert (whole.status, whole.body) == (200, content)
    assert whole.headers["Accept-Ranges"] == "bytes"
    part = ask(place, range="bytes=10-19")
    assert (part.status, part.body) == (206, content[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(content)}"
    assert part.headers["Content-Length"] == "10"
    beyond = ask(place, range=f"bytes={len(content)}-")
    assert beyond.status == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(content)}"
    other = ask(place, range="bytes=10-", if_range='"other"')
    assert (other.status, other.body) == (200, content)
    assert ask(place, range="bytes=10-", if_range=whole.headers["ETag"]).body == content[10:]


@pytest.mark.parametrize("door", [RAW, RESOLVE])
def test_the_head_of_the_card_is_true(revision: Revision, door: str) -> None:
    place, content = f"{door}/main/README.md", card.readme(revision.release, revision)
    head = ask(place, "HEAD", range="bytes=0-3")
    assert head.status == 200
    assert head.headers["Content-Length"] == str(len(content))
    assert head.headers["X-Linked-Size"] == str(len(content))
    assert head.headers["ETag"] == ask(place).headers["ETag"]
    assert ask(place, if_none_match=head.headers["ETag"]).status == 304


def test_a_card_that_is_edited_is_fetched_again(revision: Revision) -> None:
    """Its text belongs to the release, not to the revision, so it has no date."""
    first = ask(f"{RESOLVE}/{revision.digest}/README.md")
    Release.objects.update(model_card="# Corrected")
    later = {"if_modified_since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    second = ask(f"{RESOLVE}/{revision.digest}/README.md", **later)
    assert second.status == 200
    assert b"# Corrected" in second.body
    assert second.headers["ETag"] != first.headers["ETag"]
    assert "Last-Modified" not in second.headers


def test_a_private_card_is_read_by_holders_alone(
    grant: Grant, alice: Account, mallory: Account
) -> None:
    Release.objects.update(metadata=Release.Metadata.PRIVATE)
    for door in (RAW, RESOLVE):
        for headers in ({}, {"authorization": bearer(mallory)}):
            refused = ask(f"{door}/main/README.md", range="bytes=0-9", **headers)
            assert said(refused)[:2] == (404, "RepoNotFound")
        assert ask(f"{door}/main/README.md", authorization=bearer(alice)).status == 200
