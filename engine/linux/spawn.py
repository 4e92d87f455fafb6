"""Child processes: started with vfork, their end awaited by pidfd on the event loop.

asyncio's own subprocesses cost several milliseconds each and need a child watcher.
"""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

Stream = int | None


class _Process(subprocess.Popen[bytes]):
    """A Popen that may be left running: conmon is meant to outlive us."""

    def __del__(self) -> None:
        pass


class Child:
    """A started process; it is reaped at its end whether anyone waits or not."""

    def __init__(self, process: _Process) -> None:
        self._process = process
        self.pid = process.pid
        self._pidfd = os.pidfd_open(process.pid)
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._reap)

    @property
    def returncode(self) -> int | None:
        """The exit code, -n for signal n, None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """The exit code (-n for signal n); any number of tasks may wait."""
        return await asyncio.shield(self._ended)

    def _reap(self) -> None:
        code = self._process.poll()
        if code is None:
            return
        self.forget()
        if not self._ended.done():
            self._ended.set_result(code)

    def forget(self) -> None:
        """Stop watching; the process goes on. Twice is safe."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1


def start(
    argv: Sequence[str],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.DEVNULL,
    keep: Sequence[int] = (),
    group: bool = False,
) -> Child:
    """Start `argv`; file descriptors in `keep` stay open in it. Raises OSError.

    group: it leads a process group of its own, to be killed with all that it starts.
    """
    return Child(
        _Process(
            argv,
            cwd=cwd,
            env=env,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=keep,
            close_fds=True,
            process_group=0 if group else None,
        )
    )


async def run(argv: Sequence[str], *, timeout: float = 60.0) -> tuple[int, str]:
    """Run `argv` to its end; (exit code, what it wrote to both streams). Raises TimeoutError."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        child = start(argv, stdout=writing, stderr=writing)
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        async with asyncio.timeout(timeout):
            code = await child.wait()
    except BaseException:
        os.kill(child.pid, 9)
        raise
    else:
        return code, _drain(reading)
    finally:
        os.close(reading)


def _drain(fd: int) -> str:
    """What a finished child left in the pipe (64 KiB at most)."""
    try:
        return os.read(fd, 1 << 16).decode(errors="replace")
    except BlockingIOError:
        return ""
