"""Starts conmon, the small process that holds a container's streams and log and awaits its end.

Its protocol is in conmon(8): it reports the container's pid (or a reason) on a pipe named by
_OCI_SYNCPIPE, listens on the socket `attach`, takes "1 HEIGHT WIDTH" on the fifo `ctl`, and
leaves the exit code in a file named after the container.
"""

import asyncio
import functools
import json
import os
import shutil
from pathlib import Path
from typing import Any

from engine.linux import spawn
from engine.linux.spawn import Child
from engine.runtime.bundle import Bundle
from engine.values import dataclass

_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Folder:
    """The volatile files of one container: the OCI bundle, and what conmon puts beside it."""

    path: Path
    id: str

    @property
    def config(self) -> Path:
        """The OCI config."""
        return self.path / "config.json"

    @property
    def record(self) -> Path:
        """Pids and start times, for an engine that comes later."""
        return self.path / "record.json"

    @property
    def exit_file(self) -> Path:
        """Holds the exit code once the container ended."""
        return self.path / self.id

    @property
    def control(self) -> Path:
        """The fifo for the size of the terminal and for reopening the log."""
        return self.path / "ctl"


@dataclass(frozen=True)
class Created:
    """conmon as a child of ours, and the container's first process."""

    conmon: Child
    pid: int


class CreateFailed(Exception):
    """conmon or the OCI runtime gave up; the text is the runtime's own."""


@functools.cache
def _conmon() -> str:
    return shutil.which("conmon") or "conmon"


def arguments(bundle: Bundle, folder: Folder, runtime: str, runtime_args: list[str]) -> list[str]:
    """conmon's command line for `bundle`."""
    argv = [_conmon(), "--api-version", "1", "--sync", "--full-attach", "--no-sync-log"]
    argv += ["-c", bundle.id, "-u", bundle.id, "-r", runtime, "-b", str(folder.path)]
    argv += ["-p", str(folder.path / "pid"), "--exit-dir", str(folder.path)]
    argv += ["-l", f"k8s-file:{bundle.log_path}" if bundle.log_path else "none"]
    if bundle.log_path and bundle.log_max_size and bundle.log_max_files <= 1:
        argv += ["--log-size-max", str(bundle.log_max_size)]
    if bundle.terminal:
        argv.append("-t")
    if bundle.stdin:
        argv.append("-i")
        if not bundle.closes_stdin:
            argv.append("--leave-stdin-open")
    for word in runtime_args:
        argv += ["--runtime-arg", word]
    return argv


async def create(bundle: Bundle, folder: Folder, runtime: str, runtime_args: list[str]) -> Created:
    """Start conmon, which has the OCI runtime create the container. Raises CreateFailed."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(writing, True)
    try:
        child = spawn.start(
            arguments(bundle, folder, runtime, runtime_args),
            cwd=folder.path,
            env={
                "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
                "_OCI_SYNCPIPE": str(writing),
            },
            keep=(writing,),
        )
    except OSError as error:
        os.close(reading)
        raise CreateFailed(f"conmon can't be started: {error.strerror}") from error
    finally:
        os.close(writing)
    try:
        async with asyncio.timeout(_READY_SECONDS):
            line = await _read_line(reading)
    except BaseException as error:
        os.kill(child.pid, 9)
        await asyncio.shield(child.wait())
        if isinstance(error, TimeoutError):
            raise CreateFailed("conmon said nothing for a minute") from error
        raise
    finally:
        os.close(reading)
    report = _parse(line)
    if report is None or report.get("data", -1) < 0:
        await child.wait()
        raise CreateFailed((report or {}).get("message") or "conmon ended without a word")
    return Created(child, report["data"])


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        report = json.loads(line)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


async def _read_line(fd: int) -> bytes:
    """What comes on a non-blocking pipe, up to a newline or its end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    parts: list[bytes] = []

    def ready() -> None:
        try:
            part = os.read(fd, 65536)
        except BlockingIOError:
            return
        parts.append(part)
        if (not part or part.endswith(b"\n")) and not done.done():
            done.set_result(b"".join(parts))

    loop.add_reader(fd, ready)
    try:
        return await done
    finally:
        loop.remove_reader(fd)


def control(folder: Folder, message: str) -> None:
    """Send a line to conmon's control fifo; nothing when conmon is gone."""
    try:
        fd = os.open(folder.control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, message.encode())
    except OSError:
        return
    finally:
        os.close(fd)
