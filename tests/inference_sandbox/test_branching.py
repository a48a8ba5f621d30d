"""Going on from a run: by an alternative, with another seed, in a conversation."""

from typing import Any

import pytest

from access_requests.models import Grant
from access_requests.services import revoke
from inference_sandbox import branching, generation, tree
from inference_sandbox.models import Run, RunTokens
from portal.accounts.models import Account
from portal.audit.models import Event, Verb
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt
from tests.inference_sandbox.told import over
from tests.people import signed_in

RUNS = "/sandbox/runs/"


@pytest.fixture
def run(prompt: Prompt) -> Run:
    return over(prompt(max_tokens=20, temperature=0.9, seed=5, logprobs=8, stop=["!"]), "abcdef")


def token_of(run: Run, text: str) -> int:
    kept = RunTokens.objects.get(pk=run.pk)
    return next(int(token) for r in kept.output for token, other, _ in r[4] if other == text)


# ---- An alternative ------------------------------------------------------------------------------


def test_a_branch_begins_with_the_tokens_before_and_the_alternative(
    run: Run, alice: Account
) -> None:
    z = token_of(run, "z")
    branch = branching.branch(run.pk, 2, z, actor=alice)
    kept = RunTokens.objects.get(pk=run.pk).output
    assert branch.parent == run
    assert branch.forced == [kept[0][0], kept[1][0], z]
    prefix = RunTokens.objects.get(pk=branch.pk).output
    assert prefix[:2] == kept[:2]
    assert prefix[2] == [z, "z", -1.25, 1.0, kept[2][4]], "what the model thought of it is kept"
    same = ("prompt", "temperature", "seed", "stop", "logprobs", "mode", "revision_id")
    assert [getattr(branch, name) for name in same] == [getattr(run, name) for name in same]
    assert branch.max_tokens == 20 + 3, "it may write as much of its own as its parent"
    assert Event.objects.filter(verb=Verb.RUN_STARTED, subject_id=str(branch.pk)).exists()


def test_a_branch_of_a_branch_does_not_grow_for_ever(run: Run, alice: Account) -> None:
    branch = over(branching.branch(run.pk, 2, token_of(run, "z"), actor=alice), "abzdef")
    again = branching.branch(branch.pk, 4, token_of(branch, "z"), actor=alice)
    assert len(again.forced) == 5
    assert again.max_tokens == 20 + 5


def test_a_branch_fits_into_the_context(prompt: Prompt, alice: Account) -> None:
    run = over(prompt(max_tokens=1000), "a" * 900)
    branch = branching.branch(run.pk, 899, token_of(run, "z"), actor=alice)
    assert branch.max_tokens == 1024 - run.prompt_tokens


@pytest.mark.parametrize("position", [-1, 6, 10**9])
def test_a_place_outside_the_answer_is_refused(run: Run, alice: Account, position: int) -> None:
    with pytest.raises(Refusal) as refused:
        branching.branch(run.pk, position, token_of(run, "z"), actor=alice)
    assert (refused.value.code, list(refused.value.fields)) == (Code.INVALID, ["position"])


def test_a_token_that_was_never_told_is_refused(run: Run, alice: Account) -> None:
    with pytest.raises(Refusal) as refused:
        branching.branch(run.pk, 0, 3, actor=alice)
    assert refused.value.fields == {
        "token": ["Token 3 is not among the alternatives that are known here."]
    }


def test_the_token_that_ends_an_answer_leads_nowhere(run: Run, alice: Account) -> None:
    kept = RunTokens.objects.get(pk=run.pk)
    end = 258  # <|im_end|>, behind 256 bytes and two others
    kept.output[0][4].append([end, "<|im_end|>", -3.0])
    kept.save()
    with pytest.raises(Refusal, match="ends the answer"):
        branching.branch(run.pk, 0, end, actor=alice)


def test_a_run_that_is_not_over_has_no_branches(prompt: Prompt, alice: Account) -> None:
    run = prompt()
    for act in (
        lambda: branching.branch(run.pk, 0, 1, actor=alice),
        lambda: branching.regenerate(run.pk, actor=alice),
        lambda: branching.reply(run.pk, "And?", actor=alice),
    ):
        with pytest.raises(Refusal) as refused:
            act()
        assert refused.value.code is Code.WRONG_STATE
    assert Run.objects.count() == 1


def test_without_records_there_is_nothing_to_go_on_from(run: Run, alice: Account) -> None:
    RunTokens.objects.all().delete()
    with pytest.raises(Refusal) as refused:
        branching.branch(run.pk, 0, 1, actor=alice)
    assert refused.value.code is Code.WRONG_STATE
    assert refused.value.url == f"/sandbox/?from={run.pk}"


