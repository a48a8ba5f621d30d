"""What this floor forgets of a person: every prompt and every answer."""

import contextlib
from collections.abc import Iterable
from functools import partial
from uuid import UUID

from django.db import transaction

from inference_sandbox import stream
from inference_sandbox.models import Run, RunTokens
from portal.accounts.models import Account


def erase(account: Account) -> None:
    """Inside the transaction of the erasure. When, under which grant and how long, is kept."""
    runs = Run.objects.filter(account=account)
    transaction.on_commit(partial(_forget, list(runs.values_list("pk", flat=True))))
    RunTokens.objects.filter(run__account=account).delete()
    runs.update(**dict.fromkeys(("prompt", "output", "error", "note"), ""), seed=0)
    runs.update(messages=[], prompt_ids=[], forced=[], stop=[], logit_bias={})


def _forget(runs: Iterable[UUID]) -> None:
    with contextlib.suppress(stream.StreamDown):  # the streams end by themselves within a day
        stream.forget(runs)
