"""Readers come and go: they cost no generation, and an answer that is not kept lives by them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import close_old_connections
from django.test import AsyncClient, override_settings
from pytest_django import Settings

from access_requests.models import Grant
from access_requests.services import revoke
from inference_sandbox import generation, keeping, quotas, readers, services, sse, stream
from inference_sandbox.engine.engine import Engine
from inference_sandbox.models import Run
from inference_sandbox.stream import Entry, Kind
from portal.accounts.models import Account, ApiToken, Scope
from portal.catalog.models import Release
from portal.refusals import Refusal
from tests.inference_sandbox.conftest import Prompt, celery_worker, give
from tests.inference_sandbox.reading import Heard, hear
from tests.inference_sandbox.test_faults import entries, state
from tests.inference_sandbox.test_worker import LONG, follow, tokens_of
from tests.people import person
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


def test_ten_readers_of_one_run_cost_one_generation(
    prompt: Prompt, tiny: Release, alice: Account, tmp_path: Path
) -> None:
    run = prompt(max_tokens=LONG)
    readers = [follow(alice, run) for _ in range(10)]
    with celery_worker(tiny.slug, tmp_path / "log"):
        until(lambda: Run.objects.get(pk=run.pk).is_over)
        heard = [reader() for reader in readers]
    run.refresh_from_db()
    assert all(tokens_of(one) == run.output_ids for one in heard)
    assert len(entries(run, Kind.START)) == 1
    assert stream._client().get(f"wb:attempts:{run.pk}") == "1"


class Reader:
    """Reads a run's stream in a thread until it is told to go away."""

    def __init__(self, run: Run) -> None:
        self.gone, self.entries = threading.Event(), 0
        self._thread = threading.Thread(target=async_to_sync(self._read), args=[run])
        self._thread.start()

    async def _read(self, run: Run) -> None:
        async for _ in stream.read(run.pk, stream.BEGINNING, wait=True, sign=True):
            self.entries += 1
            if self.gone.is_set():
                return

    def leave(self) -> None:
        self.gone.set()
        self._thread.join(30)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some thirty tokens a second, so that seconds can pass in the middle of an answer."""
    step = Engine.step

    def slowly(self: Engine) -> Any:
        time.sleep(0.03)
        return step(self)

    monkeypatch.setattr(Engine, "step", slowly)


@pytest.fixture
def in_background() -> Iterator[Callable[[Run], threading.Thread]]:
    threads: list[threading.Thread] = []

    def start(run: Run) -> threading.Thread:
        def work() -> None:
            try:
                generation.execute(run.pk)
            finally:
                close_old_connections()

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(60)


Start = Callable[[Run], threading.Thread]


@override_settings(SANDBOX_READER_GRACE=1.5)
def test_an_answer_that_is_not_kept_ends_when_its_last_reader_is_gone(
    prompt: Prompt, in_background: Start, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "READER_SECONDS", 1)
    run, kept = prompt(max_tokens=900, keep=False), prompt(max_tokens=900)
    first, second = Reader(run), Reader(run)
    for one in (run, kept):
        in_background(one)
    until(lambda: first.entries > 5)
    first.leave()
    time.sleep(4)
    assert state(run) == "running", "one reader is enough"
    second.leave()
    until(lambda: state(run) == "cancelled", 10)
    run.refresh_from_db()
    assert run.finish_reason == "unread"
    assert run.output_ids
    assert "Nobody was reading" in run.ending
    assert state(kept) == "running", "one that is kept needs no reader"
    services.cancel(kept.pk, actor=kept.account)


@override_settings(SANDBOX_READER_GRACE=5.0)
def test_a_reader_that_comes_back_within_the_grace_finds_the_answer_going_on(
    prompt: Prompt, in_background: Start, slow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "READER_SECONDS", 1)
    run = prompt(max_tokens=300, keep=False)
    first = Reader(run)
    in_background(run)
    until(lambda: first.entries > 5)
    first.leave()
    time.sleep(2)
    second = Reader(run)
    until(lambda: Run.objects.get(pk=run.pk).is_over, 60)
    assert state(run) == "finished"
    second.leave()


@override_settings(SANDBOX_READER_GRACE=0.2)
def test_one_that_nobody_waited_for_does_not_begin(prompt: Prompt, grant: Grant) -> None:
    run = prompt(keep=False)
    time.sleep(0.3)
    generation.execute(run.pk)
    over = Run.objects.get(pk=run.pk)
    assert (over.status, over.finish_reason, over.output) == ("cancelled", "unread", "")
    assert quotas.use_of(grant).used == 0
    kept = prompt()
    generation.execute(kept.pk)
    assert state(kept) == "finished"


@override_settings(SANDBOX_READER_GRACE=1.0)
def test_a_browser_that_reads_the_stream_is_a_reader(
    prompt: Prompt, alice: Account, in_background: Start, slow: None
) -> None:
    run = prompt(max_tokens=150, keep=False)
    reader = follow(alice, run)
    in_background(run)
    assert len(tokens_of(reader())) == 150
    assert state(run) == "finished"


@pytest.mark.parametrize("cause", ["revoked", "private"])
def test_who_reads_anothers_run_is_cut_off_once_it_is_theirs_no_longer(
    cause: str,
    prompt: Prompt,
    tiny: Release,
    alice: Account,
    manager: Account,
    in_background: Start,
    slow: None,
) -> None:
    bob = person("bob")
    grant = give(bob, tiny)
    run = prompt(max_tokens=150)
    keeping.share(run.pk, actor=alice, shared=True)
    mine, theirs, page = follow(alice, run), follow(bob, run), on_page(bob, run)
    in_background(run)
    until(lambda: stream.tokens_so_far(run.pk))
    if cause == "revoked":
        revoke(grant.pk, actor=manager, reason="The project ended.")
    else:
        keeping.share(run.pk, actor=alice, shared=False)
    told = theirs()
    assert len(tokens_of(told)) < 100
    assert "not shared with you any more" in json.loads(told.events[-1].data)["detail"]
    assert [event.name for event in page().events[-2:]] == ["end", "close"]
    assert "not shared with you any more" in page().events[-2].data
    assert "Open My access" in page().events[-2].data
    assert len(tokens_of(mine())) == 150


@pytest.mark.parametrize("stream_is_gone", [True, False])
def test_the_end_and_what_the_row_tells_are_for_who_may_read_them_at_that_moment(
    prompt: Prompt, alice: Account, mallory: Account, stream_is_gone: bool
) -> None:
    run = prompt()
    generation.execute(run.pk)
    if stream_is_gone:
        stream._client().delete(f"wb:run:{run.pk}")

    async def to_frames(entry: Entry) -> bytes:
        return entry.kind.value.encode()

    async def told(account: Account) -> list[bytes]:
        reader = sse.Reader(account, to_frames, lambda refusal: refusal.code.encode())
        row = await Run.objects.aget(pk=run.pk)
        return [frame async for frame in sse.follow(row, stream.BEGINNING, reader)]

    assert async_to_sync(told)(alice)[-1] == b"end"
    theirs = async_to_sync(told)(mallory)
    assert theirs[-1] == b"not_found"
    assert b"end" not in theirs
    assert (theirs == [b"not_found"]) is stream_is_gone


def on_page(account: Account, run: Run) -> Callable[[], Heard]:
    """A browser that shows the run, in a thread; call it for what it heard to the end."""
    client, heard = AsyncClient(), SimpleQueue[Heard]()
    client.force_login(account, backend="django.contrib.auth.backends.ModelBackend")

    def read() -> None:
        heard.put(hear(client, f"/sandbox/runs/{run.pk}/stream/"))
        close_old_connections()

    threading.Thread(target=read).start()
    return cache(lambda: heard.get(timeout=60))


def test_a_quiet_stream_says_something_every_15_seconds(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the reader gives its sign more often than that."""
    assert stream.PING_SECONDS == 15.0
    monkeypatch.setattr(stream, "PING_SECONDS", 1.0)
    monkeypatch.setattr(stream, "READER_SECONDS", 1)
    run = prompt(keep=False)

    async def first_ping() -> float:
        began = time.monotonic()
        async for entry in stream.read(run.pk, stream.BEGINNING, wait=True, sign=True):
            assert entry is None
            return time.monotonic() - began
        return 0.0

    assert 0.4 < async_to_sync(first_ping)() < 1.5


