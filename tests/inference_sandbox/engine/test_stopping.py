"""Stop strings, whatever pieces the text comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_sandbox.engine.stopping import StopMatcher

letters = st.text("ab", max_size=30)


def let_through(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    matcher = StopMatcher(stops)
    shown = "".join(matcher.push(piece) for piece in pieces)
    return shown + ("" if matcher.stopped else matcher.flush()), matcher.stopped


@pytest.mark.parametrize(
    ("pieces", "stops", "shown", "stopped"),
    [
        (["one\n", "\ntwo"], ["\n\n"], "one", True),
        (["a", "b", "c"], ["abd"], "abc", False),
        (["aab"], ["ab"], "a", True),
        (["x", "ST", "OP", "y"], ["STOP", "xS"], "", True),
        (["no stops"], [], "no stops", False),
        (["STO"], ["STOP"], "STO", False),
    ],
)
def test_the_text_ends_before_the_first_stop(
    pieces: list[str], stops: list[str], shown: str, stopped: bool
) -> None:
    assert let_through(pieces, stops) == (shown, stopped)


@given(st.lists(letters, max_size=8), st.lists(st.text("ab", min_size=1, max_size=5), max_size=3))
def test_pieces_make_no_difference_but_to_which_of_two_stops_was_whole_first(
    pieces: list[str], stops: list[str]
) -> None:
    whole = "".join(pieces)
    shown, stopped = let_through(pieces, stops)
    assert stopped == any(stop in whole for stop in stops)
    assert whole.startswith(shown)
    assert not any(stop in shown for stop in stops)
    if not stopped:
        assert shown == whole


def test_what_may_be_the_beginning_of_a_stop_is_kept_back() -> None:
    matcher = StopMatcher(["\n\nUser:"])
    assert matcher.push("Hello\n") == "Hello"
    assert matcher.push("\nUs") == ""
    assert matcher.push("ual") == "\n\nUsual"
    assert matcher.push("\n\nUser: hi") == ""
    assert matcher.stopped
    assert matcher.push("more") == ""


def test_no_stop_ends_in_text_that_may_not_be_stopped() -> None:
    matcher = StopMatcher(["ab", "abc", "x"])
    assert matcher.push("x, ab", may_stop=False) == "x, "
    assert matcher.push("d") == "abd", "`ab` ended before"
    assert matcher.push("ab", may_stop=False) == ""
    assert matcher.push("c more") == "", "`abc` ends in what comes now"
    assert matcher.stopped


def test_a_stop_may_begin_in_text_that_may_not_be_stopped() -> None:
    matcher = StopMatcher(["STOP"])
    assert matcher.push("one ST", may_stop=False) == "one "
    assert matcher.push("OP two") == ""
    assert matcher.stopped
