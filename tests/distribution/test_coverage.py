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
        fresh = use.take(start, length, counted=True)
        counted += coverage.total(fresh) - use.give_back(fresh, start, length, sent)
        out |= set(range(start, start + sent))
    assert bytes_of(use.pieces) == out
    assert counted == len(out)


def test_a_copy_ends_when_it_is_whole_and_begun_anew_or_when_its_repeats_make_one() -> None:
    use = FileUse()
    assert use.begins_another(0, 100)
    use.begin_another()
    use.take(0, 100, counted=True)
    use.note_whole(100)
    assert (use.copies, use.completed) == (1, 1)
    assert not use.begins_another(50, 100), "a repair of its second half"
    assert use.begins_another(0, 100)
    use.take(50, 50, counted=True)
    use.take(50, 50, counted=True)
    assert use.begins_another(50, 100), "what was sent again makes a whole copy"
    use.begin_another()
    use.take(0, 60, counted=True)
    use.note_whole(100)
    assert (use.copies, use.completed) == (2, 1)
    assert not use.begins_another(0, 100), "a browser that starts again from the beginning"
    assert use.begins_another(0, 100, once=True)


def test_where_the_store_sends_the_bytes_resumes_are_counted_in_their_stead() -> None:
    use = FileUse()
    use.begin_another()
    for start in range(1000):
        assert not use.begins_another(start + 1, 10_000)
        use.take(start + 1 if start else 0, 9_000, counted=False)
    assert use.repeated == 0
    use.take(5, 9_000, counted=False)
    assert use.begins_another(5, 10_000)
