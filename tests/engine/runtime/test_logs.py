"""conmon's log: parsing, tails, bounds, following, rotation."""

import asyncio

import pytest

from engine.runtime import logparts, logs, rotation
from engine.runtime.logfile import LogLine, Parser, parse_time

SECOND = 1_767_225_600  # 2026-01-01T00:00:00Z


def entry(text, *, at=0, stream="stdout", mark="F"):
    return b"2026-01-01T00:00:%02d.000000001+00:00 %s %s %s\n" % (
        at,
        stream.encode(),
        mark.encode(),
        text,
    )


async def collect(path, **options):
    return [line async for batch in logs.read(path, **options) for line in batch]


def test_times_and_offsets():
    assert parse_time(b"2026-01-01T00:00:03.000000007+00:00") == SECOND * 10**9 + 3 * 10**9 + 7
    assert parse_time(b"2026-01-01T02:00:03.000000007+02:00") == SECOND * 10**9 + 3 * 10**9 + 7


def test_pieces_may_be_cut_anywhere():
    text = entry(b"one") + entry(b"tw", mark="P") + entry(b"err", stream="stderr") + entry(b"o")
    parser = Parser(stdout=True, stderr=True, timed=True)
    found = [line for at in range(len(text)) for line in parser.feed(text[at : at + 1])]
    assert [(line.stream, line.data) for line in found] == [
        (1, b"one\n"),
        (2, b"err\n"),
        (1, b"two\n"),
    ]


