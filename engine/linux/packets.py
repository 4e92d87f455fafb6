"""Many packets of a SOCK_SEQPACKET socket by one system call: recvmmsg(2).

Each packet is a byte that marks it, then its content. The kernel scatters them so that the contents
of full packets lie side by side, and a run of those is one piece without any work on each.
"""

import ctypes
import mmap
import os
import socket

from engine.linux.libc import libc

COUNT = 128  # packets at most
_FULL = 8192  # what conmon reads at once, and so sends
_SPILL = 24 << 10  # room for what a larger packet has beyond that; not in memory until it's used


class _Piece(ctypes.Structure):
    """struct iovec"""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    """struct msghdr"""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Message(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = [("header", _Header), ("received", ctypes.c_uint32)]


_WORDS = ctypes.sizeof(_Message) // 4


class PacketReader:
    """Room for COUNT packets: `receive` until it's worth it, then `take` them all."""

    def __init__(self) -> None:
        self._marks, marks = _memory(COUNT)
        self._contents, contents = _memory(COUNT * _FULL)
        self._spill, spill = _memory(COUNT * _SPILL)
        self._pieces = (_Piece * (3 * COUNT))()
        self._messages = (_Message * COUNT)()
        for slot, message in enumerate(self._messages):
            at = 3 * slot
            self._pieces[at] = _Piece(marks + slot, 1)
            self._pieces[at + 1] = _Piece(contents + slot * _FULL, _FULL)
            self._pieces[at + 2] = _Piece(spill + slot * _SPILL, _SPILL)
            message.header.pieces = ctypes.addressof(self._pieces[at])
            message.header.piece_count = 3
        first = _Message.received.offset // 4
        self._sizes = memoryview(self._messages).cast("B").cast("I")[first::_WORDS]
        self._start = ctypes.addressof(self._messages)
        self._held = 0

    @property
    def held(self) -> int:
        """Packets received and not taken yet."""
        return self._held

    def receive(self, fd: int) -> int:
        """Take what waits at `fd` as far as there's room; how many packets came.

        At the end of the stream they are empty: `take` tells. Raises BlockingIOError when nothing
        waits, OSError.
        """
        count = libc().recvmmsg(
            ctypes.c_int(fd),
            ctypes.c_void_p(self._start + self._held * ctypes.sizeof(_Message)),
            ctypes.c_uint(COUNT - self._held),
            ctypes.c_int(socket.MSG_DONTWAIT),
            None,
        )
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._held += count
        return int(count)

    def take(self) -> tuple[list[tuple[int, bytes]], bool]:
        """(mark, content) of each run of packets with one mark, and whether the stream ended."""
        sizes = self._sizes[: self._held].tolist()
        self._held = 0
        ended = 0 in sizes
        if ended:
            del sizes[sizes.index(0) :]
        runs: list[tuple[int, bytes]] = []
        first, count = 0, len(sizes)
        while first < count:
            mark = self._marks[first]
            left = self._marks[first:count].lstrip(bytes((mark,)))
            last = count - len(left)
            runs.append((mark, self._content(first, sizes[first:last])))
            first = last
        return runs, ended

    def _content(self, first: int, sizes: list[int]) -> bytes:
        """The contents of the packets from slot `first` on; each has its mark in its size."""
        start = first * _FULL
        if sizes[-1] <= _FULL + 1 and sizes[:-1].count(_FULL + 1) == len(sizes) - 1:
            return self._contents[start : start + sum(sizes) - len(sizes)]
        pieces = []
        for slot, size in enumerate(sizes, first):
            start, spilt = slot * _FULL, max(size - 1 - _FULL, 0)
            pieces.append(self._contents[start : start + size - 1 - spilt])
            if spilt:
                pieces.append(self._spill[slot * _SPILL : slot * _SPILL + spilt])
        return b"".join(pieces)


def _memory(size: int) -> tuple[mmap.mmap, int]:
    """Memory that takes no room until it's written, and its address."""
    memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))
