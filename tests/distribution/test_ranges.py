"""Conditions and ranges, by RFC 9110."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from distribution.ranges import Span, not_modified, span
from portal.refusals import Code, Refusal

TAG = '"abc"'


def ask(header: str, if_range: str = "", size: int = 100) -> Span | None:
    return span(header, if_range, size=size, tag=TAG)


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 100),
        ("bytes=10-19", 10, 10),
        ("bytes=90-200", 90, 10),
        ("bytes=-1", 99, 1),
        ("bytes=-1000", 0, 100),
        ("bytes=99-", 99, 1),
    ],
)
def test_one_range_is_that_part(header: str, start: int, length: int) -> None:
    assert ask(header) == Span(start, length, 100)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=x-",
        "bytes=-",
        "bytes=5-2",
        "items=0-1",
        "bytes=1-2x",
        "bytes=1--2",
        "bytes=0-1;3-4",
    ],
)
def test_a_malformed_range_is_ignored(header: str) -> None:
    assert ask(header) is None


@pytest.mark.parametrize(
    "header",
    [
        "BYTES=5-5",
        "bytes =5-5",
        "bytes= 5-5",
        "bytes=5 -5",
        "bytes=5-5,",
        "bytes=,5-5",
        "bytes=5-5 ",
        "bytes=00000000000000000005-5",
        "bytes=\N{ARABIC-INDIC DIGIT FIVE}-5",
    ],
)
def test_a_range_that_a_proxy_or_store_may_read_otherwise_is_ignored(header: str) -> None:
    """They would send the whole file, and one byte would be counted."""
    assert ask(header) is None


@pytest.mark.parametrize(
    "header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999999-"]
)
def test_a_range_beyond_the_end_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(Refusal) as refused:
        ask(header)
    assert refused.value.code == Code.RANGE_NOT_SATISFIABLE
    assert refused.value.headers == {"Content-Range": "bytes */100"}
    assert "100 bytes" in refused.value.detail


def test_many_ranges_are_refused_with_what_to_do() -> None:
    with pytest.raises(Refusal) as refused:
        ask("bytes=0-1,5-6,8-9")
    assert refused.value.status == 416
    assert refused.value.way_out == "Ask for one range at a time."


def test_an_empty_file_has_no_range() -> None:
    with pytest.raises(Refusal):
        ask("bytes=0-", size=0)


@pytest.mark.parametrize("if_range", ['"other"', 'W/"abc"', "Wed, 21 Oct 2015 07:28:00 GMT", "abc"])
def test_if_range_with_other_bytes_gives_the_whole_file(if_range: str) -> None:
    assert ask("bytes=10-19", if_range) is None
    assert ask("bytes=100-", if_range) is None


def test_if_range_with_the_same_bytes_gives_the_part() -> None:
    assert ask("bytes=10-19", TAG) == Span(10, 10, 100)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        ("*", True),
        ('"x"', False),
        ("abc", False),
        ('"abcd"', False),
    ],
)
def test_if_none_match_knows_its_own_tag(header: str, expected: bool) -> None:
    assert not_modified(header, TAG) is expected


@given(st.text(max_size=40), st.integers(0, 10**13))
@example("bytes=" + "9" * 5000 + "-", 5)
def test_no_header_breaks_it_and_no_part_leaves_the_file(header: str, size: int) -> None:
    for given_header in (header, f"bytes={header}"):
        try:
            part = span(given_header, "", size=size, tag=TAG)
        except Refusal:
            continue
        assert part is None or (
            part.start >= 0 and part.length > 0 and part.start + part.length <= size
        )
