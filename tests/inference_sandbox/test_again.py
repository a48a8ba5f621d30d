"""A run done again: the same revision, the same parameters, and the verdict at its end."""

import pytest
from django.utils import timezone

from distribution.services import publish
from inference_sandbox import generation, repeating
from inference_sandbox.models import Run, RunTokens
from inference_sandbox.records import ASKED
from portal.accounts.models import Account
from portal.catalog.models import Release
from portal.refusals import Code, Refusal
from tests.inference_sandbox.conftest import Prompt, give
from tests.people import person, signed_in

pytestmark = pytest.mark.django_db(transaction=True)


def done(run: Run) -> Run:
    generation.execute(run.pk)
    return Run.objects.get(pk=run.pk)


def again(run: Run, actor: Account) -> Run:
    return done(repeating.run_again(run.pk, actor=actor))


def page(account: Account, run: Run) -> str:
    return signed_in(account).get(run.get_absolute_url()).text


def test_a_run_done_again_is_identical_and_says_so(prompt: Prompt, alice: Account) -> None:
    first = done(prompt(temperature=0.9, seed=11, top_k=50, logprobs=2, max_tokens=12))
    second = again(first, alice)
    assert second.repeats == first
    for name in ASKED:
        assert getattr(second, name) == getattr(first, name), name
    assert second.output_ids == first.output_ids != []
    assert "Identical." in page(alice, second)
    assert first.get_absolute_url() in page(alice, second)
    assert second.get_absolute_url() in page(alice, first)


def test_the_button_starts_it(prompt: Prompt, alice: Account) -> None:
    first = done(prompt())
    response = signed_in(alice).post(f"{first.get_absolute_url()}again/")
    second = Run.objects.exclude(pk=first.pk).get()
    assert response["Location"] == second.get_absolute_url()
    assert "at its end this page says" in page(alice, second)


def test_the_first_difference_is_shown(prompt: Prompt, alice: Account) -> None:
    first = done(prompt())
    second = again(first, alice)
    other = [*second.output_ids]
    other[3] = 66 if other[3] != 66 else 67
    Run.objects.filter(pk=second.pk).update(output_ids=other)
    text = page(alice, second)
    assert "Not identical." in text
    assert "The first 3 tokens" in text


def test_one_that_was_stopped_agrees_as_far_as_it_goes(prompt: Prompt, alice: Account) -> None:
    first = done(prompt())
    Run.objects.filter(pk=first.pk).update(output_ids=first.output_ids[:4])
    assert "first 4 tokens" in page(alice, again(first, alice))


def test_tokens_that_were_given_are_given_again_with_what_was_thought_of_them(
    prompt: Prompt, alice: Account
) -> None:
    first = done(prompt(logprobs=2))
    known = RunTokens.objects.get(run=first).output
    branch = done(prompt(forced=first.output_ids[:2], prefix=known[:2], logprobs=2, parent=first))
    second = again(branch, alice)
    assert second.output_ids == branch.output_ids
    assert RunTokens.objects.get(run=second).output[:2] == known[:2]


def test_it_is_the_same_revision_though_another_is_current(
    prompt: Prompt, alice: Account, tiny: Release, tmp_path: object
) -> None:
    from pathlib import Path

    from tests.inference_sandbox.engine.releases import write_tiny

    first = done(prompt())
    newer = Path(str(tmp_path)) / "newer"
    newer.mkdir()
    write_tiny(newer)
    (newer / "README.md").write_text("Newer.")
    publish(newer, repo_id=tiny.repo_id, actor=None)
    tiny.refresh_from_db()
    assert tiny.revisions.get(is_current=True) != first.revision
    second = again(first, alice)
    assert second.revision == first.revision
    assert second.output_ids == first.output_ids


def test_a_revision_that_was_taken_down_answers_no_more(prompt: Prompt, alice: Account) -> None:
    first = done(prompt())
    first.revision.taken_down_at = timezone.now()
    first.revision.is_current = False
    first.revision.taken_down_reason = "A damaged file."
    first.revision.save()
    assert "cannot be done again" in page(alice, first)
    with pytest.raises(Refusal) as refused:
        repeating.run_again(first.pk, actor=alice)
    assert refused.value.code in (Code.TAKEN_DOWN, Code.NOT_PUBLISHED)


def test_whoever_sees_a_shared_run_may_do_it_again_and_nobody_else(
    prompt: Prompt, tiny: Release, mallory: Account
) -> None:
    bob = person("bob")
    give(bob, tiny)
    first = done(prompt())
    for other in (bob, mallory):
        with pytest.raises(Refusal) as refused:
            repeating.run_again(first.pk, actor=other)
        assert refused.value.code == Code.NOT_FOUND
    Run.objects.filter(pk=first.pk).update(shared=True)
    second = again(first, bob)
    assert second.account == bob
    assert "Identical." in page(bob, second)
    Run.objects.filter(pk=first.pk).update(shared=False)
    text = page(bob, second)
    assert "Identical." not in text, "the first is not theirs to see any more"
    assert str(first.pk) not in text
