"""What unmodified `huggingface_hub` learns of a release: over a real server, with and without a token."""

import hashlib
from collections.abc import Callable

import pytest
from huggingface_hub import HfFileSystem, ModelCard
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder

from access_requests.services import suspend
from distribution.models import Revision
from distribution.services import take_down, withdraw
from portal.accounts.models import Account, Scope
from portal.catalog.models import Release
from tests.conformance.conftest import REPO, Hub


def test_the_info_names_commit_gate_licence_and_files(hub: Hub) -> None:
    info = hub.api().model_info(REPO)  # public metadata: nobody has to say who they are
    assert (info.id, info.author, info.sha) == (REPO, "meta", hub.sha)
    assert (info.gated, info.private, info.disabled) == ("manual", False, False)
    assert info.library_name == "transformers"
    assert info.pipeline_tag == "text-generation"
    assert info.card_data is not None
    assert info.card_data["license_name"] == "noncommercial"
    assert info.last_modified
    assert info.siblings
    names = {sibling.rfilename for sibling in info.siblings}
    assert {"README.md", "params.json", "evals/boolq.json"} <= names


def test_the_info_gives_true_sizes_and_hashes(hub: Hub) -> None:
    info = hub.api().model_info(REPO, files_metadata=True)
    (params,) = [one for one in info.siblings or [] if one.rfilename == "params.json"]
    content = (hub.folder / "params.json").read_bytes()
    assert params.size == len(content)
    assert params.lfs is not None
    assert params.lfs.sha256 == hashlib.sha256(content).hexdigest()


def test_a_revision_is_main_a_tag_or_a_commit(
    hub: Hub, republished: Callable[[], Revision]
) -> None:
    newer = republished()
    api = hub.api()
    assert api.model_info(REPO).sha == newer.digest
    assert api.model_info(REPO, revision="main").sha == newer.digest
    assert api.model_info(REPO, revision="v1").sha == hub.sha
    assert api.model_info(REPO, revision=hub.sha).sha == hub.sha
    for unknown in ("v2", "refs/pr/1", "0" * 40):
        with pytest.raises(RevisionNotFoundError, match="No revision of meta/llama-7b"):
            api.model_info(REPO, revision=unknown)


def test_the_files_are_listed_as_they_were_published(hub: Hub) -> None:
    published = {
        path.relative_to(hub.folder).as_posix() for path in hub.folder.rglob("*") if path.is_file()
    }
    assert set(hub.api().list_repo_files(REPO)) == published | {"README.md"}


def test_a_tree_shows_folders_and_what_is_in_them(hub: Hub) -> None:
    api = hub.api()
    top = {entry.path: entry for entry in api.list_repo_tree(REPO)}
    assert isinstance(top["evals"], RepoFolder)
    assert isinstance(top["params.json"], RepoFile)
    assert "evals/boolq.json" not in top
    assert [entry.path for entry in api.list_repo_tree(REPO, "evals")] == ["evals/boolq.json"]
    everything = [entry.path for entry in api.list_repo_tree(REPO, recursive=True)]
    assert {"evals", "evals/boolq.json"} <= set(everything)
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, "additional_chat_templates"))


def test_an_expanded_tree_says_when_a_file_was_published(hub: Hub) -> None:
    (boolq,) = hub.api().list_repo_tree(REPO, "evals", expand=True)
    assert boolq.last_commit is not None
    assert boolq.last_commit.oid == hub.sha


def test_single_paths_are_found_and_others_left_out(hub: Hub) -> None:
    found = hub.api().get_paths_info(REPO, ["params.json", "evals", "nothing.json"])
    assert {entry.path for entry in found} == {"params.json", "evals"}


def test_main_and_tags_are_refs(hub: Hub, republished: Callable[[], Revision]) -> None:
    newer = republished()
    refs = hub.api().list_repo_refs(REPO)
    assert [(ref.name, ref.target_commit) for ref in refs.branches] == [("main", newer.digest)]
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", hub.sha)]


def test_each_publication_is_a_commit(hub: Hub, republished: Callable[[], Revision]) -> None:
    newer = republished()
    commits = hub.api().list_repo_commits(REPO)
    assert [commit.commit_id for commit in commits] == [newer.digest, hub.sha]
    (first,) = hub.api().list_repo_commits(REPO, revision="v1")
    assert first.commit_id == hub.sha


def test_releases_are_found_by_name_and_publisher(hub: Hub, family: object) -> None:
    api = hub.api()
    assert [one.id for one in api.list_models(search="LLAMA-7")] == [REPO]
    assert [one.id for one in api.list_models(author="meta", filter="llama")] == [REPO]
    assert [one.id for one in api.list_models(author="met")] == []
    assert list(api.list_models(search="gpt")) == []
    assert list(api.list_models(gated=False)) == []


def test_a_token_says_whose_it_is(hub: Hub, alice: Account) -> None:
    who = hub.api(hub.alices).whoami()
    assert who["name"] == alice.handle
    assert who["fullname"] == alice.name
    assert who["auth"]["accessToken"]["displayName"] == "laptop"
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        hub.api("wb_of-nobody").whoami()


def test_repos_files_and_revisions_exist_or_do_not(hub: Hub) -> None:
    api = hub.api(hub.alices)
    assert api.repo_exists(REPO)
    assert not api.repo_exists("meta/llama-8b")
    assert not api.repo_exists("gpt2")
    assert not api.repo_exists(REPO, repo_type="dataset")
    assert api.revision_exists(REPO, "v1")
    assert not api.revision_exists(REPO, "v9")
    assert api.file_exists(REPO, "params.json")
    assert not api.file_exists(REPO, "params.yaml")


