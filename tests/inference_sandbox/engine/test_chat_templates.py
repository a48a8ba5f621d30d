"""Prompts and ends are transformers', whatever shape a template has and wherever it is written down."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError

from inference_sandbox.engine.tokenizer import Tokenizer, TokenizerError, load_tokenizer
from tests.inference_sandbox.engine import chat_templates
from tests.inference_sandbox.engine.chat_templates import SHAPES, Shape
from tests.inference_sandbox.engine.test_tokenizer import mistral_model

SYSTEM = {"role": "system", "content": "Be brief. "}
ASK = {"role": "user", "content": "  What's the <b>capital</b> of {France} & “Perú”?\n\nSay:  it\n"}
ANSWER = {"role": "assistant", "content": "<think>\nParis, no?\n</think>\n\nParis 🙂,\tthe city. "}
AGAIN = {"role": "user", "content": "the\r\nname, please"}
CONVERSATIONS = {
    "one question": [ASK],
    "three turns": [ASK, ANSWER, AGAIN],
    "a system message": [SYSTEM, ASK, ANSWER, AGAIN],
    "two questions": [ASK, AGAIN],
    "an answer to go on from": [ASK, ANSWER],
}


@dataclasses.dataclass(frozen=True)
class Pair:
    """The folder as transformers' AutoTokenizer reads it, and as we do."""

    folder: Path
    theirs: Any
    ours: Tokenizer


def pair(folder: Path) -> Pair:
    from transformers import AutoTokenizer

    return Pair(folder, AutoTokenizer.from_pretrained(folder), load_tokenizer(folder))


def write(shape: Shape, folder: Path) -> None:
    """With the ids of its ending tokens, which are known once the vocabulary is written."""
    dataclasses.replace(shape, ends={}).write(folder)
    ids = load_tokenizer(folder).control_tokens
    numbers = {
        file: [ids[name] for name in names] if isinstance(names, list) else ids[names]
        for file, names in shape.ends.items()
    }
    dataclasses.replace(shape, ends=numbers).write(folder)


@pytest.fixture(scope="module", params=SHAPES)
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp(request.param)
    write(SHAPES[request.param], folder)
    return pair(folder)


def assert_same(both: Pair, messages: list[dict[str, Any]], **options: Any) -> None:
    asked = options or {"add_generation_prompt": True}
    try:
        text = both.theirs.apply_chat_template(messages, tokenize=False, **asked)
    except (TemplateError, ValueError):
        with pytest.raises(TokenizerError, match="refuses"):
            both.ours.render_chat(messages, **options)
        return
    assert both.ours.render_chat(messages, **options) == text
    ids = both.theirs.apply_chat_template(messages, return_dict=False, **asked)
    assert both.ours.encode_chat(without_thoughts(messages), **options) == (
        ids
        if messages == without_thoughts(messages)
        else both.theirs.apply_chat_template(without_thoughts(messages), return_dict=False, **asked)
    )


