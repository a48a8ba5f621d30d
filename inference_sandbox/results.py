"""What a job's runs came to, one beside the other."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from string import ascii_uppercase
from typing import Any

from django.http import StreamingHttpResponse

from inference_sandbox.models import Job, Run
from portal import exports

HEAD = (
    *("run", "release", "revision", "mode", "temperature", "top_p", "top_k", "repetition_penalty"),
    *("seed", "max_tokens", "status", "finish_reason", "prompt_tokens", "output_tokens"),
    *("tokens_per_second", "same_as", "prompt", "output"),
)


@dataclass(frozen=True)
class Result:
    """One run of a job. `group`: a letter that all runs with this very output share."""

    run: Run
    group: str
    shared_by: int
    differs_at: int | None  # the first character, from 1, that is not as in the first column

    @property
    def is_shared(self) -> bool:
        return self.shared_by > 1


@dataclass(frozen=True)
class Row:
    """The results of one temperature, one a seed."""

    temperature: float
    cells: list[Result]


@dataclass(frozen=True)
class Results:
    job: Job
    results: list[Result]

    @property
    def over(self) -> int:
        return sum(result.run.is_over for result in self.results)

    @property
    def is_over(self) -> bool:
        return self.over == len(self.results)

    @property
    def different(self) -> int:
        """How many different outputs there are among those that finished."""
        return len({result.group for result in self.results if result.group})

    @property
    def is_rounded(self) -> bool:
        """Whether near-ties may have come out one way in this run and another way in the next."""
        return any(
            name in result.run.engine and not result.run.repeatable
            for result in self.results
            for name in ("bfloat16", "int8")
        )

    @property
    def prompt(self) -> str:
        return self.results[0].run.prompt if self.results else ""

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(result.run.seed for result in self.results))

    @property
    def rows(self) -> list[Row]:
        """A sweep's runs as its grid: they are numbered row by row."""
        rows: dict[float, list[Result]] = {}
        for result in self.results:
            rows.setdefault(result.run.temperature, []).append(result)
        return [Row(temperature, cells) for temperature, cells in rows.items()]


def of_job(job: Job) -> Results:
    runs = list(job.runs.select_related("release", "revision", "account").order_by("position"))
    return Results(job, list(_results(runs)))


def _results(runs: Sequence[Run]) -> Iterator[Result]:
    outputs = [run.output for run in runs if run.status == Run.Status.FINISHED]
    counted, names = Counter(outputs), dict(zip(dict.fromkeys(outputs), _letters(), strict=False))
    for run in runs:
        finished = run.status == Run.Status.FINISHED
        yield Result(
            run,
            group=names[run.output] if finished else "",
            shared_by=counted[run.output] if finished else 0,
            differs_at=_difference(runs[0], run) if finished and runs[0].is_over else None,
        )


def _difference(first: Run, other: Run) -> int | None:
    pairs = zip_longest(first.output, other.output)
    return next((place for place, (a, b) in enumerate(pairs, start=1) if a != b), None)


def _letters() -> Iterator[str]:
    """A, B, … Z, AA, AB, …"""
    yield from ascii_uppercase
    for first in _letters():
        yield from (first + second for second in ascii_uppercase)


def export(job: Job, kind: str) -> StreamingHttpResponse:
    """The results as a file, one line a run."""
    results = of_job(job).results

    def page(after: int) -> tuple[Sequence[Result], int | None]:
        return results, None

    def line(result: Result) -> bytes:
        return json.dumps(dict(zip(HEAD, _cells(result), strict=True)), ensure_ascii=False).encode()

    name = f"{job.kind}-{str(job.pk)[:8]}"
    return exports.export(name, kind, head=HEAD, page=page, line=line, cells=_cells)


def _cells(result: Result) -> list[Any]:
    run = result.run
    return [
        *(str(run.pk), run.release.repo_id, run.revision.digest, run.mode, run.temperature),
        *(run.top_p, run.top_k, run.repetition_penalty, run.seed, run.max_tokens, run.status),
        *(run.finish_reason, run.prompt_tokens, run.output_tokens, run.tokens_per_second),
        *(result.group, run.prompt, run.output),
    ]
