"""The cache takes what the device has room for."""

import pytest

from inference_sandbox.engine.memory import NoRoom, Room, room

GIB = 2**30


def test_what_was_asked_for_is_given_where_it_fits() -> None:
    found = room(free=80 * GIB, bytes_of_token=1000, rows=32, length=2048, least=7)
    assert found == Room(rows=32, length=2048)


def test_with_less_memory_there_are_fewer_rows_of_full_length() -> None:
    found = room(free=10 * GIB, bytes_of_token=512 * 1024, rows=32, length=2048, least=7)
    assert found == Room(rows=8, length=2048), "8 GiB are ours, a row of LLaMA 7B takes one"


def test_with_still_less_the_least_rows_become_shorter() -> None:
    found = room(free=5 * GIB, bytes_of_token=512 * 1024, rows=32, length=2048, least=7)
    assert found.rows == 7
    assert 1024 <= found.length < 2048


def test_where_nothing_fits_the_error_says_what_would_help() -> None:
    with pytest.raises(NoRoom, match="WEIGHBRIDGE_DTYPE=int8"):
        room(free=GIB // 2, bytes_of_token=512 * 1024, rows=32, length=2048, least=7)
