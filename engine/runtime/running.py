"""A created or running container, as seen through its conmon."""

import asyncio
import contextlib
import os
import signal
import time

from engine.linux import cgroups, process
from engine.runtime import conmon, rotation
from engine.runtime.bundle import Bundle, Exit
from engine.runtime.conmon import Folder
from engine.runtime.hub import Hub
from engine.runtime.streams import Streams

_LOST = 137


class Running:
    """A container under conmon. `pid` is its first process (0 once it ended before adoption)."""

    def __init__(self, bundle: Bundle, folder: Folder, pid: int, cgroup: str) -> None:
        self.pid = pid
        self.bundle = bundle
        self.folder = folder
        self.cgroup = cgroup
        self._hub = Hub(folder.path, stdin=bundle.stdin, closes_stdin=bundle.closes_stdin)
        self._init = process.open_pidfd(pid) if pid else None
        if self._init is not None:
            asyncio.get_running_loop().add_reader(self._init, self._first_ended)
        self._pidfd = -1
        self.follower: asyncio.Task[None] | None = None
        self._rotation: asyncio.Task[None] | None = None
        if bundle.log_path and bundle.log_max_size and bundle.log_max_files > 1:
            self._rotation = asyncio.get_running_loop().create_task(
                rotation.rotate(
                    bundle.log_path,
                    bundle.log_max_size,
                    bundle.log_max_files,
                    self.reopen_log,
                    compress=bundle.log_compress,
                )
            )
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def wait(self) -> Exit:
        """Wait for the end; any number of tasks may wait, before or after it."""
        return await asyncio.shield(self._exit)

    @property
    def ended(self) -> bool:
        """Whether the container has ended."""
        return self._exit.done()

    async def attach(self) -> Streams:
        """Connect to the streams: all output from now on (from the beginning before start)."""
        return self._hub.attach()

    async def resize(self, height: int, width: int) -> None:
        """Tell the terminal its size in characters (conmon takes up to 1000)."""
        if self.bundle.terminal:
            conmon.control(self.folder, f"1 {min(height, 1000)} {min(width, 1000)}\n")

    def reopen_log(self) -> None:
        """Have conmon open its log file again, after a rotation moved it away."""
        conmon.control(self.folder, "2 0 0\n")

    def watch(self, pidfd: int) -> None:
        """Own the pidfd of conmon: its end is the container's."""
        self._pidfd = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._gone)

    def _gone(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self.finish()

    def finish(self) -> None:
        """conmon ended: read what it left. Without an exit file the container is lost."""
        if self._exit.done():
            return
        with contextlib.suppress(OSError):
            # conmon was killed: nobody holds the container's streams any more
            if not self.folder.exit_file.exists():
                self.signal(signal.SIGKILL)
        self._exit.set_result(read_exit(self.folder, self.cgroup))
        self._let_go()

    def _first_ended(self) -> None:
        """The first process has ended; conmon may still have output to give."""
        if self._init is not None:
            asyncio.get_running_loop().remove_reader(self._init)
        self._hub.finish()

    def signal(self, number: int) -> bool:
        """Signal the first process, and no other that got its pid; False when it's gone."""
        return self._init is not None and process.signal_pidfd(self._init, number)

    def _let_go(self) -> None:
        if self._init is not None:
            asyncio.get_running_loop().remove_reader(self._init)
            os.close(self._init)
            self._init = None
        self._hub.end()
        if self._rotation is not None:
            self._rotation.cancel()

    def release(self) -> None:
        """Let go of the descriptors; the container goes on."""
        self._let_go()
        if self.follower is not None:
            self.follower.cancel()
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1


def read_exit(folder: Folder, cgroup: str) -> Exit:
    """How the container ended, from conmon's exit file and its cgroup, which must still exist."""
    try:
        code = int(folder.exit_file.read_text(encoding="ascii"))
        finished = folder.exit_file.stat().st_mtime_ns
    except (OSError, ValueError):
        code, finished = _LOST, time.time_ns()
    return Exit(code, finished, code != 0 and cgroups.oom_kills(cgroup) > 0)
