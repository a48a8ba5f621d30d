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


def test_the_scheduler_imports_no_torch() -> None:
    code = "import sys, inference_sandbox.engine.scheduler; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
