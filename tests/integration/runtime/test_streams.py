"""Attaching, terminals, exec, logs on real containers."""

import asyncio
import signal

import pytest

from engine.runtime import logparts, logs
from engine.runtime.bundle import RuntimeFailure
from engine.runtime.process import exec_process
from engine.runtime.spec import SpecInputs
from engine.runtime.users import User

pytestmark = pytest.mark.root


async def text(streams):
    return b"".join([data async for _, data in streams])


async def test_input_ends_with_its_client(bench):
    bundle = bench.bundle("cat", stdin=True, stdin_once=True)
    running = await bench.runtime.create(bundle)
    streams, watcher = await running.attach(), await running.attach()
    await bench.runtime.start(bundle.id)
    watcher.close()
    await streams.write(b"line\n" * 20000)
    await streams.close_stdin()
    async with asyncio.timeout(10):
        assert len(await text(streams)) == 100000
        assert (await running.wait()).code == 0


async def test_input_stays_open_without_stdin_once(bench):
    bundle, running = await bench.start("sh", "-c", "read a; read b; echo $a$b", stdin=True)
    first = await running.attach()
    await first.write(b"1\n")
    await first.close_stdin()
    first.close()
    second = await running.attach()
    await second.write(b"2\n")
    async with asyncio.timeout(10):
        assert await text(second) == b"12\n"
    assert bundle.id


async def test_terminal(bench):
    bundle = bench.bundle("sh", "-c", "read x; stty size; echo $x", stdin=True, terminal=True)
    running = await bench.runtime.create(bundle)
    streams = await running.attach()
    await bench.runtime.start(bundle.id)
    await running.resize(33, 77)
    await asyncio.sleep(0.2)
    await streams.write(b"hello\n")
    async with asyncio.timeout(10):
        output = await text(streams)
        assert (await running.wait()).code == 0
    assert b"33 77\r\n" in output and output.endswith(b"hello\r\n")


async def test_exec(bench):
    bundle, _ = await bench.start("sleep", "60", env=("PATH=/bin", "A=1"))
    document = exec_process(bundle.spec, ["sh", "-c", "echo $A $B; id -u >&2; ls /proc/self/fd"])
    document["env"].append("B=2")
    running = await bench.runtime.exec(bundle.id, document, False, False)
    async with asyncio.timeout(10):
        output = [item async for item in running.streams]
        assert await running.wait() == 0
    out = b"".join(data for stream, data in output if stream == 1).split()
    assert out[:2] == [b"1", b"2"]
    assert out[2:] == [b"0", b"1", b"2", b"3"]  # 3 is the listing itself: nothing of ours leaks
    assert b"".join(data for stream, data in output if stream == 2) == b"0\n"


async def test_exec_input_user_and_code(bench):
    bundle, _ = await bench.start("sleep", "60")
    user = User(1000, 1000, home="/tmp")
    document = exec_process(bundle.spec, ["sh", "-c", "wc -c; id -u; exit 7"], user=user)
    running = await bench.runtime.exec(bundle.id, document, False, True)
    await running.streams.write(bytes(3 << 20))
    await running.streams.close_stdin()
    async with asyncio.timeout(10):
        assert (await text(running.streams)).split() == [b"3145728", b"1000"]
        assert await running.wait() == 7


async def test_exec_terminal_and_kill(bench):
    bundle, _ = await bench.start("sleep", "60")
    document = exec_process(bundle.spec, ["sh", "-c", "read x; stty size; sleep 60"], terminal=True)
    running = await bench.runtime.exec(bundle.id, document, True, True)
    await running.resize(20, 30)
    await running.streams.write(b"\n")
    async with asyncio.timeout(10):
        output = b""
        async for _, data in running.streams:
            output += data
            if b"20 30" in output:
                break
        await running.kill(signal.SIGKILL)
        assert await running.wait() == 137
    running.streams.close()


@pytest.mark.parametrize(
    ("program", "words", "code"),
    [("nosuch", "executable file not found in $PATH", 127), ("/etc/passwd", "denied", 126)],
)
async def test_failures_of_exec(bench, program, words, code):
    bundle, _ = await bench.start("sleep", "60")
    with pytest.raises(RuntimeFailure) as caught:
        await bench.runtime.exec(bundle.id, exec_process(bundle.spec, [program]), False, False)
    assert caught.value.message.startswith("OCI runtime exec failed: exec failed: ")
    assert words in caught.value.message
    assert caught.value.exit_code == code


async def test_logs_are_followed_to_the_end(bench):
    bundle, running = await bench.start("sh", "-c", "seq 1 3000; sleep 0.2; echo end >&2")
    ended = asyncio.Event()

    async def follow():
        found = logs.read(bundle.log_path, follow=True, ended=ended)
        return [line async for batch in found for line in batch]

    task = asyncio.create_task(follow())
    async with asyncio.timeout(10):
        await running.wait()
        ended.set()
        lines = await task
    assert [line.data for line in lines[:3000]] == [b"%d\n" % n for n in range(1, 3001)]
    assert lines[-1][::2] == (2, b"end\n")


async def test_logs_are_rotated(bench):
    bundle, running = await bench.start(
        "sh", "-c", "for i in $(seq 1 12); do seq 1 400; sleep 0.1; done", size=20000, files=3
    )
    async with asyncio.timeout(20):
        await running.wait()
    names = sorted(path.name for path in logparts.paths(bundle.log_path))
    assert names == ["log", "log.1", "log.2"]
    lines = [line async for batch in logs.read(bundle.log_path) for line in batch]
    assert lines[-1].data == b"400\n"


def test_inputs_are_plain_values():
    assert SpecInputs(id="a", rootfs="/", args=()) == SpecInputs(id="a", rootfs="/", args=())
