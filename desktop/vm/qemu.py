"""One QEMU process: started or adopted, its monitor, and how it ended."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from desktop.failure import ExitCode, Failure

if TYPE_CHECKING:
    from qemu.qmp import QMPClient

MONITOR_SECONDS = 20.0
_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+22\s")


class MonitorError(Failure):
    """QEMU refused a command, or can't be spoken to."""


@dataclass(frozen=True)
class Outcome:
    """How a QEMU ended; `code` is None for an adopted one, which isn't our child."""

    code: int | None
    killed_for: str = ""
    words: str = ""
    seconds: float = 0.0

    def sentence(self) -> str:
        """For the user: the reason if we killed it, else what QEMU said last."""
        if self.killed_for:
            return f"QEMU was killed: {self.killed_for}."
        said = f' Its last words: "{self.words}".' if self.words else ""
        if self.code is None:  # the agent that started it would have known
            return f"QEMU is gone.{said}"
        if self.code == 0:
            return f"QEMU ended by itself.{said}"
        if self.code < 0:
            with suppress(ValueError):
                return f"QEMU was killed by {signal.Signals(-self.code).name}.{said}"
        return f"QEMU ended with code {self.code}.{said}"


@dataclass(frozen=True)
class Identity:
    """A process that can't be mistaken for a later one with the same number."""

    pid: int
    began: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of a living process, None when there is none (or only a zombie)."""
        if sys.platform == "darwin":
            from desktop import macos

            began = macos.process_began(pid)
        else:
            began = _process_began(pid)
        return cls(pid, began) if began else None

    def alive(self) -> bool:
        return Identity.of(self.pid) == self


def _process_began(pid: int) -> str:
    """Clock ticks from the host's boot to the process's start: proc(5), stat, field 22."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def find_program(architecture: str) -> str:
    """The path of QEMU for the architecture; raises Failure when it isn't installed."""
    name = f"qemu-system-{architecture}"
    path = shutil.which(name)
    if path is None:
        package = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}.get(architecture)
        install = "brew install qemu" if sys.platform == "darwin" else f"apt install {package}"
        raise Failure(
            "The VM can't start: QEMU is missing.",
            f"There is no {name} on the PATH.",
            f"Install it: `{install}`.",
            ExitCode.MISSING,
        )
    return path


def version(program: str) -> str:
    """What identifies this QEMU: path, size and time of its file (running it takes 30 ms)."""
    status = os.stat(program)
    return f"{program} {status.st_size} {int(status.st_mtime)}"


