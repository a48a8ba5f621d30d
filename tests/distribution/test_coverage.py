"""Which bytes are out: the arithmetic of pieces, beside sets of single bytes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from distribution import coverage
from distribution.models import FileUse

SIZE = 40
PIECES = st.lists(
    st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda two: sorted(two)), max_size=8
)


def bytes_of(pieces: list[list[int]]) -> set[int]:
    return {byte for start, end in pieces for byte in range(start, end)}


@given(PIECES, PIECES)
def test_pieces_are_sets_of_bytes(left: list[list[int]], right: list[list[int]]) -> None:
    one, two = coverage.union(left), coverage.union(right)
    assert bytes_of(one) == bytes_of(left)
    assert coverage.total(one) == len(bytes_of(left))
    assert all(before[1] < after[0] for before, after in pairwise(one))
    assert bytes_of(coverage.without(one, two)) == bytes_of(left) - bytes_of(right)
    assert bytes_of(coverage.common(one, two)) == bytes_of(left) & bytes_of(right)


@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, SIZE)), max_size=12))
def test_cut_transfers_count_each_byte_of_a_copy_once(cuts: list[tuple[int, int]]) -> None:
    """Each transfer asks from a byte to the end and is cut after some: only what was sent is out, once."""
    use, out, counted = FileUse(), set(), 0
    use.begin_another()
    for start, sent in cuts:
        length = SIZE - start
        sent = min(sent, length)
        fresh = use.take(start, length)
        counted += coverage.total(fresh) - use.give_back(fresh, start, length, sent)
        out |= set(range(start, start + sent))
    assert bytes_of(use.pieces) == out
    assert counted == len(out)


def begins(use: FileUse, start: int, length: int, *, counted: bool = True) -> bool:
    return use.begins_another(start, length, 100, counted=counted)


def test_a_copy_ends_when_it_is_whole_and_begun_again_or_when_its_repeats_make_one() -> None:
    use = FileUse()
    assert begins(use, 0, 100)
    use.begin_another()
    use.take(0, 100)
    use.note_whole(100)
    assert (use.copies, use.completed) == (1, 1)
    assert not begins(use, 50, 50), "a repair of its second half"
    assert begins(use, 0, 1)
    use.take(50, 50)
    use.take(50, 50)
    assert begins(use, 50, 50), "with this, more than a whole copy would be sent again"
    use.begin_another()
    use.take(0, 60)
    use.note_whole(100)
    assert (use.copies, use.completed) == (2, 1)
    assert not begins(use, 0, 100), "a browser that starts again from the beginning"


def test_all_but_the_first_byte_asked_for_again_and_again_is_not_one_copy() -> None:
    use = FileUse()
    use.begin_another()
    use.take(1, 99)
    assert not begins(use, 1, 99), "a line that was cut"
    use.take(1, 99)
    assert begins(use, 1, 99)
    assert not begins(use, 0, 1), "the missing byte belongs to this copy"


def test_where_another_sends_the_bytes_ten_times_as_many_may_be_asked_for_again() -> None:
    use = FileUse()
    use.begin_another()
    use.take(0, 100)
    for _ in range(10):
        assert not begins(use, 1, 99, counted=False)
        use.take(1, 99)
    assert begins(use, 1, 99, counted=False)