# ---- how many streams may be open ----------------------------------------------------------------


@pytest.fixture
def running(prompt: Prompt, settings: Settings) -> Iterator[list[Run]]:
    """Three of alice's runs, each with something to read; four streams may be open for a token."""
    settings.SANDBOX_STREAM_READERS, settings.SANDBOX_SIMULTANEOUS = 4, 10
    runs = [prompt() for _ in range(3)]
    for run in runs:
        writer = stream.Writer.take(run.pk)
        assert writer
        writer.append(Kind.START)
    yield runs
    for key in stream._client().keys("wb:readers:*"):
        stream._client().delete(key)


def test_who_follows_too_many_streams_is_refused_and_a_closed_one_makes_room(
    running: list[Run], alice: Account
) -> None:
    first, second, third = running
    token, text = ApiToken.make(alice, name="test", scopes=[Scope.SANDBOX])
    headers = {"authorization": f"Bearer {text}"}

    async def follow_one(run: Run) -> Any:
        slot = await readers.take(run.pk, alice.pk, token.pk)
        reader = sse.Reader(alice, to_frames, lambda refusal: b"", token.pk)
        frames = sse.follow(run, stream.BEGINNING, reader, slot)
        assert await anext(frames) == b"start"
        return frames

    async def to_frames(entry: Entry) -> bytes:
        return entry.kind.value.encode()

    async def ask(run: Run) -> Any:
        return await AsyncClient().get(f"/api/v1/runs/{run.pk}/stream/", headers=headers)

    async def go() -> None:
        followed = [await follow_one(run) for run in (first, first, second)]
        of_run = await ask(first)
        followed.append(await follow_one(second))
        of_token = await ask(third)
        for refused in (of_run, of_token):
            assert (refused.status_code, refused["Retry-After"]) == (429, "5")
            assert refused.json()["code"] == "rate_limited"
        await followed.pop().aclose()
        followed.append(await follow_one(third))
        for frames in followed:
            await frames.aclose()

    async_to_sync(go)()
    assert not stream._client().keys("wb:readers:*")


