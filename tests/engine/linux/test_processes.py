"""Processes, children, devices, inotify: small things on the real machine."""

import asyncio
import os
import signal
import sys

import pytest

from engine.linux import devices, inotify, libc, process, spawn


def test_own_process():
    mine = process.start_time(os.getpid())
    assert mine is not None
    assert process.alive(os.getpid(), mine)
    assert not process.alive(os.getpid(), mine + 1)
    assert process.comm(os.getpid())
    assert process.state(os.getpid()) == "R"


def test_a_pid_that_is_gone():
    gone = 2**22 + 1
    assert process.start_time(gone) is None
    assert process.open_pidfd(gone) is None
    assert not process.alive(gone)
    assert not process.send_signal(gone, 0)


async def test_child_code_and_signal():
    child = spawn.start([sys.executable, "-S", "-c", "raise SystemExit(3)"])
    assert await child.wait() == 3
    sleeper = spawn.start(["sleep", "60"])
    os.kill(sleeper.pid, signal.SIGTERM)
    assert await asyncio.gather(sleeper.wait(), sleeper.wait()) == [-15, -15]


async def test_run_collects_output():
    code, output = await spawn.run(["sh", "-c", "echo out; echo err >&2; exit 4"])
    assert (code, output) == (4, "out\nerr\n")
    with pytest.raises(TimeoutError):
        await spawn.run(["sleep", "60"], timeout=0.05)
    with pytest.raises(FileNotFoundError):
        await spawn.run(["/nosuch"])


def test_devices():
    null = devices.read("/dev/null")
    assert null is not None and (null.type, null.major, null.minor) == ("c", 1, 3)
    (device,) = devices.resolve("/dev/null", "/dev/other", "r")
    assert (device.path, device.permissions) == ("/dev/other", "r")
    with pytest.raises(ValueError, match="is not a device node"):
        devices.resolve("/etc/passwd")
    with pytest.raises(FileNotFoundError):
        devices.resolve("/dev/nosuch")
    assert "/dev/null" in [device.path for device in devices.walk()]


async def test_many_watches_share_one_instance(tmp_path):
    watches = []
    for number in range(200):  # the kernel gives a user 128 instances
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        watches.append(inotify.Watch())
        watches[-1].add(tmp_path / str(number % 2), inotify.CREATE)
    extra = inotify.Watch()
    extra.add(tmp_path / "0", inotify.DELETE)
    (tmp_path / "0/file").write_text("")
    async with asyncio.timeout(5):
        await asyncio.gather(*(watch.wait() for watch in watches[::2]))
    others = [asyncio.create_task(watch.wait()) for watch in (watches[1], extra)]
    assert not (await asyncio.wait(others, timeout=0.05))[0]
    for watch in watches[:-1]:
        watch.close()
    (tmp_path / "1/file").write_text("")
    (tmp_path / "0/file").unlink()
    async with asyncio.timeout(5):
        await asyncio.gather(watches[-1].wait(), *others)
    watches[-1].close()
    extra.close()
    extra.close()


async def test_inotify(tmp_path):
    watch = inotify.Watch()
    watch.add(tmp_path, inotify.CREATE)
    (tmp_path / "new").touch()
    async with asyncio.timeout(5):
        await watch.wait()
    watch.close()
    watch.close()


def test_open_in_root_follows_links_inside_only(tmp_path):
    (tmp_path / "in").write_text("x")
    (tmp_path / "link").symlink_to("/in")
    root = os.open(tmp_path, os.O_PATH)
    try:
        with open(libc.open_in_root(root, "link", os.O_RDONLY)) as file:
            assert file.read() == "x"
        with pytest.raises(FileNotFoundError):
            libc.open_in_root(root, "../../etc/passwd", os.O_RDONLY)
    finally:
        os.close(root)
