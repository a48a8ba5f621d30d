"""Pure Python, so a stream of random acts can be checked against what must always hold."""

from __future__ import annotations

import subprocess
import sys
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_sandbox.engine.request import Request, SamplingParams, State
from inference_sandbox.engine.scheduler import Move, Scheduler
from inference_sandbox.engine.stopping import StopMatcher
from inference_sandbox.engine.tokenizer import IncrementalDetokenizer


def request(name: str, length: int = 3) -> Request:
    detokenizer = cast(IncrementalDetokenizer, None)
    return Request(name, tuple(range(length)), SamplingParams(), detokenizer, [], StopMatcher(()))


def test_requests_are_admitted_in_the_order_they_came() -> None:
    scheduler = Scheduler(max_batch=2)
    a, b, c = (request(name) for name in "abc")
    for one in (a, b, c):
        scheduler.add(one)
    assert [scheduler.admit(), scheduler.admit(), scheduler.admit()] == [a, b, None]
    assert (a.row, b.row, c.state) == (0, 1, State.WAITING)
    scheduler.finish(b)
    assert scheduler.admit() is c
    assert c.row == 1


def test_a_row_freed_in_the_middle_is_taken_by_the_last_row() -> None:
    scheduler = Scheduler(max_batch=3)
    a, b, c = request("a"), request("b"), request("c", length=7)
    for one in (a, b, c):
        scheduler.add(one)
        scheduler.admit()
    c.read = 7
    assert scheduler.finish(a) == Move(source=2, target=0, length=7)
    assert scheduler.running == [c, b]
    assert (c.row, b.row, a.row, a.state) == (0, 1, None, State.FINISHED)


def test_finishing_twice_does_nothing() -> None:
    scheduler = Scheduler(max_batch=1)
    a, b = request("a"), request("b")
    scheduler.add(a)
    scheduler.admit()
    scheduler.finish(a)
    scheduler.add(b)
    scheduler.admit()
    assert scheduler.finish(a) is None
    assert scheduler.running == [b]


def test_the_same_id_twice_is_refused() -> None:
    scheduler = Scheduler(max_batch=1)
    scheduler.add(request("a"))
    with pytest.raises(ValueError, match="already in the engine"):
        scheduler.add(request("a"))


@given(
    max_batch=st.integers(1, 4),
    acts=st.lists(st.tuples(st.sampled_from(["add", "admit", "finish"]), st.integers(0, 20))),
)
def test_the_running_rows_have_no_gap_whatever_happens(
    max_batch: int, acts: list[tuple[str, int]]
) -> None:
    scheduler = Scheduler(max_batch)
    known: list[Request] = []
    for act, number in acts:
        if act == "add":
            known.append(request(str(len(known))))
            scheduler.add(known[-1])
        elif act == "admit":
            scheduler.admit()
        elif known:
            scheduler.finish(known[number % len(known)])
        assert [r.row for r in scheduler.running] == list(range(len(scheduler.running)))
        assert len(scheduler.running) <= max_batch
        alive = [r for r in known if r.state is not State.FINISHED]
        assert {*scheduler.running, *scheduler.waiting} == set(alive)
        assert [r for r in alive if r.state is State.WAITING] == list(scheduler.waiting)


def test_whoever_has_fewer_running_comes_first_and_of_equals_who_waits_longest() -> None:
    scheduler = Scheduler(max_batch=4)
    for name, user in [("a1", "alice"), ("a2", "alice"), ("a3", "alice"), ("r1", "rita")]:
        one = request(name)
        one.user = user
        scheduler.add(one)
    admitted = [one.request_id for _ in range(4) if (one := scheduler.admit())]
    assert admitted == ["a1", "r1", "a2"], "the last row is for who has nothing running"
    mine = request("m1")
    mine.user = "mallory"
    scheduler.add(mine)
    assert scheduler.admit() is mine


def test_repeatable_requests_have_a_row_of_their_own_one_at_a_time() -> None:
    scheduler = Scheduler(max_batch=1)
    alone = [request(name) for name in ("x", "y")]
    for one in alone:
        one.params = SamplingParams(repeatable=True)
        scheduler.add(one)
    scheduler.add(request("a"))
    while scheduler.admit():
        pass
    assert [one.row for one in alone] == [1, None]
    assert [one.row for one in scheduler.running] == [0]
    assert scheduler.finish(alone[0]) is None
    assert scheduler.admit() is alone[1]
    assert alone[1].row == 1


def test_a_repeatable_request_is_read_in_chunks_of_one_size_whoever_else_is_there() -> None:
    scheduler = Scheduler(max_batch=1, chunk=4, idle_chunk=10)
    alone = request("x", 30)
    alone.params = SamplingParams(repeatable=True)
    scheduler.add(alone)
    scheduler.admit()
    counts = [[share.count for share in scheduler.plan_alone()] for _ in range(2)]
    scheduler.add(request("a"))
    scheduler.admit()
    counts += [[share.count for share in scheduler.plan_alone()] for _ in range(8)]
    assert counts == [[4], [4], [], [], [], [4], [], [], [], [4]]


def test_prompts_share_one_chunk_a_step_in_the_order_they_came() -> None:
    scheduler = Scheduler(max_batch=4, chunk=4, idle_chunk=10)
    long, short, speaking = request("l", 30), request("s", 3), request("d", 2)
    for one in (long, short):
        scheduler.add(one)
        scheduler.admit()
    assert [(share.request, share.count) for share in scheduler.plan()] == [(long, 10)]
    speaking.read = 1
    scheduler.add(speaking)
    scheduler.admit()
    long.read = 27
    shares = [(share.request, share.count) for share in scheduler.plan()]
    assert shares == [(speaking, 1), (long, 3), (short, 1)]


def test_the_scheduler_imports_no_torch() -> None:
    code = "import sys, inference_sandbox.engine.scheduler; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
