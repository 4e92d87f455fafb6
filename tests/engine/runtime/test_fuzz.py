"""Logs at random: however lines are cut, rotated and compressed, the right bytes come out."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.runtime import logparts, logs
from engine.runtime.logfile import Parser, tail_offset
from tests.support.fuzz import effort

# (is stderr, is the line's end, text)
LINES = st.lists(
    st.tuples(
        st.booleans(), st.booleans(), st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"."))
    ),
    max_size=25,
)  # fmt: skip
Line = tuple[bool, bool, bytes]


def entry(number: int, line: Line) -> bytes:
    stderr, whole, text = line
    return b"2026-01-01T00:00:%02d.%09d+00:00 %s %s %s\n" % (
        number // 10, number, b"stderr" if stderr else b"stdout", b"F" if whole else b"P", text,
    )  # fmt: skip


def content_of(lines: list[Line]) -> bytes:
    return b"".join(entry(number, line) for number, line in enumerate(lines))


def text_of(lines: list[Line], *, stderr: bool) -> bytes:
    return b"".join(text + (b"\n" if whole else b"") for err, whole, text in lines if err is stderr)


@given(LINES, st.lists(st.integers(1, 200), max_size=6), st.booleans())
@effort(18)
def test_every_byte_of_each_stream(lines: list[Line], cuts: list[int], timed: bool) -> None:
    content = content_of(lines)
    parser = Parser(stdout=True, stderr=True, timed=timed)
    found, start = [], 0
    for cut in [*cuts, len(content)]:
        found += parser.feed(content[start : start + cut])
        start += cut
    found += parser.feed(content[start:])
    found += parser.flush()
    for stream, stderr in ((1, False), (2, True)):
        got = b"".join(line.data for line in found if line.stream == stream)
        assert got == text_of(lines, stderr=stderr)


@given(st.binary(max_size=400), st.booleans())
@effort(12)
def test_any_bytes_are_read(content: bytes, timed: bool) -> None:
    parser = Parser(stdout=True, stderr=True, timed=timed)
    for line in [*parser.feed(content), *parser.feed(b"\n"), *parser.flush()]:
        assert line.stream in (1, 2)


@given(LINES, st.integers(0, 30))
@effort(18)
def test_the_tail_is_that_many_lines(lines: list[Line], count: int) -> None:
    content = content_of(lines)
    offset, found = tail_offset(lambda at, length: content[at : at + length], len(content), count)
    rows = content[offset:].split(b"\n")[:-1]
    assert found <= count and content[:offset].count(b"\n") + len(rows) == len(lines)
    whole = sum(1 for row in rows if row[43:44] == b"F")
    assert whole <= count
    if offset:
        assert found == count


async def collect(path: Path, **options: object) -> bytes:
    batches = logs.read(path, timed=True, stderr=False, **options)  # type: ignore[arg-type]
    return b"".join([line.data async for batch in batches for line in batch])


@given(LINES, st.lists(st.integers(0, 25), max_size=3), st.sets(st.integers(1, 3)))
@effort(8)
def test_rotated_files_are_one_log(lines: list[Line], cuts: list[int], packed: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        entries = [entry(number, line) for number, line in enumerate(lines)]
        start = 0
        for cut in sorted(cuts):
            log.write_bytes(b"".join(entries[start:cut]))
            logparts.shift(log, 9)
            start = max(start, cut)
        log.write_bytes(b"".join(entries[start:]))
        for number in packed:
            if (plain := log.with_name(f"log.{number}")).exists():
                logparts._pack(plain)
        assert asyncio.run(collect(log)) == text_of(lines, stderr=False)


@given(LINES, st.integers(0, 30), st.integers(0, 30))
@effort(8)
def test_since_and_until_are_exact(lines: list[Line], first: int, last: int) -> None:
    whole = [(err, True, text) for err, _, text in lines]
    start = 1_767_225_600 * 10**9  # 2026-01-01

    def moment(number: int) -> int:
        return start + number // 10 * 10**9 + number

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.write_bytes(content_of(whole))
        found = asyncio.run(collect(log, since_ns=moment(first), until_ns=moment(last)))
    assert found == text_of(
        [line for number, line in enumerate(whole) if first <= number <= last], stderr=False
    )
