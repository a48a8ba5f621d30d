"""A run as a record: all that is needed to do it again, and what came of it."""

from typing import Any

from inference_sandbox.asking import Asked
from inference_sandbox.models import Run, RunTokens

# What may be asked, by the names of `asking.Asked` and of the REST face.
PARAMETERS = (
    *("max_tokens", "temperature", "top_k", "top_p", "min_p", "repetition_penalty"),
    *("presence_penalty", "frequency_penalty", "logit_bias", "stop", "seed", "ignore_eos"),
    *("stop_token_ids", "min_tokens"),
    *("logprobs", "prompt_logprobs", "repeatable"),
)
ASKED = ("mode", "prompt", "messages", "prompt_ids", "forced", *PARAMETERS)
OUTCOME = (
    *("output", "output_ids", "finish_reason", "error", "prompt_tokens", "output_tokens"),
    *("tokens_per_second", "first_token_seconds", "engine", "started_at", "finished_at"),
)


def asked_of(run: Run) -> Asked:
    """What was asked, to ask it again."""
    values: Any = {name: getattr(run, name) for name in ASKED}
    asked: Asked = values
    return asked


def record_of(run: Run) -> dict[str, Any]:
    """The person's own run, with their note, without what the model thought of each token."""
    return {
        "id": run.pk,
        "created_at": run.created_at,
        "release": run.release.repo_id,
        "revision": run.revision.digest,
        "status": run.status,
        **{name: getattr(run, name) for name in (*ASKED, *OUTCOME)},
        "goes_on_from": run.parent_id,
        "repeats": run.repeats_id,
        "job": run.job_id,
        "shared": run.shared,
        "note": run.note,
        "emptied_at": run.emptied_at,
        "deleted_at": run.deleted_at,
    }


def whole_record_of(run: Run) -> dict[str, Any]:
    """With each token: `[id, text, logprob, entropy, [[id, text, logprob], …]]`."""
    found = RunTokens.objects.filter(pk=run.pk).first()
    tokens = {"prompt": found.prompt, "output": found.output} if found else None
    return {**record_of(run), "tokens": tokens}