def test_all_tokens_of_an_account_share_twice_as_many(
    running: list[Run], alice: Account, settings: Settings
) -> None:
    settings.SANDBOX_STREAM_READERS = 2
    keys = [f"wb:readers:account:{alice.pk}"]

    async def fill() -> list[int]:
        found = []
        for number in range(5):
            try:
                await readers.take(uuid4(), alice.pk, number + 1)
                found.append(200)
            except Refusal as refusal:
                found.append(refusal.status)
        return found

    assert async_to_sync(fill)() == [200, 200, 200, 200, 429]
    assert stream._client().zcard(keys[0]) == 4


def test_the_slot_of_a_reader_that_vanished_comes_free_and_one_that_reads_keeps_its_own(
    running: list[Run], alice: Account, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SANDBOX_STREAM_READERS = 1
    clock = SimpleNamespace(time=time.time, monotonic=time.monotonic)
    monkeypatch.setattr(readers, "time", clock)
    now, token = time.time(), 1

    async def take(account: int) -> readers.Slot:
        return await readers.take(running[0].pk, account, token)

    async def go() -> None:
        slot = await take(alice.pk)
        clock.time = lambda: now + readers.LEASE_SECONDS - 1
        clock.monotonic = lambda: time.monotonic() + stream.PING_SECONDS
        await slot.renew()
        clock.time = lambda: now + readers.LEASE_SECONDS + 10
        with pytest.raises(Refusal):
            await take(alice.pk)
        clock.time = lambda: now + 3 * readers.LEASE_SECONDS
        await take(alice.pk)

    async_to_sync(go)()


def test_another_person_is_not_kept_from_a_shared_run(running: list[Run], alice: Account) -> None:
    async def go() -> None:
        for _ in range(2):
            await readers.take(running[0].pk, alice.pk, None)
        with pytest.raises(Refusal):
            await readers.take(running[0].pk, alice.pk, None)
        await readers.take(running[0].pk, alice.pk + 1, None)

    async_to_sync(go)()
