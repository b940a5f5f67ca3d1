"""How RBD writes cut data."""

from hypothesis import given, settings
from hypothesis import strategies as st

from glimpse.stores.rbd.pieces import BLOCK, PIECE, Gatherer, data_runs
from tests.support.images.content import noise

SIZES = st.sampled_from((0, 1, 4096, BLOCK, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5))


CONTENT = noise(16 * PIECE + 25)


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.tuples(SIZES, st.sampled_from((bytes, bytearray, memoryview))), max_size=5))
def test_pieces_are_the_data_in_order_at_multiples_of_their_size(sizes):
    gatherer, found, position = Gatherer(), [], 0
    for size, kind in sizes:
        data = CONTENT[position : position + size]
        buffer = bytearray(data)
        found += list(gatherer.pieces(buffer if kind is bytearray else kind(data)))
        buffer[:] = bytes(len(buffer))
        position += size
    found += list(gatherer.rest())
    assert b"".join(piece for _, piece in found) == CONTENT[:position]
    assert [offset for offset, _ in found] == list(range(0, position, PIECE))
    assert all(len(piece) == PIECE for _, piece in found[:-1])
    assert gatherer.position == position
    assert list(gatherer.rest()) == []


def test_a_whole_piece_is_not_copied():
    piece = noise(PIECE)
    ((offset, taken),) = Gatherer().pieces(piece)
    assert offset == 0
    assert taken is piece


def test_runs_of_data_leave_out_whole_blocks_of_zeros():
    data, zeros = noise(BLOCK), bytes(BLOCK)
    assert data_runs(b"") == []
    assert data_runs(zeros * 16) == []
    assert data_runs(data * 16) == [(0, 16 * BLOCK)]
    assert data_runs(zeros + data + data + zeros + data[:5]) == [(BLOCK, 3 * BLOCK), (4 * BLOCK, 4 * BLOCK + 5)]
    assert data_runs(bytes(BLOCK - 1) + b"x" + bytes(5)) == [(0, BLOCK)]


@settings(deadline=None)
@given(parts=st.lists(st.tuples(st.booleans(), st.integers(1, 3 * BLOCK)), max_size=6))
def test_what_is_left_out_is_zero(parts):
    piece = b"".join(bytes(size) if zero else noise(size) for zero, size in parts)
    rebuilt = bytearray(len(piece))
    for start, end in data_runs(piece):
        assert start % BLOCK == 0
        rebuilt[start:end] = piece[start:end]
    assert rebuilt == piece
