"""What people are shown of tokens: text, probability, entropy, and how a text is cut."""

import json
import math
import time

import pytest

from inference_sandbox import reading, tokens
from inference_sandbox.models import Run, RunTokens
from inference_sandbox.reading import Reading, percent, signs, visible
from tests.inference_sandbox.conftest import Prompt
from tests.inference_sandbox.told import over, record


def answer_of(run: Run) -> Reading:
    _, answer = reading.of_run(run)
    assert answer
    return answer


def test_the_tokens_together_are_the_text(prompt: Prompt) -> None:
    answer = answer_of(over(prompt(), "Zoë\n\tis 🦙"))
    assert "".join(token.text for token in answer.tokens) == "Zoë\n\tis 🦙"


def test_a_character_of_several_tokens_comes_with_the_last_of_them(prompt: Prompt) -> None:
    assert [token.text for token in answer_of(over(prompt(), "🦙")).tokens] == ["", "", "", "🦙"]


def test_half_a_character_at_the_end_breaks_nothing(prompt: Prompt) -> None:
    run = over(prompt(), "é")
    kept = RunTokens.objects.get(pk=run.pk)
    kept.output = kept.output[:1]
    kept.save()
    assert [token.text for token in answer_of(run).tokens] == [""]


def test_control_tokens_are_named(prompt: Prompt) -> None:
    run = over(prompt(mode="chat"), "hi")
    told, _ = reading.of_run(run)
    assert told
    controls = [token.text for token in told.tokens if token.is_control]
    assert controls == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]


def test_without_its_tokenizer_the_records_own_texts_are_shown(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = over(prompt(), "abc")
    monkeypatch.setattr(tokens, "at_hand", lambda revision: None)
    assert [token.text for token in answer_of(run).tokens] == ["a", "b", "c"]


def test_nothing_is_shown_where_nothing_was_kept(prompt: Prompt) -> None:
    assert reading.of_run(prompt()) == (None, None)


def test_perplexity_is_two_to_the_mean_surprisal_and_leaves_the_first_token_out(
    prompt: Prompt,
) -> None:
    told, answer = reading.of_run(over(prompt(prompt="abc"), "xyz"))
    assert told
    assert answer
    assert told.tokens[0].surprisal is None
    assert told.perplexity == pytest.approx(math.exp(2.0))
    assert told.total == pytest.approx(3 * 2.0 / math.log(2))
    assert answer.perplexity == pytest.approx(math.exp(0.5))
    assert answer.mean_entropy == pytest.approx(1 / math.log(2))


def test_the_chart_has_a_step_for_each_token_and_stays_in_its_frame(prompt: Prompt) -> None:
    answer = answer_of(over(prompt(), "abcd"))
    for path in (answer.entropy_area, answer.surprisal_line):
        assert [f"H{place}" in path for place in (1, 2, 3, 4, 5)] == [True] * 4 + [False]
        heights = [float(part.partition("H")[0]) for part in path.split("V")[1:5]]
        assert all(0 <= height <= reading.CHART_HEIGHT for height in heights)


def test_the_marks_deepen_as_the_probability_falls(prompt: Prompt) -> None:
    run = over(prompt(), "abcdef")
    kept = RunTokens.objects.get(pk=run.pk)
    chances = (0.95, 0.6, 0.3, 0.1, 0.02, 0.001)
    kept.output = [record(run, 65, math.log(chance)) for chance in chances]
    kept.save()
    assert [token.level for token in answer_of(run).tokens] == [5, 4, 3, 2, 1, 0]


def test_the_facts_of_a_token_hold_its_alternatives(prompt: Prompt) -> None:
    token = answer_of(over(prompt(), "a")).tokens[0]
    number, logprob, entropy, top = json.loads(token.facts)
    assert (number, logprob) == (token.id, -0.5)
    assert entropy == pytest.approx(1.44)
    assert [text for _, text, _ in top] == ["a", "z"]


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (" a", "<i> </i>a"),
        ("\n", '<i class="nl">\n</i>'),
        ("\t", '<i class="tab">\t</i>'),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("", ""),
    ],
)
def test_blanks_are_marked_up_and_the_rest_is_escaped(text: str, html: str) -> None:
    assert visible(text) == html


@pytest.mark.parametrize(
    ("text", "shown"),
    [(" a", "·a"), ("\n\n", "↵↵"), ("\t", "⇥"), ("\ufffd", "part of a character"), ("", "")],
)
def test_a_token_by_itself_shows_its_blanks_as_signs(text: str, shown: str) -> None:
    assert signs(text) == shown


@pytest.mark.parametrize(
    ("chance", "words"),
    [
        (1.0, "100 %"),
        (0.99999, "> 99.9 %"),
        (0.9312, "93.1 %"),
        (0.0012, "0.1 %"),
        (1e-9, "< 0.1 %"),
    ],
)
def test_a_probability_in_words(chance: float, words: str) -> None:
    assert percent(chance) == words


def test_a_thousand_tokens_are_shown_at_once(prompt: Prompt) -> None:
    """Their page is made in well under a second, and is no heavier than a picture."""
    from django.template.loader import render_to_string

    run = over(prompt(), "x" * 1024)
    began = time.monotonic()
    html = render_to_string(
        "inference_sandbox/_reading.html", {"reading": answer_of(run), "run": run, "of": "answer"}
    )
    assert time.monotonic() - began < 1.5
    assert html.count('<span class="t') >= 1024
    assert len(html) < 400_000