@pytest.mark.parametrize(
    "texts", [[b"x"] * 3000, [b"%d" % n for n in range(3000)], [b"", b"\r", b"a"]]
)
def test_without_times_the_bytes_are_the_same(texts):
    content = b"".join(entry(text, at=n // 1000) for n, text in enumerate(texts))
    parser = Parser(stdout=True, stderr=True, timed=False)
    assert b"".join(line.data for line in parser.feed(content)) == b"".join(
        text + b"\n" for text in texts
    )


def test_without_times_streams_stay_apart():
    content = b"".join(
        entry(
            b"%d" % n, stream="stderr" if n % 5 == 0 else "stdout", mark="P" if n % 7 == 0 else "F"
        )
        for n in range(2000)
    )
    parser = Parser(stdout=False, stderr=True, timed=False)
    found = b"".join(line.data for line in [*parser.feed(content), *parser.flush()])
    wanted = b"".join(b"%d" % n + (b"" if n % 7 == 0 else b"\n") for n in range(0, 2000, 5))
    assert found == wanted


def test_without_times_an_unfinished_line_is_held_back():
    parser = Parser(stdout=True, stderr=True, timed=False)
    found = parser.feed(entry(b"one") + entry(b"tw", mark="P") + entry(b"err", stream="stderr"))
    assert found == [LogLine(1, 0, b"one\n"), LogLine(2, 0, b"err\n")]
    assert parser.pending
    assert parser.feed(entry(b"o")) == [LogLine(1, 0, b"two\n")]
    assert not parser.pending
    assert parser.feed(entry(b"prompt", mark="P")) == []
    assert parser.flush() == [LogLine(1, 0, b"prompt")]
    assert parser.flush() == []


def test_without_times_a_very_long_line_is_not_held():
    parser = Parser(stdout=True, stderr=True, timed=False)
    found = parser.feed(entry(b"x" * 8192, mark="P") * 3)
    assert [len(line.data) for line in found] == [3 * 8192]


def test_long_lines_are_given_in_pieces():
    parser = Parser(stdout=True, stderr=True, timed=True)
    found = parser.feed(entry(b"x" * 8192, mark="P") * 200)
    assert len(found) == 1 and len(found[0].data) > 1 << 20
    assert found[0].data.strip(b"x") == b""


async def test_tail(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"".join(entry(b"line %d" % n) for n in range(5000)))
    assert [line.data for line in await collect(log, tail=2)] == [b"line 4998\n", b"line 4999\n"]
    assert len(await collect(log, tail=4999)) == 4999
    assert len(await collect(log, tail=9999)) == 5000
    assert await collect(log, tail=0) == []


async def test_tail_counts_a_cut_line_once(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(entry(b"a") + entry(b"b", mark="P") + entry(b"c", mark="P") + entry(b"d"))
    assert [line.data for line in await collect(log, tail=1)] == [b"bcd\n"]


async def test_bounds_and_streams(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(
        b"".join(entry(b"%d" % n, at=n, stream="stderr" if n % 2 else "stdout") for n in range(10))
    )
    since, until = (SECOND + 3) * 10**9, (SECOND + 6) * 10**9
    found = await collect(log, since_ns=since, until_ns=until, stdout=False)
    assert [line.data for line in found] == [b"3\n", b"5\n"]


async def test_an_unfinished_line_comes_without_newline(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(entry(b"prompt: ", mark="P"))
    assert await collect(log) == [LogLine(1, SECOND * 10**9 + 1, b"prompt: ")]


async def test_missing_log(tmp_path):
    assert await collect(tmp_path / "log") == []


async def test_follow_across_rotation(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(entry(b"0"))
    ended = asyncio.Event()
    found: list[bytes] = []

    async def follow():
        async for batch in logs.read(log, follow=True, ended=ended):
            found.extend(line.data for line in batch)

    task = asyncio.create_task(follow())
    for number in range(1, 6):
        await asyncio.sleep(0.01)
        if number % 2:
            logparts.shift(log, 3)
        with log.open("ab") as file:
            file.write(entry(b"%d" % number))
    await asyncio.sleep(0.02)
    ended.set()
    async with asyncio.timeout(5):
        await task
    assert found == [b"%d\n" % number for number in range(6)]


async def test_follow_gives_a_prompt_after_a_moment(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(entry(b"login: ", mark="P"))
    reading = logs.read(log, follow=True, ended=asyncio.Event())
    async with asyncio.timeout(5):
        assert (await anext(reading))[0].data == b"login: "
    await reading.aclose()


async def test_rotated_files_are_read_in_order(tmp_path):
    for number, name in enumerate(("log.2", "log.1", "log")):
        (tmp_path / name).write_bytes(entry(b"%d" % number))
    assert [line.data for line in await collect(tmp_path / "log")] == [b"0\n", b"1\n", b"2\n"]
    assert [line.data for line in await collect(tmp_path / "log", tail=2)] == [b"1\n", b"2\n"]


async def test_rotation(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"")
    reopened = asyncio.Event()
    task = asyncio.create_task(rotation.rotate(log, 10, 2, reopened.set))
    await asyncio.sleep(0.01)
    log.write_bytes(b"x" * 20)
    async with asyncio.timeout(5):
        await reopened.wait()
    task.cancel()
    assert (tmp_path / "log.1").stat().st_size == 20
    assert not log.exists()


@pytest.mark.parametrize("tail", [None, 2])
async def test_a_writer_faster_than_the_reader_does_not_hold_it(tmp_path, tail):
    path = tmp_path / "log"
    path.with_name("log.1").write_bytes(entry(b"old") * 2)
    path.write_bytes(entry(b"a") * 3)
    found = []
    async for lines in logs.read(path, tail=tail):
        found += [line.data for line in lines]
        with path.open("ab") as file:
            file.write(entry(b"later"))
        assert len(found) < 10
    assert found == ([b"old\n"] * 2 + [b"a\n"] * 3 if tail is None else [b"a\n"] * 2)


def rotated_log(folder, *, packed=(1, 2)):
    """A log of three files with the lines 0 to 29, those of the given numbers compressed."""
    log = folder / "log"
    for number in range(3):
        with log.open("wb") as file:
            file.writelines(entry(b"%d" % (10 * number + n), at=number) for n in range(10))
        if number < 2:
            logparts.shift(log, 3)
    for number in packed:
        other = log.with_name(f"log.{number}")
        logparts._pack(other)
        assert not other.exists() and other.with_name(f"{other.name}.gz").exists()
    return log


@pytest.mark.parametrize("packed", [(), (1,), (2,), (1, 2)])
@pytest.mark.parametrize("tail", [None, 0, 1, 10, 11, 25, 30, 99])
@pytest.mark.parametrize("follow", [False, True])
async def test_compressed_files_are_read_in_order(tmp_path, packed, tail, follow):
    ended = asyncio.Event()
    ended.set()
    log = rotated_log(tmp_path, packed=packed)
    lines = await collect(log, tail=tail, follow=follow, ended=ended)
    wanted = list(range(30))[-tail:] if tail else ([] if tail == 0 else list(range(30)))
    assert [int(line.data) for line in lines] == wanted


async def test_shift_keeps_what_is_compressed(tmp_path):
    log = rotated_log(tmp_path)
    logparts.shift(log, 3)
    logparts.compress(log, 3)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["log.1.gz", "log.2.gz"]
    assert [int(line.data) for line in await collect(log)] == list(range(10, 30))


async def test_follow_while_files_are_rotated_and_compressed(tmp_path):
    log = tmp_path / "log"
    ended = asyncio.Event()
    log.write_bytes(entry(b"0"))
    seen = []

    async def follow():
        async for batch in logs.read(log, follow=True, ended=ended):
            seen.extend(int(line.data) for line in batch)

    task = asyncio.create_task(follow())
    for number in range(1, 60):
        with log.open("ab") as file:
            file.write(entry(b"%d" % number, at=number))
        if number % 7 == 0:
            await asyncio.to_thread(logparts.shift, log, 4)
            log.touch()
            await asyncio.to_thread(logparts.compress, log, 4)
        if number % 5 == 0:
            await asyncio.sleep(0.002)
    ended.set()
    async with asyncio.timeout(10):
        await task
    assert seen == list(range(60))


async def test_rotation_compresses_once_the_writer_has_moved_on(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(entry(b"old") * 10)
    task = asyncio.create_task(rotation.rotate(log, 10, 3, log.touch, compress=True))
    try:
        async with asyncio.timeout(10):
            while not (tmp_path / "log.1.gz").exists() or (tmp_path / "log.1").exists():
                with log.open("ab") as file:
                    file.write(entry(b"x"))
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
    assert (await collect(log))[0].data == b"old\n"


async def test_rotation_goes_on_when_compressing_fails(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(entry(b"old") * 10)
    (tmp_path / "log.1.part").mkdir()  # in the way of what is being made
    task = asyncio.create_task(rotation.rotate(log, 10, 3, log.touch, compress=True))
    try:
        async with asyncio.timeout(10):
            while not (tmp_path / "log.2").exists():
                with log.open("ab") as file:
                    file.write(entry(b"x") * 5)
                await asyncio.sleep(0.02)
    finally:
        task.cancel()
    assert not list(tmp_path.glob("*.gz"))
