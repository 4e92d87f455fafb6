"""Maps of ids: as the kernel reads them, and back and forth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linux.userns import NOBODY, SIZE, IdMap

BASE = 0x70000000


@pytest.mark.parametrize(
    ("kept", "lines"),
    [
        ((), ["0 1879048192 65536"]),
        ((1000,), ["0 1879048192 1000", "1000 1000 1", "1001 1879049193 64535"]),
        ((1, 0), ["0 0 1", "1 1 1", "2 1879048194 65534"]),
        ((65535,), ["0 1879048192 65535", "65535 65535 1"]),
    ],
)
def test_the_text_of_a_map(kept, lines):
    assert IdMap(BASE).text(kept).splitlines() == lines


def test_owners_beyond_the_range_are_nobody():
    ids = IdMap(BASE)
    assert ids.outside(SIZE, -1) == (BASE + NOBODY, BASE + NOBODY)
    assert ids.inside(0, BASE + SIZE) == (NOBODY, NOBODY)
    assert ids.inside(BASE - 1, BASE) == (NOBODY, 0)


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1), st.sets(st.integers(1, SIZE - 1)))
def test_there_and_back(uid, gid, kept):
    ids = IdMap(BASE, tuple(kept), (20,))
    assert ids.inside(*ids.outside(uid, gid)) == (uid, gid)


@given(st.sets(st.integers(0, SIZE - 1), max_size=5))
def test_a_text_maps_each_id_once(kept):
    rows = [tuple(map(int, line.split())) for line in IdMap(BASE).text(tuple(kept)).splitlines()]
    assert rows[0][0] == 0
    for (inside, _, count), (following, _, _) in zip(rows, rows[1:], strict=False):
        assert inside + count == following
    assert rows[-1][0] + rows[-1][2] == SIZE
