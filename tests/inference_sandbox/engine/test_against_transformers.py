"""The demo model, here and in Hugging Face transformers, on the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.in_transformers import to_transformers
from inference_sandbox.engine.checkpoint import load_checkpoint
from inference_sandbox.engine.engine import Engine, SamplingParams

PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea,",
    "def fibonacci(n):\n",
    "The three laws of thermodynamics are",
    "1, 1, 2, 3, 5, 8,",
    "Dear Sir or Madam,",
    "Water boils at",
    "In 1969,",
    "naïve café — “quotes” and 日本語",
    "The quick brown fox",
    "To bake bread you need",
    "A weighbridge is",
    "SELECT name FROM",
    "Roses are red,",
]
QUESTIONS = [
    "What is the capital of France?",
    "Write a haiku about rain.",
    "Explain gravity to a child.",
    "What is 7 times 8?",
    "Name three colours.",
    "Who wrote Hamlet?",
]
GREEDY_64 = SamplingParams(max_tokens=64, temperature=0, ignore_eos=True)


@pytest.fixture(scope="module")
def hugging_face(demo_release: Path) -> LlamaForCausalLM:
    return to_transformers(load_checkpoint(demo_release))


@pytest.fixture(scope="module")
def prompts(demo_engine: Engine) -> list[list[int]]:
    tokenizer = demo_engine.tokenizer
    chats = [tokenizer.encode_chat([{"role": "user", "content": q}]) for q in QUESTIONS]
    return [tokenizer.encode(text) for text in PROMPTS] + chats


@pytest.fixture(scope="module")
def greedy_together(demo_engine: Engine, prompts: list[list[int]]) -> list[list[int | None]]:
    return staggered(demo_engine, prompts)


def staggered(engine: Engine, prompts: list[list[int]], every: int = 5) -> list[list[int | None]]:
    """Three requests at first, then one more every few steps, whatever is running."""
    tokens: list[list[int | None]] = [[] for _ in prompts]
    arrivals = list(enumerate(prompts))
    steps = 0
    while arrivals or engine.has_work:
        due = 3 if steps == 0 else int(steps % every == 0)
        for number, prompt in arrivals[:due]:
            engine.add(str(number), prompt, GREEDY_64)
        arrivals = arrivals[due:]
        for output in engine.step():
            tokens[int(output.request_id)].append(output.token)
        steps += 1
    return tokens


@torch.inference_mode()
def test_logits_agree_within_a_thousandth(
    demo_engine: Engine, hugging_face: LlamaForCausalLM, prompts: list[list[int]]
) -> None:
    for prompt in prompts:
        theirs = hugging_face(torch.tensor([prompt])).logits[0]
        torch.testing.assert_close(demo_engine.model.read(prompt), theirs, atol=1e-3, rtol=0)


@torch.inference_mode()
def test_in_a_batch_with_staggered_arrivals_each_of_64_greedy_tokens_is_the_one_transformers_chooses(
    hugging_face: LlamaForCausalLM,
    prompts: list[list[int]],
    greedy_together: list[list[int]],
) -> None:
    """One forward pass over prompt and answer says what transformers would choose at each place."""
    assert len(prompts) == 20
    for prompt, answer in zip(prompts, greedy_together, strict=True):
        assert len(answer) == 64
        logits = hugging_face(torch.tensor([prompt + answer])).logits[0]
        assert logits[len(prompt) - 1 : -1].argmax(-1).tolist() == answer


def test_alone_the_tokens_are_the_same(
    demo_engine: Engine, prompts: list[list[int]], greedy_together: list[list[int]]
) -> None:
    """Alone and in a batch the steps are computed by different kernels."""
    for prompt, answer in zip(prompts, greedy_together, strict=True):
        assert [out.token for out in demo_engine.generate(prompt, GREEDY_64)] == answer


def test_the_demo_model_knows_the_capital_of_france(demo_engine: Engine) -> None:
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = demo_engine.tokenizer.encode_chat(chat)
    outputs = list(demo_engine.generate(prompt, SamplingParams(max_tokens=32)))
    assert "Paris" in "".join(output.text for output in outputs)
    assert outputs[-1].finish_reason == "stop"


def test_the_demo_tokenizer_writes_a_chat_as_transformers_does(
    demo_engine: Engine, demo_release: Path
) -> None:
    theirs: Any = PreTrainedTokenizerFast.from_pretrained(demo_release)
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many days has 2024?"},
    ]
    rendered = theirs.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert demo_engine.tokenizer.render_chat(chat) == rendered
    ids = theirs(rendered, add_special_tokens=False)["input_ids"]
    assert demo_engine.tokenizer.encode_chat(chat) == ids