def test_other_files_since_then_are_other_tokens(run: Run, alice: Account) -> None:
    other = run.revision
    z = token_of(run, "z")
    type(other).objects.filter(pk=other.pk).update(is_current=False)
    other.pk, other.digest, other.is_current = None, "9" * 40, True
    other.save()
    with pytest.raises(Refusal, match="other files now"):
        branching.branch(run.pk, 0, z, actor=alice)


def test_the_run_of_another_is_not_there(run: Run, mallory: Account) -> None:
    for act in ("branch", "regenerate", "reply"):
        for data in ({}, {"take": "0:1", "text": "And?"}):
            assert signed_in(mallory).post(f"{RUNS}{run.pk}/{act}/", data).status_code == 404
    assert signed_in(mallory).get(f"{RUNS}{run.pk}/tokens/").status_code == 404
    assert signed_in(mallory).get(f"{RUNS}{run.pk}/place/").status_code == 404
    assert Run.objects.count() == 1


def test_a_revoked_grant_opens_no_branch(
    run: Run, grant: Grant, alice: Account, manager: Account
) -> None:
    revoke(grant.pk, actor=manager, reason="The copy leaked.")
    with pytest.raises(Refusal) as refused:
        branching.branch(run.pk, 0, token_of(run, "z"), actor=alice)
    assert refused.value.code is Code.REVOKED
    assert Event.objects.filter(verb=Verb.RUN_DENIED, data__code="revoked").exists()


@pytest.mark.django_db(transaction=True)
def test_a_branch_is_answered_behind_its_alternative(prompt: Prompt, alice: Account) -> None:
    run = prompt(max_tokens=8, logprobs=3, prompt_logprobs=3)
    generation.execute(run.pk)
    kept = RunTokens.objects.get(pk=run.pk).output
    first, second = kept[4][4][:2]
    branch = branching.branch(run.pk, 4, second[0], actor=alice)
    generation.execute(branch.pk)
    branch.refresh_from_db()
    told = RunTokens.objects.get(pk=branch.pk).output
    assert [r[0] for r in told[:5]] == [*(r[0] for r in kept[:4]), second[0]]
    assert first[0] == kept[4][0]
    assert told[:4] == kept[:4]
    assert (branch.status, branch.output_tokens) == ("finished", 8 + 5)
    assert all(record is not None for record in told), "each token has its record"


# ---- Another seed, another turn ------------------------------------------------------------------


def test_regenerate_asks_the_same_with_another_seed(run: Run, alice: Account) -> None:
    again = branching.regenerate(run.pk, actor=alice)
    assert again.seed != run.seed
    same = ("prompt", "temperature", "stop", "max_tokens", "logprobs", "top_p")
    assert [getattr(again, name) for name in same] == [getattr(run, name) for name in same]
    assert again.parent is None


def test_a_branch_that_is_regenerated_keeps_its_alternative(run: Run, alice: Account) -> None:
    branch = over(branching.branch(run.pk, 1, token_of(run, "z"), actor=alice), "azzz")
    again = branching.regenerate(branch.pk, actor=alice)
    assert (again.forced, again.parent) == (branch.forced, run)
    assert len(RunTokens.objects.get(pk=again.pk).output) == 2


def test_a_reply_sends_the_whole_conversation(prompt: Prompt, alice: Account) -> None:
    first = over(prompt(mode="chat", prompt="Who are you?"), "A llama.")
    second = branching.reply(first.pk, "Since when?", actor=alice)
    assert second.messages == [
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": "A llama."},
        {"role": "user", "content": "Since when?"},
    ]
    assert (second.prompt, second.parent) == ("Since when?", first)
    third = branching.reply(over(second, "1997").pk, "Really?", actor=alice)
    assert [message["role"] for message in third.messages] == ["user", "assistant"] * 2 + ["user"]


def test_plain_text_and_silence_are_no_conversations(
    run: Run, prompt: Prompt, alice: Account
) -> None:
    silent = over(prompt(mode="chat"), " ")
    for one in (run, silent):
        with pytest.raises(Refusal) as refused:
            branching.reply(one.pk, "And?", actor=alice)
        assert refused.value.code is Code.WRONG_STATE


def test_an_empty_reply_says_nothing(prompt: Prompt, alice: Account) -> None:
    run = over(prompt(mode="chat"), "Yes?")
    with pytest.raises(Refusal) as refused:
        branching.reply(run.pk, " \n", actor=alice)
    assert refused.value.code is Code.INVALID


# ---- The tree ------------------------------------------------------------------------------------


