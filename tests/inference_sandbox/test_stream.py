"""The stream in a real Redis: one writer at a time, readers that come back, workers that are up."""

import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from inference_sandbox import stream
from inference_sandbox.stream import Entry, Kind, LeaseLost, Writer
from portal.refusals import Code, Refusal


@pytest.fixture
def run_id() -> uuid.UUID:
    return uuid.uuid4()


@pytest.fixture
def writer(run_id: uuid.UUID) -> Writer:
    writer = Writer.take(run_id)
    assert writer
    return writer


def read(run_id: uuid.UUID, after: str = stream.BEGINNING) -> list[Entry]:
    async def collect() -> list[Entry]:
        return [entry async for entry in stream.read(run_id, after, wait=False) if entry]

    return async_to_sync(collect)()


def test_a_reader_gets_what_was_written_in_order(writer: Writer) -> None:
    for number, text in enumerate([" é", "\n", "<b>"]):
        writer.append(Kind.TOKEN, t=number, x=text)
    assert [entry.data for entry in read(writer.run_id)] == [
        {"t": 0, "x": " é"}, {"t": 1, "x": "\n"}, {"t": 2, "x": "<b>"},
    ]  # fmt: skip


def test_a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(writer: Writer) -> None:
    for number in range(10):
        writer.append(Kind.TOKEN, t=number, x="x")
    first = read(writer.run_id)[:4]
    rest = read(writer.run_id, after=first[-1].id)
    assert [entry.data["t"] for entry in first + rest] == list(range(10))


def test_reading_ends_with_the_end(writer: Writer) -> None:
    writer.append(Kind.END, status="finished")
    stream.append_end(writer.run_id, status="late")
    assert [entry.data["status"] for entry in read(writer.run_id)] == ["finished"]


def test_a_waiting_reader_is_pinged_and_then_served(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PING_SECONDS", 0.05)

    async def collect() -> list[Any]:
        heard: list[Any] = []
        async for entry in stream.read(writer.run_id, stream.BEGINNING, wait=True):
            heard.append(entry and entry.kind)
            if len(heard) == 2:
                writer.append(Kind.END)
        return heard

    assert async_to_sync(collect)() == [None, None, Kind.END]


def test_one_worker_at_a_time_holds_a_run(writer: Writer) -> None:
    assert Writer.take(writer.run_id) is None
    assert stream.leased([writer.run_id, uuid.uuid4()]) == {writer.run_id}
    writer.release()
    assert Writer.take(writer.run_id) is not None


def test_a_writer_that_was_taken_for_dead_can_write_no_more(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.append(Kind.TOKEN, t=1, x="a")
    writer.release()  # as when the lease runs out
    heir = Writer.take(writer.run_id)
    assert heir
    with pytest.raises(LeaseLost):
        writer.append(Kind.TOKEN, t=2, x="b")
    with pytest.raises(LeaseLost):
        writer.renew()
    writer.release()  # must not take away the heir's lease
    heir.append(Kind.TOKEN, t=2, x="b")
    assert [entry.data["x"] for entry in stream.tokens_so_far(writer.run_id)] == ["a", "b"]


def test_writing_tells_whether_somebody_asked_to_cancel(writer: Writer) -> None:
    assert writer.append(Kind.START) is False
    stream.ask_cancel(writer.run_id)
    assert writer.append(Kind.TOKEN, t=1, x="a") is True
    assert writer.renew() is True


def test_streams_and_leases_pass_away(writer: Writer) -> None:
    writer.append(Kind.START)
    redis = stream._client()
    assert 0 < redis.ttl(f"wb:run:{writer.run_id}") <= 86_400
    assert 0 < redis.pttl(f"wb:lease:{writer.run_id}") <= stream.LEASE_MS


def test_attempts_are_counted(writer: Writer) -> None:
    assert [writer.count_attempt(), writer.count_attempt()] == [1, 2]


def test_a_worker_is_up_until_it_says_good_bye_or_falls_silent() -> None:
    slug = uuid.uuid4().hex
    first = stream.Worker("engine@a", "f" * 40, "cpu", "float32", 8)
    second = stream.Worker("engine@b", "", "cpu", "float32", 8)
    assert stream.workers(slug) == []
    stream.announce(slug, first)
    stream.announce(slug, second)
    assert stream.workers(slug) == [first, second]
    stream.withdraw(slug, "engine@b")
    assert stream.workers(slug) == [first]
    assert 0 < stream._client().ttl(f"wb:worker:{slug}:engine@a") <= stream.WORKER_SECONDS
    stream._client().delete(f"wb:worker:{slug}:engine@a")  # as time does
    assert stream.workers(slug) == []


@override_settings(REDIS_URL="redis://127.0.0.1:1/0")
def test_a_redis_that_does_not_answer_is_a_refusal_with_a_way_out(run_id: uuid.UUID) -> None:
    stream._client.cache_clear()
    try:
        with pytest.raises(Refusal) as refused:
            stream.ask_cancel(run_id)
        with pytest.raises(stream.StreamDown):
            read(run_id)
    finally:
        stream._client.cache_clear()
    assert refused.value.code == Code.UNAVAILABLE
