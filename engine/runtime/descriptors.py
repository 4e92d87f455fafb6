"""Streams over plain file descriptors: the pipes or the terminal of an exec."""

import array
import asyncio
import contextlib
import fcntl
import os
import termios
from collections.abc import AsyncIterator

from engine.runtime.inbox import Inbox, settle

PIPE_SIZE = 1 << 20
_READ = 1 << 20
_HELD = 4 << 20
_F_SETPIPE_SZ = 1031
_WORTHWHILE = 64 << 10
_PATIENCE = 2


def wide_pipe() -> tuple[int, int]:
    """A pipe of a megabyte where the kernel grants it: (read end, write end)."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # /proc/sys/fs/pipe-user-pages-soft, for others than root
        fcntl.fcntl(writing, _F_SETPIPE_SZ, PIPE_SIZE)
    return reading, writing


def _waiting(fd: int) -> int:
    """How many bytes can be read from `fd` at once."""
    size = array.array("i", [0])
    try:
        fcntl.ioctl(fd, termios.FIONREAD, size)
    except OSError:
        return 0
    return size[0]


class DescriptorStreams:
    """Streams whose output comes from `outputs` (descriptor by stream) and input goes to `input`.

    Owns the descriptors. A terminal is both: then its output ends with EIO.
    """

    def __init__(self, outputs: dict[int, int], input: int | None) -> None:
        self._inbox = Inbox(self._resume)
        self._open = dict(outputs)
        self._input = input
        self._shared = input is not None and input in outputs.values()
        self._paused = True
        self._writing = asyncio.Lock()
        self._writable: asyncio.Future[None] | None = None
        for fd in {*outputs.values(), *([input] if input is not None else [])}:
            os.set_blocking(fd, False)
        self._resume()

    def _resume(self) -> None:
        if self._paused and self._inbox.held <= _HELD:
            self._paused = False
            for stream, fd in self._open.items():
                asyncio.get_running_loop().add_reader(fd, self._ready, stream, fd)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            for fd in self._open.values():
                asyncio.get_running_loop().remove_reader(fd)

    def _ready(self, stream: int, fd: int) -> None:
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last process closed the terminal
            data = b""
        if data:
            if len(data) < _WORTHWHILE:
                data = self._more(fd, data)
            self._inbox.put(stream, data)
            if self._inbox.held > _HELD:
                self._pause()
            return
        self._end_output(stream)

    def _more(self, fd: int, data: bytes) -> bytes:
        """`data` and what the writer adds when it gets the processor for a moment.

        Fewer, bigger pieces cost everyone less; an end of output is left for the next look.
        """
        pieces = [data]
        for _ in range(_PATIENCE):
            os.sched_yield()
            waiting = _waiting(fd)
            if waiting:
                pieces.append(os.read(fd, waiting))
        return b"".join(pieces)

    def _end_output(self, stream: int) -> None:
        fd = self._open.pop(stream)
        asyncio.get_running_loop().remove_reader(fd)
        if self._shared:
            self._close_input()
        else:
            os.close(fd)
        if not self._open:
            self._inbox.end()

    def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        return self

    async def __anext__(self) -> tuple[int, bytes]:
        return await self._inbox.take()

    async def write(self, data: bytes) -> None:
        """Give input; waits for room. Raises BrokenPipeError when the process closed stdin."""
        async with self._writing:
            view = memoryview(data)
            while view:
                if self._input is None:
                    raise BrokenPipeError("stdin is closed")
                try:
                    view = view[os.write(self._input, view) :]
                except BlockingIOError:
                    await self._wait_writable(self._input)
                except OSError as error:
                    self._close_input()
                    raise BrokenPipeError("stdin is closed") from error

    async def _wait_writable(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        self._writable = future = loop.create_future()
        loop.add_writer(fd, settle, future)
        try:
            await future
        finally:
            if self._input == fd:
                loop.remove_writer(fd)

    async def close_stdin(self) -> None:
        """End the input; a terminal has no end of input but Ctrl-D, as with Docker."""
        async with self._writing:
            if not self._shared:
                self._close_input()

    def _close_input(self) -> None:
        if self._input is None:
            return
        fd, self._input = self._input, None
        asyncio.get_running_loop().remove_writer(fd)
        os.close(fd)
        if self._writable is not None:
            settle(self._writable)

    @property
    def terminal(self) -> int | None:
        """The terminal's descriptor, while it's open."""
        return self._input if self._shared else None

    def close(self) -> None:
        """Let go; the process goes on (and gets EPIPE or SIGHUP when it goes on writing)."""
        self._pause()
        self._inbox.discard()
        left, self._open = self._open, {}
        if not self._shared:
            for fd in left.values():
                os.close(fd)
        self._close_input()
