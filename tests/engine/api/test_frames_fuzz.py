"""Multiplexed frames at random: what goes in comes out, however it's cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.api.frames import frame
from tests.support.fuzz import effort


def parted(content: bytes) -> list[tuple[int, bytes]]:
    """The frames as a client takes them apart (Docker's documentation of attach)."""
    found = []
    while content:
        stream, size = content[0], int.from_bytes(content[4:8], "big")
        assert content[1:4] == b"\0\0\0" and len(content) >= 8 + size
        found.append((stream, content[8 : 8 + size]))
        content = content[8 + size :]
    return found


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=10))
@effort(12)
def test_frames_keep_what_they_hold(pieces: list[tuple[int, bytes]]) -> None:
    content = b"".join(frame(stream, data) for stream, data in pieces)
    for stream in (1, 2):
        sent = b"".join(data for number, data in pieces if number == stream)
        assert b"".join(data for number, data in parted(content) if number == stream) == sent