def test_the_card_is_a_readme_with_licence_and_gate(hub: Hub) -> None:
    Release.objects.update(model_card='# LLaMA\n\nReads "well": mostly.')
    card = ModelCard.load(hub.file("README.md"))
    assert card.data.license == "other"
    assert card.data.to_dict()["license_name"] == "noncommercial"
    assert card.data.to_dict()["gated"] == "manual"
    assert card.text.strip() == '# LLaMA\n\nReads "well": mostly.'


def test_public_metadata_do_not_open_the_files(hub: Hub, mallory: Account) -> None:
    api = hub.api(hub.token(mallory))
    assert api.model_info(REPO).sha == hub.sha
    with pytest.raises(GatedRepoError, match=r"You have no grant for LLaMA 7B. Apply for it"):
        api.auth_check(REPO)
    hub.api(hub.alices).auth_check(REPO)


def test_a_bad_token_is_refused_for_public_metadata_too(hub: Hub) -> None:
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as raised:
        hub.api("wb_of-nobody").model_info(REPO)
    assert raised.value.response.status_code == 401
    assert not isinstance(raised.value, RepositoryNotFoundError)


def test_a_token_for_other_things_reads_nothing(hub: Hub, alice: Account) -> None:
    with pytest.raises(GatedRepoError, match="lacks the scope `read` or `download`"):
        hub.api(hub.token(alice, Scope.SANDBOX)).model_info(REPO)
    assert hub.api(hub.token(alice, Scope.READ)).model_info(REPO)
    assert hub.api(hub.token(alice, Scope.DOWNLOAD)).model_info(REPO)


def test_private_metadata_are_not_there_for_who_may_not_know(
    hub: Hub, mallory: Account, rita: Account, alice: Account
) -> None:
    Release.objects.update(metadata=Release.Metadata.PRIVATE)
    for stranger in (hub.api(), hub.api(hub.token(mallory))):
        for ask in (stranger.model_info, stranger.list_repo_refs, stranger.auth_check):
            with pytest.raises(RepositoryNotFoundError) as raised:
                ask(REPO)
            assert not isinstance(raised.value, GatedRepoError)
            assert "There is no release meta/llama-7b here." in str(raised.value)
        assert not stranger.repo_exists(REPO)
        assert list(stranger.list_models()) == []
        assert not stranger.file_exists(REPO, "params.json")
        assert not stranger.file_exists(REPO, "README.md")
    for knows in (alice, rita):
        scopes = [Scope.REVIEW] if knows == rita else []  # a token has a role with this scope alone
        api = hub.api(hub.token(knows, Scope.READ, *scopes))
        assert api.model_info(REPO).private
        assert [one.id for one in api.list_models()] == [REPO]


def test_private_metadata_of_a_closed_grant_say_why(
    hub: Hub, alice: Account, manager: Account
) -> None:
    Release.objects.update(metadata=Release.Metadata.PRIVATE)
    suspend(hub.grant.pk, actor=manager, reason="Your report is late.")
    with pytest.raises(GatedRepoError, match=r"Your report is late."):
        hub.api(hub.alices).model_info(REPO)
    assert hub.api(hub.alices).repo_exists(REPO)


def test_a_release_without_files_says_so(hub: Hub) -> None:
    Release.objects.update(status=Release.Status.ANNOUNCED)
    with pytest.raises(GatedRepoError, match="are not published on this site"):
        hub.api(hub.alices).model_info(REPO)
    (listed,) = hub.api().list_models()
    assert listed.sha is None


def test_a_withdrawn_release_says_so(hub: Hub) -> None:
    withdraw(hub.release.pk, actor=None, reason="Wrong weights.")
    with pytest.raises(GatedRepoError, match="was withdrawn by its publisher"):
        hub.api(hub.alices).list_repo_files(REPO)


def test_nothing_is_written_over_the_protocol(hub: Hub) -> None:
    api = hub.api(hub.alices)
    with pytest.raises(GatedRepoError, match="Nothing is uploaded here"):
        api.auth_check(REPO, write=True)
    with pytest.raises(HfHubHTTPError):
        api.create_tag(REPO, tag="v2")
    with pytest.raises(HfHubHTTPError):
        api.upload_file(path_or_fileobj=b"{}", path_in_repo="params.json", repo_id=REPO)
    with pytest.raises(HfHubHTTPError):
        api.delete_repo(REPO)


def test_the_files_can_be_walked_as_a_file_system(hub: Hub) -> None:
    files = HfFileSystem(endpoint=hub.url, token=hub.alices)
    assert f"{REPO}/evals/boolq.json" in files.ls(f"{REPO}/evals", detail=False)
    assert files.read_text(f"{REPO}/params.json") == (hub.folder / "params.json").read_text()


def test_a_revision_that_was_taken_down_says_why_and_is_no_ref(
    hub: Hub, republished: Callable[[], Revision], manager: Account
) -> None:
    republished()
    take_down(hub.revision.pk, actor=manager, reason="A shard was wrong.")
    api = hub.api(hub.alices)
    with pytest.raises(GatedRepoError, match="taken down: A shard was wrong"):
        api.model_info(REPO, revision="v1")
    assert api.list_repo_refs(REPO).tags == []
    assert len(api.list_repo_commits(REPO)) == 1
