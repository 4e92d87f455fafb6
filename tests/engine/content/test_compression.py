"""Decompression by magic numbers, in bounded steps."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable

import pytest
import zstandard

from engine.content.compression import STEP, CompressionError, chunks, is_compressed

CONTENT = bytes(range(256)) * 1500
Pack = Callable[[bytes], bytes]
PACKERS = [gzip.compress, bz2.compress, lzma.compress, zstandard.compress]


def unpacked(raw: bytes) -> bytes:
    return b"".join(chunks(io.BytesIO(raw).read))


@pytest.mark.parametrize("pack", [bytes, *PACKERS])
def test_round_trip(pack: Pack) -> None:
    assert unpacked(pack(CONTENT)) == CONTENT
    assert is_compressed(pack(CONTENT)[:6]) == (pack is not bytes)


@pytest.mark.parametrize("pack", PACKERS)
def test_members_follow_each_other(pack: Pack) -> None:
    assert unpacked(pack(b"one") + pack(b"two")) == b"onetwo"


@pytest.mark.parametrize("pack", PACKERS)
def test_damage_is_told(pack: Pack) -> None:
    raw = bytearray(pack(CONTENT))
    if pack is not zstandard.compress:  # its frames end where the stream does
        with pytest.raises(CompressionError):
            unpacked(bytes(raw[: len(raw) // 2]))
    raw[len(raw) // 2 :] = b"\xff" * (len(raw) - len(raw) // 2)
    with pytest.raises(CompressionError):
        unpacked(bytes(raw))


def test_a_bomb_comes_in_small_pieces() -> None:
    raw = gzip.compress(bytes(64 << 20), 1)
    sizes = [len(piece) for piece in chunks(io.BytesIO(raw).read)]
    assert sum(sizes) == 64 << 20 and max(sizes) <= STEP


def test_nothing_is_nothing() -> None:
    assert unpacked(b"") == b""


def test_errors_of_the_source_pass_through() -> None:
    raw = io.BytesIO(gzip.compress(CONTENT * 20))

    def read(size: int) -> bytes:
        if raw.tell():
            raise ConnectionResetError("cut")
        return raw.read(100)

    with pytest.raises(ConnectionResetError):
        list(chunks(read))


def test_an_xz_that_wants_all_memory() -> None:
    """A block header that asks for a dictionary of 4 GiB."""
    packed = bytearray(lzma.compress(b"x" * 1000))
    header = 12  # of the stream: then size, flags, filter, its length, the dictionary's size
    size = (packed[header] + 1) * 4
    assert packed[header + 2 : header + 4] == b"\x21\x01"
    packed[header + 4] = 40
    packed[header + size - 4 : header + size] = zlib.crc32(
        packed[header : header + size - 4]
    ).to_bytes(4, "little")
    with pytest.raises(CompressionError):
        b"".join(chunks(io.BytesIO(bytes(packed)).read))
