"""The export of all runs while runs come, change and go: each that was there is in it once."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.test import Client
from django.utils import timezone

from inference_sandbox import keeping, run_pages
from inference_sandbox.models import Run
from portal.accounts.models import Account
from tests.inference_sandbox.conftest import Prompt
from tests.people import signed_in

EXPORT = "/sandbox/runs/export/"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_pages, "EXPORTED_AT_ONCE", 3)


Finished = Callable[[datetime], Run]


@pytest.fixture
def finished(prompt: Prompt) -> Finished:
    def make(at: datetime) -> Run:
        run = prompt()
        Run.objects.filter(pk=run.pk).update(
            status="finished", finish_reason="stop", created_at=at, output="first"
        )
        run.refresh_from_db()
        return run

    return make


def exported(response: Any, between: Callable[[], None]) -> bytes:
    """The file as a client gets it, with `between` done after each of its pages."""

    async def read() -> bytes:
        parts = []
        async for part in response.streaming_content:
            parts.append(part)
            await sync_to_async(between)()
        return b"".join(parts)

    return async_to_sync(read)()


def changes(alice: Account, finished: Finished, runs: list[Run]) -> Callable[[], None]:
    """Each time another: older runs are deleted, others are noted, new ones come before and behind."""
    began = runs[0].created_at

    def steps() -> Iterator[None]:
        for number in range(len(runs)):
            finished(timezone.now())
            if number:  # the first part of a CSV file is its head
                finished(began - timedelta(days=1 + number))
                keeping.delete(runs[number - 1].pk, actor=alice)
            keeping.write_note(runs[-1].pk, actor=alice, text=f"Note {number}")
            yield

    walking = steps()
    return lambda: next(walking)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_runs_that_come_and_go_meanwhile_make_it_neither_skip_nor_double(
    alice: Account, finished: Finished, kind: str
) -> None:
    at = timezone.now() - timedelta(hours=1)
    # Four at the same time each, so that the end of a page falls between equals.
    runs = [finished(at + timedelta(seconds=number // 4)) for number in range(12)]
    runs.sort(key=lambda run: (run.created_at, run.pk))
    response = signed_in(alice).get(f"{EXPORT}{kind}/")
    text = exported(response, changes(alice, finished, runs)).decode()
    if kind == "jsonl":
        ids = [json.loads(line)["id"] for line in text.splitlines()]
    else:
        ids = [row["id"] for row in csv.DictReader(io.StringIO(text))]
    assert ids == [str(run.pk) for run in runs]


def test_it_ends_though_runs_keep_coming(alice: Account, finished: Finished) -> None:
    runs = [finished(timezone.now() - timedelta(hours=1)) for _ in range(4)]
    response = signed_in(alice).get(f"{EXPORT}jsonl/")

    def more() -> None:
        for _ in range(3):
            finished(timezone.now())

    lines = exported(response, more).splitlines()
    assert {json.loads(line)["id"] for line in lines} == {str(run.pk) for run in runs}


def test_a_run_of_another_is_in_nobodys_file(finished: Finished, mallory: Account) -> None:
    finished(timezone.now())
    browser: Client = signed_in(mallory)
    assert exported(browser.get(f"{EXPORT}jsonl/"), lambda: None) == b""