class Qemu:
    """A running QEMU. `wait()` answers its Outcome, as often as asked."""

    def __init__(
        self, identity: Identity, monitor: Path, log: Path, process: subprocess.Popen[bytes] | None
    ) -> None:
        self.identity = identity
        self._path = monitor
        self._log = log
        self._process = process
        self._began = time.monotonic()
        self._killed_for = ""
        self._client: QMPClient | None = None
        self._ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._watcher: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self.heard: Callable[[str, Mapping[str, Any]], None] = lambda event, data: None

    @property
    def pid(self) -> int:
        return self.identity.pid

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, None while it runs."""
        return self._ended.result() if self._ended.done() else None

    @classmethod
    async def start(
        cls,
        command: Callable[[int, int], Sequence[str]],
        *,
        monitor: Path,
        guest_agent: Path,
        log: Path,
    ) -> Qemu:
        """Start QEMU in a session of its own: it outlives this process. Raises Failure.

        `command` is given the numbers of two listening sockets, for monitor and guest agent.
        """
        with ExitStack() as stack:
            sockets = [stack.enter_context(_listen(path)) for path in (monitor, guest_agent)]
            numbers = [each.fileno() for each in sockets]
            output = stack.enter_context(log.open("wb"))
            try:
                process = subprocess.Popen(  # noqa: ASYNC220 - vfork, no wait
                    command(*numbers),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=numbers,
                    start_new_session=True,
                )
            except OSError as error:
                raise Failure(
                    "The VM can't start: QEMU doesn't run.", f"{error.strerror}."
                ) from error
        identity = Identity.of(process.pid) or Identity(process.pid, "")
        qemu = cls(identity, monitor, log, process)
        await qemu._open()
        return qemu

    @classmethod
    async def adopt(cls, identity: Identity, *, monitor: Path, log: Path) -> Qemu | None:
        """Take over a QEMU that another agent started; None when it is gone."""
        if not identity.alive():
            return None
        qemu = cls(identity, monitor, log, None)
        await qemu._open()
        return qemu if qemu.outcome is None else None

    async def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """A QMP command; raises MonitorError."""
        from qemu.qmp import QMPError

        if self._client is None:
            raise MonitorError(f"QEMU can't do {command}.", "It has ended.")
        try:
            async with asyncio.timeout(MONITOR_SECONDS):
                return await self._client.execute(command, arguments)
        except (QMPError, OSError, TimeoutError) as error:
            why = str(error) or "It doesn't answer."
            raise MonitorError(f"QEMU can't do {command}.", why) from error

    async def monitor(self, line: str) -> str:
        """A line of the human monitor: some commands exist nowhere else."""
        answer = await self.execute("human-monitor-command", {"command-line": line})
        return str(answer)

    async def ssh_port(self) -> int:
        """The port on 127.0.0.1 that QEMU took for the guest's sshd; raises MonitorError."""
        answer = await self.monitor("info usernet")
        match = _FORWARD.search(answer)
        if match is None:
            raise MonitorError("The VM has no way in.", f"QEMU says: {answer.strip()}")
        return int(match[1])

    async def wait(self) -> Outcome:
        return await asyncio.shield(self._ended)

    async def ended_within(self, seconds: float) -> bool:
        """Whether it ends within that time."""
        await asyncio.wait([self._ended], timeout=seconds)
        return self._ended.done()

    async def kill(self, reason: str) -> Outcome:
        """End it at once; `reason` is told by the outcome. The disk may need a check after."""
        if self.outcome is None:
            self._killed_for = reason
            if self.identity.alive():
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
        return await self.wait()

    async def let_go(self) -> None:
        """Leave QEMU running and forget it."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        await self._disconnect()

    async def _open(self) -> None:
        """Connect the monitor. A QEMU that ends meanwhile has an outcome afterwards."""
        from qemu.qmp import QMPError

        try:
            await self._connect()
        except (QMPError, OSError, TimeoutError) as error:
            if self.identity.alive() and not await self._gone(1.0):
                raise Failure(
                    "QEMU's monitor doesn't answer.",
                    f"{error or 'It says nothing'} (pid {self.pid}).",
                    f"End that process with `kill {self.pid}`, then run `cove start`.",
                ) from error
        self._watcher = asyncio.create_task(self._watch(), name="watch QEMU")

    async def _connect(self) -> None:
        from qemu.qmp import QMPClient

        client = QMPClient("cove")
        client.logger.setLevel("CRITICAL")
        async with asyncio.timeout(MONITOR_SECONDS):
            await client.connect(str(self._path))
        self._client = client
        self._listener = asyncio.create_task(self._listen(client), name="listen to QEMU")

    async def _listen(self, client: QMPClient) -> None:
        """Pass QEMU's events on; unread they would pile up."""
        async for message in client.events:
            data = message.get("data", {})
            self.heard(str(message["event"]), data if isinstance(data, dict) else {})

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None
        if client is not None:
            with suppress(Exception):  # whatever ended the connection has been heard already
                await client.disconnect()

    async def _watch(self) -> None:
        """QEMU's end shows as the end of the monitor's connection."""
        from qemu.qmp import QMPError, Runstate

        while True:
            client = self._client
            while client is not None and client.runstate is Runstate.RUNNING:
                await client.runstate_changed()
            await self._disconnect()
            if await self._gone(2.0):
                break
            with suppress(QMPError, OSError, TimeoutError):
                await self._connect()
        code = self._process.returncode if self._process is not None else None
        seconds = time.monotonic() - self._began
        self._ended.set_result(Outcome(code, self._killed_for, self._last_words(), seconds))

    async def _gone(self, seconds: float) -> bool:
        """Whether the process ends within that time."""
        deadline = time.monotonic() + seconds
        while True:
            ended = (
                self._process.poll() is not None
                if self._process is not None
                else not self.identity.alive()
            )
            if ended or time.monotonic() > deadline:
                return ended
            await asyncio.sleep(0.01)

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self._log.read_text(errors="replace").split("\n")
            said = [line.strip() for line in lines if line.strip() and "warning:" not in line]
            return said[-1].partition("qemu-system-")[2] or said[-1] if said else ""
        return ""


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(4)
    except OSError as error:
        listener.close()
        raise Failure(
            f"The socket {path} can't be made.",
            f"{error.strerror}.",
            "Make its folder writable for you, or set COVE_HOME to another folder.",
            ExitCode.SETTING,
        ) from error
    return listener
