"""Clients whose default is `/v1/responses`, from environments of their own: openai-agents and the AI SDK."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import ROOT, all_only, node, node_modules, python_of
from tests.conformance.openai_server import Served
from tests.conformance.openai_server import _django_db_helper as _django_db_helper
from tests.conformance.openai_server import local_store as local_store
from tests.conformance.openai_server import served as served
from tests.conformance.openai_server import store as store

pytestmark = [pytest.mark.django_db, all_only]


def printed(*command: str | Path, folder: Path, **variables: str) -> Any:
    """The JSON that a program prints which knows nothing of this project."""
    known = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def said(served: Served, *more: dict[str, str]) -> str:
    """What the model answers greedily in a chat of ours."""
    messages: Any = [
        {"role": "system", "content": "Rhyme."},
        {"role": "user", "content": "Hi!"},
        *more,
    ]
    answer = served.client().chat.completions.create(
        model=served.model, messages=messages, temperature=0, max_tokens=8
    )
    return answer.choices[0].message.content or ""


def next_turn(served: Served) -> str:
    first = said(served)
    return said(
        served, {"role": "assistant", "content": first}, {"role": "user", "content": "And?"}
    )


def cut(text: str) -> tuple[str, str]:
    """The text as it is where the model stops at a character of it, and that character."""
    stop = next(char for char in text[1:] if char != "\ufffd")
    return text.partition(stop)[0], stop


def test_openai_agents_holds_a_conversation(served: Served, tmp_path: Path) -> None:
    first, first_stop = cut(said(served))
    turns = {"role": "assistant", "content": first}, {"role": "user", "content": "And?"}
    second, second_stop = cut(said(served, *turns))
    done = printed(
        *(python_of("openai_agents"), ROOT / "tests/clients/agents_walk.py"),
        *(served.model, first_stop, second_stop),
        folder=tmp_path,
        OPENAI_BASE_URL=f"{served.url}/v1",
        OPENAI_API_KEY=served.key,
    )
    assert done["text"] == first
    said(served)
    assert done["usage"] == [1, served.runs()[0].prompt_tokens]
    assert done["second turn"] == second
    assert done["stream"]["text"] == done["stream"]["output"] == first
    assert {"response.created", "response.output_text.delta"} <= set(done["stream"]["kinds"])
    assert "`tools` is not supported here" in done["tool"]
    assert "max_output_tokens" in done["cut"]


def test_the_ai_sdk_holds_a_conversation(served: Served, tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests/clients/ai_sdk/walk.js", tmp_path / "walk.mjs")
    (tmp_path / "node_modules").symlink_to(node_modules("ai_sdk"))
    done = printed(
        node(), "walk.mjs", f"{served.url}/v1", served.key, served.model, folder=tmp_path
    )
    text = said(served)
    assert done["text"] == done["chat"] == text
    assert done["finishReason"] == "length"
    assert done["usage"] == [served.runs()[0].prompt_tokens, 8]
    assert done["second"] == next_turn(served)
    assert done["stream"] == {"text": text, "finishReason": "length"}
    assert done["logprobs"] == 8
    for name, param in (("reference", "input"), ("tool", "tools"), ("object", "text.format")):
        error = done[name]["body"]["error"]
        assert (done[name]["status"], error["param"]) == (400, param)
        assert error["code"] == "unsupported_parameter"
    assert done["closed"]["body"]["error"]["code"] == "model_not_found"
    error = done["long"]["body"]["error"]
    assert error["code"] == "context_length_exceeded"
    assert "maximum context length is" in error["message"]
