"""What the panel of a run shows, on whichever page it stands."""

from typing import Any

from django.template.loader import render_to_string

from inference_sandbox import reading, selectors, tree
from inference_sandbox.models import Run


def whole(run: Run, *, mine: bool = True) -> dict[str, Any]:
    """The panel of a run by itself: prompt, answer, and what came from it.

    mine: whether its reader is its person, who alone goes on from it and sees what came of it.
    """
    panel = {"run": run, "mine": mine, "is_conversation": _is_conversation(run)}
    if not run.is_over:
        return {**_waiting(run), **panel}
    prompt, answer = reading.of_run(run)
    return {
        **panel,
        "prompt": prompt,
        "answer": answer,
        "tree": tree.of_run(run) if mine else [],
        "may_reply": mine and _is_conversation(run) and bool(run.output.strip()),
    }


def column(run: Run) -> dict[str, Any]:
    """The panel of a run beside others that were given the same prompt."""
    if not run.is_over:
        return _waiting(run)
    prompt, answer = reading.of_run(run)
    return {"run": run, "mine": True, "prompt": prompt, "answer": answer}


def finished(run: Run, *, mine: bool, in_column: bool, csrf_token: str) -> str:
    """The panel that takes the live one's place. The token is for its buttons."""
    if in_column:
        return render_to_string("inference_sandbox/_column.html", column(run))
    context = {**whole(run, mine=mine), "csrf_token": csrf_token}
    return render_to_string("inference_sandbox/_run.html", context)


def _waiting(run: Run) -> dict[str, Any]:
    return {"run": run, **place(run)}


def place(run: Run) -> dict[str, Any]:
    """Where a run stands while it waits."""
    return {
        "run": run,
        "situation": selectors.situation(run.release),
        "ahead": selectors.ahead_of(run) if run.status == Run.Status.QUEUED else 0,
    }


def _is_conversation(run: Run) -> bool:
    return run.mode == Run.Mode.CHAT and not run.prompt_ids
