"""Packets received many at a time keep their order, marks and contents."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.linux.packets import COUNT, PacketReader

FULL = 8192


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def runs_of(packets: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    runs: list[tuple[int, bytes]] = []
    for mark, content in packets:
        if runs and runs[-1][0] == mark:
            runs[-1] = (mark, runs[-1][1] + content)
        else:
            runs.append((mark, content))
    return runs


SIZES = st.sampled_from([0, 1, 5, FULL - 1, FULL, FULL, FULL + 1, 3 * FULL])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([2, 3]), SIZES), min_size=1, max_size=6), st.booleans())
def test_runs(shape: list[tuple[int, int]], ends: bool) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader = PacketReader()
    packets = [(mark, bytes([number + 1]) * size) for number, (mark, size) in enumerate(shape)]
    with ours, theirs:
        for mark, content in packets:
            theirs.send(bytes([mark]) + content)
        if ends:
            theirs.close()
        reader.receive(ours.fileno())
        if ends and reader.held == len(packets):
            assert reader.receive(ours.fileno()) > 0
        assert reader.take() == (runs_of(packets), ends)
        assert reader.take() == ([], False)


def test_nothing_waits(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reader = PacketReader()
    with pytest.raises(BlockingIOError):
        reader.receive(ours.fileno())
    theirs.send(b"\x02a")
    reader.receive(ours.fileno())
    theirs.send(b"\x02b")
    reader.receive(ours.fileno())
    assert reader.take() == ([(2, b"ab")], False)


def test_no_more_than_there_is_room(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reader = PacketReader()
    for number in range(COUNT + 9):
        theirs.send(b"\x02%d," % number)
    assert reader.receive(ours.fileno()) == COUNT == reader.held
    (first,), _ = reader.take()
    assert reader.receive(ours.fileno()) == 9
    (rest,), _ = reader.take()
    assert first[1] + rest[1] == b"".join(b"%d," % number for number in range(COUNT + 9))
