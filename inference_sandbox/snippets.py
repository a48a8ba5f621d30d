"""A run as lines to copy: for curl, and for the openai client."""

import json
from typing import Any

from django.conf import settings

from inference_sandbox.models import Run
from inference_sandbox.records import PARAMETERS

# What the openai client calls by a name of its own; the rest goes into its extra_body.
OPENAI = (
    *("max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty"),
    *("logit_bias", "stop", "seed"),
)
ALWAYS = ("max_tokens", "temperature", "top_p", "seed")


def curl(run: Run) -> str:
    """For our own REST face, which takes all that a run may hold."""
    asked = {"release": run.release.repo_id, **_prompt(run), **_said(run, PARAMETERS)}
    body = json.dumps(asked, ensure_ascii=False, indent=2).replace("'", "'\\''")
    return "\n".join(
        (
            f"curl {settings.BASE_URL}/api/v1/runs/ \\",
            '  -H "Authorization: Bearer $WEIGHBRIDGE_TOKEN" \\',
            '  -H "Content-Type: application/json" \\',
            f"  -d '{body}'",
        )
    )


def openai(run: Run) -> str:
    """The same run again, token for token, while the release has the files that answered it."""
    chat = run.mode == Run.Mode.CHAT and not run.prompt_ids
    asked: dict[str, Any] = {"model": run.release.repo_id}
    asked |= {"messages": run.conversation} if chat else {"prompt": run.prompt_ids or run.prompt}
    asked |= _said(run, OPENAI)
    if run.logprobs is not None:
        asked |= (
            {"logprobs": True, "top_logprobs": run.logprobs} if chat else {"logprobs": run.logprobs}
        )
    names = [name for name in PARAMETERS if name not in (*OPENAI, "logprobs")]
    others = _said(run, ["forced", *names])
    if others:
        asked["extra_body"] = others
    lines = [f"    {name}={value!r}," for name, value in asked.items()]
    call = "client.chat.completions.create" if chat else "client.completions.create"
    return "\n".join(
        (
            "import os",
            "from openai import OpenAI",
            "",
            f'client = OpenAI(base_url="{settings.BASE_URL}/v1", '
            'api_key=os.environ["WEIGHBRIDGE_TOKEN"])',
            f"answer = {call}(",
            *lines,
            ")",
            f"print(answer.choices[0].{'message.content' if chat else 'text'})",
        )
    )


def _prompt(run: Run) -> dict[str, Any]:
    told = {"mode": run.mode}
    for name in ("prompt_ids", "messages", "prompt"):
        if value := getattr(run, name):
            told[name] = value
            break
    return {**told, "forced": run.forced} if run.forced else told


def _said(run: Run, names: Any) -> dict[str, Any]:
    """The parameters that are not what they are where nothing is said."""
    plain = Run()
    return {
        name: getattr(run, name)
        for name in names
        if name in ALWAYS or getattr(run, name) != getattr(plain, name)
    }
