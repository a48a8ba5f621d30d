"""What people wrote goes, and what models answered; that there was a run stays.

Three ways lead here: a person deletes a run, its texts reach their age, a person is erased.
"""

import contextlib
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from inference_sandbox import stream
from inference_sandbox.models import Run, RunTokens

# When, under which grant, how long and how many tokens: these stay.
EMPTY: dict[str, Any] = {
    **{"prompt": "", "output": "", "error": "", "note": "", "seed": 0, "logit_bias": {}},
    **{"messages": [], "prompt_ids": [], "forced": [], "stop": [], "output_ids": []},
    "stop_token_ids": [],
    "shared": False,
}


def empty(runs: "QuerySet[Run]") -> int:
    """Inside the caller's transaction; the streams go once it is committed. How many there were."""
    ids = list(runs.values_list("pk", flat=True))
    transaction.on_commit(partial(_forget, ids), robust=True)
    RunTokens.objects.filter(run__in=ids).delete()
    return Run.objects.filter(pk__in=ids).update(**EMPTY, emptied_at=timezone.now())


def _forget(runs: Iterable[UUID]) -> None:
    with contextlib.suppress(stream.StreamDown):  # the streams end by themselves within a day
        stream.forget(runs)
