"""Chat templates in the shapes that model families have, each with such tokens as its family has.

Written anew, with what makes each shape hard to render or to encode: flags of added tokens, calls,
loops, whitespace control, where the template and the tokens are written down.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from tests.inference_sandbox.engine.vocabularies import ALPHABET

Token = str | dict[str, Any]


@dataclass(frozen=True)
class Shape:
    template: str
    tokens: tuple[Token, ...]  # added to the vocabulary, in this order
    vocabulary: Callable[[Path, tuple[Token, ...]], None]
    config: Mapping[str, Any]  # of tokenizer_config.json
    ends: Mapping[str, Any] = field(default_factory=dict)  # file → names of its ending tokens
    files: Mapping[str, Any] = field(default_factory=dict)  # further files, by their names
    in_jinja: bool = False  # the template has a file of its own

    def write(self, folder: Path) -> None:
        self.vocabulary(folder, self.tokens)
        own = {"chat_template": self.template}
        if self.in_jinja:
            (folder / "chat_template.jinja").write_text(self.template)
            own = {}
        classes = {"tokenizer_class": "PreTrainedTokenizerFast"}
        write_json(folder / "tokenizer_config.json", {**classes, **own, **self.config})
        for name, content in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            if isinstance(content, str):
                (folder / name).write_text(content)
            else:
                write_json(folder / name, content)
        for name, ids in self.ends.items():
            write_json(folder / name, {"model_type": "llama", "eos_token_id": ids})


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


# --- vocabularies ---------------------------------------------------------------------------------


def add(tokenizer: Tokenizer, tokens: tuple[Token, ...]) -> None:
    tokenizer.add_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            if isinstance(token, str)
            else AddedToken(**{"special": True, "normalized": False, **token})
            for token in tokens
        ]
    )


def byte_level(folder: Path, tokens: tuple[Token, ...], bos: str = "") -> None:
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "the", "Ġthe", "ĊĊ"]
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ċ", "Ċ")]
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    add(tokenizer, tokens)
    if bos:
        ids = [(bos, tokenizer.token_to_id(bos))]
        tokenizer.post_processor = processors.TemplateProcessing(f"{bos} $A", None, ids)
    tokenizer.save(str(folder / "tokenizer.json"))


def byte_level_with_bos(folder: Path, tokens: tuple[Token, ...]) -> None:
    byte_level(folder, tokens, str(tokens[0]))


def pieces(folder: Path, tokens: tuple[Token, ...], **parts: Any) -> None:
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    words = ["<unk>", "<s>", "</s>", *byte_pieces, "▁", *ALPHABET, "th", "the", "▁the", "▁▁"]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(words))}
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "▁")]
    tokenizer = Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    add(tokenizer, ("<unk>", "<s>", "</s>", *tokens))
    tokenizer.save(str(folder / "tokenizer.json"))


def metaspace_first(folder: Path, tokens: tuple[Token, ...]) -> None:
    """A space before the first word of all, and none behind a control token."""
    pieces(
        folder, tokens, pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    )


def metaspace_always(folder: Path, tokens: tuple[Token, ...]) -> None:
    pieces(
        folder, tokens, pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    )


def prepended(folder: Path, tokens: tuple[Token, ...]) -> None:
    """As transformers wrote LLaMA 2's for years: the normalizer puts a space before every stretch."""
    steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    pieces(folder, tokens, normalizer=normalizers.Sequence(steps))


