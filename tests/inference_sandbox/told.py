"""Runs that are over, with what a model thought of their tokens, where no model is needed."""

from typing import Any

from inference_sandbox import tokens
from inference_sandbox.models import Run, RunTokens


def record(run: Run, token: int, logprob: float | None = -0.5) -> list[Any]:
    """The token, and `z` as its one alternative."""
    tokenizer = tokens.tokenizer_of(run.revision)
    other = tokenizer.encode("z", bos=False)[0]
    top = [[token, tokenizer.token_text(token), logprob or -0.5], [other, "z", -1.25]]
    return [token, tokenizer.token_text(token), logprob, 1.0, top]


def over(run: Run, text: str, **fields: Any) -> Run:
    """The run, finished with this text: one token a byte, each with a record."""
    ids = tokens.tokenizer_of(run.revision).encode(text, bos=False)
    prompt = tokens.of_run(tokens.tokenizer_of(run.revision), run)
    told = [record(run, token, None if not place else -2.0) for place, token in enumerate(prompt)]
    RunTokens.objects.update_or_create(
        run=run, defaults={"prompt": told, "output": [record(run, token) for token in ids]}
    )
    values = {"status": "finished", "finish_reason": "stop", "output": text, **fields}
    Run.objects.filter(pk=run.pk).update(output_tokens=len(ids), **values)
    run.refresh_from_db()
    return run