def test_the_tree_tells_from_where_each_branch_goes(run: Run, alice: Account) -> None:
    z = token_of(run, "z")
    left = over(branching.branch(run.pk, 1, z, actor=alice), "az and on")
    right = over(branching.branch(run.pk, 3, z, actor=alice), "abcz too")
    deeper = over(branching.branch(left.pk, 4, token_of(left, "z"), actor=alice), "az azzz")
    nodes = tree.of_run(right)
    assert [(n.run.pk, n.depth, n.place, n.taken) for n in nodes] == [
        (run.pk, 0, 0, ""),
        (left.pk, 1, 2, "z"),
        (deeper.pk, 2, 5, "z"),
        (right.pk, 1, 4, "z"),
    ]
    assert nodes[1].excerpt == "z and on", "what came behind the place where it left"
    assert [n.is_current for n in nodes] == [False, False, False, True]


def test_a_run_by_itself_has_no_tree(run: Run) -> None:
    assert tree.of_run(run) == []


def test_a_tree_shows_only_ones_own(run: Run, alice: Account, mallory: Account) -> None:
    branch = branching.branch(run.pk, 1, token_of(run, "z"), actor=alice)
    Run.objects.filter(pk=branch.pk).update(account=mallory)
    assert tree.of_run(run) == []
    branch.refresh_from_db()
    assert tree.of_run(branch) == []


# ---- The pages -----------------------------------------------------------------------------------


def page(account: Account, address: str, **data: Any) -> str:
    response = signed_in(account).get(address, data)
    assert response.status_code == 200, response.content
    return response.content.decode()


def test_the_page_of_a_run_shows_tokens_perplexity_and_ways_on(run: Run, alice: Account) -> None:
    text = page(alice, f"{RUNS}{run.pk}/")
    assert text.count("data-f=") == 6 + run.prompt_tokens
    assert f'data-branch="{RUNS}{run.pk}/branch/"' in text
    assert "perplexity 1.65" in text
    assert "The prompt as the model read it" in text
    assert f"{RUNS}{run.pk}/regenerate/" in text
    assert "Go on with the conversation" not in text
    assert "style=" not in text


def test_taking_an_alternative_leads_to_the_new_run(run: Run, alice: Account) -> None:
    client = signed_in(alice)
    response = client.post(f"{RUNS}{run.pk}/branch/", {"take": f"2:{token_of(run, 'z')}"})
    branch = Run.objects.get(parent=run)
    assert response["Location"] == f"{RUNS}{branch.pk}/"
    over(branch, "abzz")
    text = page(alice, response["Location"])
    assert "A branch: its first 3 tokens come from" in text
    assert "at token 3 went on with" in text
    assert "This run" in text
    assert f"{RUNS}{branch.pk}/" in page(alice, f"{RUNS}{run.pk}/"), "and its parent knows it"


@pytest.mark.parametrize("take", ["", "1", "a:b", "1:2:3", "-1:5", "1:99999999999"])
def test_a_choice_that_is_none_is_refused(run: Run, alice: Account, take: str) -> None:
    assert signed_in(alice).post(f"{RUNS}{run.pk}/branch/", {"take": take}).status_code == 400
    assert signed_in(alice).get(f"{RUNS}{run.pk}/branch/").status_code == 405


def test_the_table_offers_each_alternative_as_a_button(run: Run, alice: Account) -> None:
    text = page(alice, f"{RUNS}{run.pk}/tokens/")
    assert text.count('name="take"') == 6
    assert f'value="5:{token_of(run, "z")}"' in text
    assert 'name="take"' not in page(alice, f"{RUNS}{run.pk}/tokens/", of="prompt")


def test_the_table_says_where_nothing_was_kept(prompt: Prompt, alice: Account) -> None:
    assert "The run is not over yet." in page(alice, f"{RUNS}{prompt().pk}/tokens/")


def test_a_conversation_is_shown_whole_and_may_go_on(prompt: Prompt, alice: Account) -> None:
    first = over(prompt(mode="chat", prompt="Who are you?"), "A llama.")
    assert "Go on with the conversation" in page(alice, f"{RUNS}{first.pk}/")
    response = signed_in(alice).post(f"{RUNS}{first.pk}/reply/", {"text": "Since when?"})
    text = page(alice, response["Location"])
    for said in ("Who are you?", "A llama.", "Since when?"):
        assert said in text


def test_a_waiting_run_is_told_its_place(prompt: Prompt, alice: Account, tiny: Release) -> None:
    from inference_sandbox import stream

    stream.announce(tiny.slug, stream.Worker("a", "f" * 40, "cpu", "float32", 8))
    first, second, third = prompt(), prompt(), prompt()
    assert "Next in the queue." in page(alice, f"{RUNS}{first.pk}/place/")
    assert "1 run before this one" in page(alice, f"{RUNS}{second.pk}/place/")
    assert "2 runs before this one" in page(alice, f"{RUNS}{third.pk}/place/")