def unigram(folder: Path, tokens: tuple[Token, ...]) -> None:
    scored = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁the", -3.0), ("▁", -4.0)]
    tokenizer = Tokenizer(models.Unigram([*scored, *((c, -6.0) for c in ALPHABET)], 0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    add(tokenizer, ("<unk>", "<s>", "</s>", *tokens))
    tokenizer.save(str(folder / "tokenizer.json"))


def sentencepiece_of(path: Path) -> Callable[[Path, tuple[Token, ...]], None]:
    return lambda folder, tokens: shutil.copy(path, folder / "tokenizer.model") and None


# --- shapes ---------------------------------------------------------------------------------------

S = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}

CHATML = """\
{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

LLAMA_2 = """\
{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set frame = messages[0]['content'] %}\
{% else %}{% set rest = messages %}{% set frame = false %}{% endif %}\
{% for message in rest %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if loop.index0 == 0 and frame != false %}\
{% set content = '<<SYS>>\\n' + frame + '\\n<</SYS>>\\n\\n' + message['content'] %}\
{% else %}{% set content = message['content'] %}{% endif %}\
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}\
{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

LLAMA_3 = """\
{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\\nToday Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """\
{{ bos_token }}{% for message in messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}\
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}\
{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}\
{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"""

MISTRAL_3 = """\
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results") %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] " + tools | tojson + "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
"""

ZEPHYR = """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

QWEN_25 = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- endif %}
    {{- "\\n\\n# Tools\\n\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools>\\n<tool_call>\\n</tool_call><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

QWEN_3 = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {%- if loop.previtem is defined and loop.previtem.role == "user" %}
            {{- '\\n' }}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

GEMMA = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}\
{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}"""

PHI_3 = """\
{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}\
{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}\
{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"""

DEEPSEEK = """\
{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}\
{% set ns = namespace(is_first=true, system_prompt='', parts=[]) %}\
{%- for message in messages %}{%- if message['role'] == 'system' %}\
{%- if ns.is_first %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first = false %}\
{%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}\
{{ bos_token }}{{ ns.system_prompt }}\
{%- for message in messages %}{%- if message['role'] == 'user' %}{{'<｜User｜>' + message['content']}}{%- endif %}\
{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}\
{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}\
{{'<｜Assistant｜>' + content.strip() + '<｜end▁of▁sentence｜>'}}{%- endif %}{%- endfor %}\
{% if add_generation_prompt %}{{'<｜Assistant｜><think>\\n'}}{% endif %}"""

COMMAND_R = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}\
{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}\
{% if system_message != false %}{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>' + system_message + '<|END_OF_TURN_TOKEN|>' }}{% endif %}\
{% for message in loop_messages %}{% set content = message['content'] %}\
{% if message['role'] == 'user' %}{{ '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}\
{% elif message['role'] == 'assistant' %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>'  + content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endif %}\
{% endfor %}{% if add_generation_prompt %}{{ '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' }}{% endif %}"""

VICUNA = """\
{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set frame = messages[0]['content'].strip() + '\n\n' %}\
{% else %}{% set loop_messages = messages %}{% set frame = 'A chat between a curious user and an assistant. ' %}{% endif %}\
{% for message in loop_messages %}{% if loop.first %}{{ frame }}{% endif %}\
{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'].strip() + ' ' }}\
{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' + message['content'].strip() + eos_token }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""

ALPACA = """\
{{ (messages|selectattr('role', 'equalto', 'system')|list|last).content|trim if (messages|selectattr('role', 'equalto', 'system')|list) else '' }}

{% for message in messages %}
{% if message['role'] == 'user' %}
### Instruction:
{{ message['content']|trim -}}
{% if not loop.last %}


{% endif %}
{% elif message['role'] == 'assistant' %}
### Response:
{{ message['content']|trim -}}
{% if not loop.last %}


{% endif %}
{% endif %}
{% endfor %}
{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}

### Response:
{% endif %}"""

FALCON = """\
{% for message in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}\
{{ message['role'].capitalize() + ': ' + message['content'].replace('\r\n', '\n').replace('\n\n', '\n') }}\
{% if loop.last and add_generation_prompt %}{{ '\n' + 'Assistant:' }}{% endif %}{% endfor %}"""

OLMO = """\
{{ eos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] }}\
{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\n'  + message['content'] + eos_token }}{% endif %}\
{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}"""

SMOLLM_2 = """\
{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}\
{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

SMOLLM_3 = """\
{%- set defaults = {"mode": "/think", "tags": ["a", "b"]} %}
{%- macro head(role) %}{{ '<|im_start|>' ~ role ~ '\\n' }}{% endmacro %}
{{- head('system') }}{{ defaults | tojson(indent=2) }}{{ dict(a=1) | tojson(separators=(',', ':')) }}<|im_end|>
{% for message in messages %}
{%- if message.role == 'system' %}{% continue %}{% endif %}
{%- if loop.index0 > 6 %}{% break %}{% endif %}
{{- head(message.role) }}
{%- if message.role == 'assistant' %}
{% generation %}
{{- message.content | replace('/think', '') }}
{%- endgeneration %}
{%- else %}
{{- message.content }}
{%- endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}
{{- head('assistant') }}
{%- endif %}"""

STARCHAT = """\
{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ '<|system|>\n<|end|>\n' }}{% endif %}\
{{ '<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>' + '\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"""

GRANITE = """\
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set system_message = "Knowledge Cutoff Date: April 2024.\\nToday's Date: " + strftime_now('%B %d, %Y') + ".\\nYou are Granite." %}
    {%- if documents %}
        {%- set system_message = system_message + " Use the documents." %}
    {%- endif %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system_message + '<|end_of_text|>\\n' }}
{%- if tools %}{{- '<|start_of_role|>tools<|end_of_role|>' + tools | tojson(indent=4) + '<|end_of_text|>\\n' }}{%- endif %}
{%- for message in loop_messages %}
    {{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] + '<|end_of_text|>\\n' }}
    {%- if loop.last and add_generation_prompt %}
        {{- '<|start_of_role|>assistant' }}
        {%- if controls %}{{- ' ' + controls | tojson()}}{%- endif %}
        {{- '<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}"""

OPENCHAT = """\
{{ bos_token }}{% for message in messages %}{% if message['role'] in ['user', 'assistant'] %}\
{% set content = 'GPT4 Correct ' ~ message['role'].title() ~ ': ' ~ message['content'] %}\
{% elif message['role'] == 'system' %}{% set content = message['content'] %}\
{% else %}{{ raise_exception('Only user, assistant and system roles are supported!') }}{% endif %}\
{{ content + '<|end_of_turn|>' }}{% endfor %}{% if add_generation_prompt %}{{ 'GPT4 Correct Assistant:' }}{% endif %}"""

NEMOTRON = """\
{{'<extra_id_0>System'}}{% for message in messages %}{% if message['role'] == 'system' %}{{'\n' + message['content'].strip()}}\
{% if tools or contexts %}{{'\n'}}{% endif %}{% endif %}{% endfor %}{{'\n'}}\
{% for message in messages %}{% if message['role'] == 'user' %}{{ '<extra_id_1>User\n' + message['content'].strip() + '\n' }}\
{% elif message['role'] == 'assistant' %}{{ '<extra_id_1>Assistant\n' + message['content'].strip() + '\n' }}{% endif %}{% endfor %}\
{%- if add_generation_prompt %}{{'<extra_id_1>Assistant\n'}}{%- endif %}"""

YI = """\
{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}\
{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] %}{% endif %}\
{% if system_message is defined %}{{ system_message }}{% endif %}\
{% for message in messages %}{% set content = message['content'] %}{% if message['role'] == 'user' %}\
{{ '<|im_start|>user\\n' + content + '<|im_end|>\\n<|im_start|>assistant\\n' }}\
{% elif message['role'] == 'assistant' %}{{ content + '<|im_end|>' + '\\n' }}{% endif %}{% endfor %}"""

PARTS = """\
{{- bos_token }}{%- for message in messages %}{{- '<|header_start|>' + message['role'] + '<|header_end|>\n\n' }}
    {%- if message['content'] is string %}{{- message['content'] }}
    {%- else %}{%- for part in message['content'] %}
        {%- if part['type'] == 'image' %}{{- '<|image|>' }}{%- elif part['type'] == 'text' %}{{- part['text'] | trim }}{%- endif %}
    {%- endfor %}{%- endif %}{{- "<|eot|>" }}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|header_start|>assistant<|header_end|>\n\n' }}{%- endif %}"""

IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN = (*IM, {"content": "<think>", "special": False}, {"content": "</think>", "special": False})
QWEN_NAMES = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
PHI = tuple(
    {"content": f"<|{name}|>", "rstrip": True} for name in ("system", "user", "assistant", "end")
)
COHERE = (
    "<PAD>",
    "<BOS_TOKEN>",
    *(f"<|{n}_TOKEN|>" for n in ("START_OF_TURN", "END_OF_TURN", "SYSTEM", "USER", "CHATBOT")),
)
LLAMA_3_TOKENS = tuple(
    f"<|{n}|>"
    for n in ("begin_of_text", "end_of_text", "start_header_id", "end_header_id", "eot_id")
)
GENERATION = "generation_config.json"

SHAPES: dict[str, Shape] = {
    "llama-2": Shape(LLAMA_2, (), prepended, S, {GENERATION: "</s>"}),
    "llama-2-first": Shape(LLAMA_2, (), metaspace_first, S, {"config.json": "</s>"}),
    "llama-3": Shape(
        LLAMA_3,
        LLAMA_3_TOKENS,
        byte_level_with_bos,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        {GENERATION: ["<|end_of_text|>", "<|eot_id|>"], "config.json": ["<|end_of_text|>"]},
    ),
    "mistral-1": Shape(
        MISTRAL, (), metaspace_always, {**S, "legacy": True}, {"config.json": "</s>"}
    ),
    "mistral-3": Shape(
        MISTRAL_3,
        ("[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"),
        metaspace_first,
        {**S, "legacy": False},
        {GENERATION: "</s>"},
    ),
    "zephyr": Shape(
        ZEPHYR,
        (),
        prepended,
        {**S, "additional_special_tokens": ["<unk>", "<s>", "</s>"]},
        {GENERATION: "</s>"},
    ),
    "chatml": Shape(
        CHATML,
        ({"content": "<|im_start|>", "special": False}, "<|im_end|>"),
        metaspace_first,
        {**S, "eos_token": "<|im_end|>"},
        {GENERATION: "</s>", "config.json": "</s>"},
    ),
    "hermes": Shape(
        CHATML,
        (),
        metaspace_first,
        {**S, "eos_token": "<|im_end|>"},
        {"config.json": ["</s>"]},
        {"added_tokens.json": {"<|im_start|>": 1000, "<|im_end|>": 1001}},
    ),
    "qwen-2.5": Shape(
        QWEN_25, IM, byte_level, QWEN_NAMES, {GENERATION: ["<|im_end|>", "<|endoftext|>"]}
    ),
    "qwen-3": Shape(
        QWEN_3,
        QWEN,
        byte_level,
        QWEN_NAMES,
        {GENERATION: ["<|im_end|>", "<|endoftext|>"], "config.json": "<|im_end|>"},
    ),
    "gemma": Shape(
        GEMMA,
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        unigram,
        {
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "additional_special_tokens": ["<start_of_turn>", "<end_of_turn>"],
        },
        {GENERATION: ["<eos>", "<end_of_turn>"]},
    ),
    "phi-3": Shape(
        PHI_3,
        ("<|endoftext|>", *PHI),
        prepended,
        {"bos_token": "<s>", "eos_token": "<|endoftext|>"},
        {GENERATION: ["<|endoftext|>", "<|assistant|>", "<|end|>"]},
    ),
    "deepseek": Shape(
        DEEPSEEK,
        (
            "<｜begin▁of▁sentence｜>",
            "<｜end▁of▁sentence｜>",
            {"content": "<｜User｜>", "special": False},
            {"content": "<｜Assistant｜>", "special": False},
            {"content": "<think>", "special": False},
            {"content": "</think>", "special": False},
        ),
        byte_level,
        {
            "bos_token": {
                "__type": "AddedToken",
                "content": "<｜begin▁of▁sentence｜>",
                "lstrip": False,
                "normalized": True,
                "rstrip": False,
                "single_word": False,
            },
            "eos_token": "<｜end▁of▁sentence｜>",
        },
        {"config.json": "<｜end▁of▁sentence｜>"},
    ),
    "command-r": Shape(
        "",
        COHERE,
        byte_level_with_bos,
        {
            "bos_token": "<BOS_TOKEN>",
            "eos_token": "<|END_OF_TURN_TOKEN|>",
            "pad_token": "<PAD>",
            "chat_template": [
                {"name": "tool_use", "template": "{{ tools | tojson }}"},
                {"name": "default", "template": COMMAND_R},
            ],
        },
        {GENERATION: "<|END_OF_TURN_TOKEN|>"},
    ),
    "vicuna": Shape(VICUNA, (), prepended, S, {GENERATION: "</s>"}),
    "alpaca": Shape(ALPACA, (), metaspace_first, S, {"config.json": "</s>"}),
    "falcon": Shape(
        FALCON,
        ("<|endoftext|>", {"content": ">>TITLE<<", "special": False, "lstrip": True}),
        byte_level,
        {"eos_token": "<|endoftext|>"},
        {GENERATION: "<|endoftext|>"},
    ),
    "olmo": Shape(
        OLMO,
        (
            "<|endoftext|>",
            {"content": "  ", "special": False, "normalized": True},
            {"content": "   ", "special": False, "normalized": True},
        ),
        byte_level,
        {"eos_token": "<|endoftext|>"},
        {"config.json": "<|endoftext|>"},
    ),
    "smollm-2": Shape(
        SMOLLM_2,
        IM,
        byte_level,
        {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"},
        {GENERATION: "<|im_end|>"},
    ),
    "smollm-3": Shape(
        SMOLLM_3,
        IM,
        byte_level,
        {"eos_token": "<|im_end|>"},
        {GENERATION: ["<|im_end|>"]},
        {"additional_chat_templates/rag.jinja": "{{ documents }}"},
        in_jinja=True,
    ),
    "starchat": Shape(
        STARCHAT,
        ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        byte_level,
        {"eos_token": "<|endoftext|>"},
        {GENERATION: ["<|endoftext|>", "<|end|>"]},
    ),
    "granite": Shape(
        GRANITE,
        ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>"),
        byte_level,
        {"bos_token": "<|end_of_text|>", "eos_token": "<|end_of_text|>"},
        {GENERATION: "<|end_of_text|>"},
    ),
    "openchat": Shape(
        OPENCHAT,
        ("<|end_of_turn|>",),
        metaspace_first,
        {**S, "eos_token": "<|end_of_turn|>"},
        {GENERATION: "<|end_of_turn|>"},
        {
            "special_tokens_map.json": {
                "eos_token": "<|end_of_turn|>",
                "additional_special_tokens": ["<|pad_0|>"],
            }
        },
    ),
    "nemotron": Shape(
        NEMOTRON,
        ("<extra_id_0>", {"content": "<extra_id_1>", "lstrip": True}),
        unigram,
        {"bos_token": "<s>", "eos_token": "</s>"},
        {GENERATION: "</s>"},
    ),
    "yi": Shape(
        YI,
        ("<|im_start|>", "<|im_end|>"),
        metaspace_first,
        {
            **S,
            "add_bos_token": False,
            "added_tokens_decoder": {
                "900": {
                    "content": "<|im_sep|>",
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "single_word": False,
                    "special": True,
                }
            },
        },
        {GENERATION: ["</s>", "<|im_end|>"]},
    ),
    "parts": Shape(
        PARTS,
        ("<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>", "<|image|>"),
        byte_level,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot|>"},
        {GENERATION: ["<|eot|>"]},
    ),
}