def without_thoughts(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What nobody may write as a token: rendered with it, encoded without."""
    clean = [m["content"].replace("<think>", "").replace("</think>", "") for m in messages]
    return [{**m, "content": content} for m, content in zip(messages, clean, strict=True)]


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_conversation_has_the_text_and_the_tokens_of_transformers(
    shape: Pair, messages: list[dict[str, Any]]
) -> None:
    assert_same(shape, messages)


def test_an_answer_is_gone_on_from_as_in_transformers(shape: Pair) -> None:
    messages = [ASK, {"role": "assistant", "content": "Paris is the"}]
    assert_same(shape, messages, continue_final_message=True)


def test_a_plain_text_has_the_tokens_of_transformers(shape: Pair) -> None:
    for text in (ASK["content"], "", " ", "the  <h1>\n\nthe", "Zoë 日本 ﬁ"):
        theirs = shape.theirs.encode(text, add_special_tokens=False)
        assert shape.ours.encode(text, bos=False) == theirs


def test_a_text_with_control_tokens_has_the_tokens_of_transformers(shape: Pair) -> None:
    for control in shape.ours.control_tokens:
        for text in (f"the{control}the", f"{control} \n the", f" {control}{control}"):
            theirs = shape.theirs.encode(text, add_special_tokens=False)
            assert shape.ours.encode_with_control_tokens(text) == theirs


def test_the_ends_are_those_of_transformers(shape: Pair) -> None:
    from transformers import AutoConfig, GenerationConfig

    if (shape.folder / "generation_config.json").exists():
        ends = GenerationConfig.from_pretrained(shape.folder).eos_token_id
    else:
        config = AutoConfig.from_pretrained(shape.folder)
        ends = GenerationConfig.from_model_config(config).eos_token_id
    expected = set(ends if isinstance(ends, list) else [ends]) | {shape.theirs.eos_token_id}
    assert shape.ours.eos_ids == expected


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("named", ["LlamaTokenizer", "PreTrainedTokenizerFast"])
def test_a_sentencepiece_model_has_the_tokens_of_transformers(
    tmp_path: Path, legacy: bool, named: str
) -> None:
    vocabulary = chat_templates.sentencepiece_of(mistral_model())
    config = {**chat_templates.S, "tokenizer_class": named, "legacy": legacy}
    Shape(chat_templates.LLAMA_2, (), vocabulary, config, {"config.json": [2]}).write(tmp_path)
    both = pair(tmp_path)
    for messages in CONVERSATIONS.values():
        assert_same(both, messages)


def test_content_in_parts_is_rendered_as_in_transformers(tmp_path: Path) -> None:
    write(SHAPES["parts"], tmp_path)
    both = pair(tmp_path)
    parts = [{"type": "text", "text": " Look: "}, {"type": "image"}, {"type": "text", "text": "?"}]
    messages = [{"role": "user", "content": parts}]
    theirs = both.theirs.apply_chat_template(
        messages, return_dict=False, add_generation_prompt=True
    )
    assert both.ours.encode_chat(messages) == theirs
    parts.append({"type": "text", "text": "<|eot|>"})
    ends = both.ours.eos_ids
    assert sum(token in ends for token in both.ours.encode_chat(messages)) == 1


def test_a_thought_in_a_message_is_text_and_still_dropped_by_the_template(tmp_path: Path) -> None:
    """`<think>` in an earlier answer counts for the template, not for the model."""
    write(SHAPES["qwen-3"], tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    rendered = tokenizer.decode(tokenizer.encode_chat([ASK, ANSWER, AGAIN]))
    assert "Paris, no?" not in rendered
    assert "Paris 🙂" in rendered
    ids = tokenizer.encode_chat([{"role": "user", "content": "say <think>"}])
    assert tokenizer.control_tokens["<think>"] not in ids
    assert "say <think>" in tokenizer.decode(ids)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content + 1 }}",
        "{{ 1 // 0 }}",
        "{{ messages[7].content.strip() }}",
        "{% for m in messages %}{{ m.content }}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{{ raise_exception(messages) }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ 'a' | nothing }}",
    ],
)
def test_a_template_that_fails_in_any_way_is_one_error(tmp_path: Path, template: str) -> None:
    shape = dataclasses.replace(SHAPES["smollm-2"], template=template)
    write(shape, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match="The chat template refuses this conversation"):
        tokenizer.encode_chat([ASK])
    assert tokenizer.encode("plain prompts still work")


def test_named_templates_without_a_default_are_none(tmp_path: Path) -> None:
    named = [{"name": "rag", "template": "{{ documents }}"}]
    write(
        dataclasses.replace(
            SHAPES["command-r"], config={**SHAPES["command-r"].config, "chat_template": named}
        ),
        tmp_path,
    )
    assert not load_tokenizer(tmp_path).has_chat_template


def test_config_json_counts_only_where_there_is_no_generation_config(tmp_path: Path) -> None:
    write(SHAPES["llama-3"], tmp_path)
    ids = load_tokenizer(tmp_path).control_tokens
    assert load_tokenizer(tmp_path).eos_ids == {ids["<|end_of_text|>"], ids["<|eot_id|>"]}
    (tmp_path / "generation_config.json").write_text(json.dumps({"temperature": 0.6}))
    assert load_tokenizer(tmp_path).eos_ids == {ids["<|eot_id|>"]}
