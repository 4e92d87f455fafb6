"""A process run inside a container, as a child of the engine."""

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import socket
import struct
import subprocess
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.linux import process as processes
from engine.linux import spawn
from engine.linux.spawn import Child
from engine.runtime import failures
from engine.runtime.descriptors import DescriptorStreams, wide_pipe
from engine.runtime.streams import STDERR, STDOUT

_START_SECONDS = 60.0
_numbers = itertools.count()


class ExecRunning:
    """A running exec. `pid` is the process in the engine's pid namespace."""

    def __init__(self, child: Child, pid: int, streams: DescriptorStreams) -> None:
        self.pid = pid
        self.streams = streams
        self._child = child

    @classmethod
    async def start(
        cls,
        runtime: Sequence[str],
        folder: Path,
        id: str,
        process: dict[str, Any],
        *,
        terminal: bool,
        stdin: bool,
        owner: tuple[int, int] | None = None,
    ) -> "ExecRunning":
        """Run `process` in container `id`; `folder` holds the socket that hands a terminal over.

        `owner` gets the standard streams where the process can't take them itself.
        Raises RuntimeFailure when the process can't be started.
        """
        with contextlib.ExitStack() as stack:
            opened = _Descriptors(stack)
            document = os.memfd_create("process.json", os.MFD_CLOEXEC)
            stack.callback(os.close, document)
            os.write(document, json.dumps({**process, "terminal": terminal}).encode())
            told, telling = opened.pipe()
            argv = [*runtime, "exec", "--process", f"/proc/self/fd/{document}"]
            argv += ["--pid-file", f"/proc/self/fd/{telling}"]
            listener = None
            if terminal:
                listener, path = opened.listener(folder)
                argv += ["--console-socket", path]
            opened.standard(terminal=terminal, stdin=stdin)
            if owner is not None:
                opened.give(owner)
            child = spawn.start(
                [*argv, id],
                stdin=opened.theirs.get(0, subprocess.DEVNULL),
                stdout=opened.theirs.get(1, subprocess.DEVNULL),
                stderr=opened.theirs[2],
                keep=(document, telling),
            )
            # crun sets it for a container alone; an exec must not be spared as the engine is
            processes.spare(process.get("oomScoreAdj", 0), child.pid)
            opened.close_theirs()
            pid = await _told_pid(told)
            if pid is None:
                await child.wait()
                message = opened.complaint()
                raise failures.exec_failure(message, process["args"][0])
            streams = await opened.streams(listener)
        return cls(child, pid, streams)

    async def wait(self) -> int:
        """The exit code (128+n for signal n)."""
        code = await self._child.wait()
        return code if code >= 0 else 128 - code

    async def resize(self, height: int, width: int) -> None:
        """Tell the terminal its size in characters."""
        terminal = self.streams.terminal
        if terminal is not None:
            size = struct.pack("HHHH", height, width, 0, 0)
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)

    async def kill(self, signal: int) -> None:
        """Signal the process; nothing when it's gone."""
        if self._child.returncode is None:
            processes.send_signal(self.pid, signal)


class _Descriptors:
    """What an exec opens on its way: ours, and the ends that the child inherits."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._ours: dict[int, int] = {}
        self.theirs: dict[int, int] = {}
        stack.callback(self.close_theirs)
        stack.callback(self._close_ours)

    def pipe(self) -> tuple[int, int]:
        """A plain pipe that we read without blocking and the child writes."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self._stack.callback(os.close, reading)
        self.theirs[-1] = writing
        os.set_blocking(reading, False)
        return reading, writing

    def standard(self, *, terminal: bool, stdin: bool) -> None:
        """The standard streams; with a terminal only the runtime's own complaints."""
        self._ours[2], self.theirs[2] = wide_pipe()
        if terminal:
            return
        self._ours[1], self.theirs[1] = wide_pipe()
        if stdin:
            self.theirs[0], self._ours[0] = wide_pipe()

    def give(self, owner: tuple[int, int]) -> None:
        """Let an owner open the standard streams again, as /dev/stdout."""
        for number in (0, 1, 2):
            if number in self.theirs:
                os.fchown(self.theirs[number], *owner)

    def listener(self, folder: Path) -> tuple[socket.socket, str]:
        """A socket for the terminal, and a path to it that is short enough."""
        directory = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        self._stack.callback(os.close, directory)
        path = f"/proc/{os.getpid()}/fd/{directory}/tty{next(_numbers)}"
        listener = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        self._stack.callback(os.unlink, path)
        listener.listen(1)
        listener.setblocking(False)
        return listener, path

    def close_theirs(self) -> None:
        """Close the child's ends once it has them."""
        for fd in self.theirs.values():
            os.close(fd)
        self.theirs.clear()

    def _close_ours(self) -> None:
        for fd in self._ours.values():
            os.close(fd)
        self._ours.clear()

    def complaint(self) -> str:
        """What the runtime said before it gave up."""
        os.set_blocking(self._ours[2], False)
        try:
            return os.read(self._ours[2], 1 << 16).decode(errors="replace")
        except BlockingIOError:
            return ""

    async def streams(self, listener: socket.socket | None) -> DescriptorStreams:
        """The streams of the started process, which own our descriptors from now on."""
        if listener is not None:
            master = await _receive_terminal(listener)
            return DescriptorStreams({STDOUT: master}, master)
        outputs = {STDOUT: self._ours.pop(1), STDERR: self._ours.pop(2)}
        return DescriptorStreams(outputs, self._ours.pop(0, None))


async def _receive_terminal(listener: socket.socket) -> int:
    """The master side of the pseudo-terminal, as OCI runtimes hand it over (SCM_RIGHTS)."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_START_SECONDS):
        connection, _ = await loop.sock_accept(listener)
    with connection:
        connection.setblocking(True)
        _, descriptors, _, _ = await asyncio.to_thread(socket.recv_fds, connection, 4096, 1)
    if not descriptors:
        raise OSError("the OCI runtime handed no terminal over")
    os.set_inheritable(descriptors[0], False)
    return descriptors[0]


async def _told_pid(fd: int) -> int | None:
    """The pid that the runtime writes once the process is set up; None when it gave up."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[bytes] = loop.create_future()

    def ready() -> None:
        if not future.done():
            future.set_result(os.read(fd, 64))

    loop.add_reader(fd, ready)
    try:
        async with asyncio.timeout(_START_SECONDS):
            text = await future
    finally:
        loop.remove_reader(fd)
    return int(text) if text.strip() else None
