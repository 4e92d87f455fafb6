"""Streams over pipes and terminals."""

import asyncio
import os

import pytest

from engine.runtime.descriptors import DescriptorStreams, wide_pipe


async def test_both_outputs_until_both_end():
    out, out_end = wide_pipe()
    err, err_end = wide_pipe()
    streams = DescriptorStreams({1: out, 2: err}, None)
    os.write(out_end, b"out")
    os.close(out_end)
    os.write(err_end, b"err")
    os.close(err_end)
    async with asyncio.timeout(5):
        assert sorted([item async for item in streams]) == [(1, b"out"), (2, b"err")]
    streams.close()


async def test_writes_wait_for_room_and_fail_when_the_reader_is_gone():
    reading, writing = wide_pipe()
    streams = DescriptorStreams({}, writing)
    task = asyncio.create_task(streams.write(b"x" * (3 << 20)))
    got = 0
    while got < 3 << 20:
        got += len(await asyncio.to_thread(os.read, reading, 1 << 20))
    await task
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        await streams.write(b"y")
    streams.close()


async def test_a_terminal_is_both_and_has_no_end_of_input():
    master, slave = os.openpty()
    streams = DescriptorStreams({1: master}, master)
    assert streams.terminal == master
    await streams.close_stdin()
    await streams.write(b"hi\n")
    assert await asyncio.to_thread(os.read, slave, 100) == b"hi\n"
    os.write(slave, b"bye")
    os.close(slave)
    async with asyncio.timeout(5):
        text = b"".join([data async for _, data in streams])
    assert text.endswith(b"bye")
    assert streams.terminal is None
    streams.close()
    streams.close()
