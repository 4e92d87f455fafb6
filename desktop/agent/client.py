"""The agent's socket as the window and the `cove` command use it: blocking, one call a request."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from desktop.agent.protocol import State, Status
from desktop.failure import Failure
from desktop.paths import Home

START_SECONDS = 15.0
Progress = Callable[[Status], None]


class AgentGone(Failure):
    """No agent answers on the socket, or it went away in the middle of a request."""

    def __init__(self, home: Home) -> None:
        super().__init__(
            "Cove isn't running.",
            f"No agent answers on {home.agent_socket}.",
            "Run `cove start`.",
        )


class AgentClient:
    """Talks to the agent of one COVE_HOME; safe from any thread, each call its own connection.

    Every method raises Failure with what the agent said, AgentGone where there is none.
    """

    def __init__(self, home: Home) -> None:
        self.home = home

    def alive(self) -> bool:
        """Whether an agent listens; a stale socket of a dead one answers False."""
        try:
            self._connect(2.0).close()
        except Failure:
            return False
        return True

    def ensure(self) -> bool:
        """Start the agent unless one listens; returns whether it had to be started."""
        if self.alive():
            return False
        self.home.create()
        process = _spawn(self.home)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.alive():
                return True
            if process.poll() is not None and not self.alive():
                raise _agent_failed(self.home, process)
            time.sleep(0.01)
        raise Failure(
            "The agent didn't start.",
            f"It opened no socket within {START_SECONDS:.0f} s.",
            f"Read {self.home.agent_log}.",
        )

    def status(self) -> Status:
        """The state now; STOPPED without an agent."""
        try:
            return Status.from_record(self._request("status"))
        except AgentGone:
            return _without_agent(self.home)

    def start(self, progress: Progress | None = None) -> Status:
        """Start the agent and the VM; returns once the engine answers. Running: returns at once."""
        self.ensure()
        return Status.from_record(self._request("start", progress=progress))

    def stop(self, progress: Progress | None = None) -> Status:
        """Shut the VM down and end the agent; a VM whose agent died is taken over for that."""
        if not self.alive():
            if not _orphan(self.home):
                self.home.last_failure.unlink(missing_ok=True)
                return self.status()
            self.ensure()
        try:
            return Status.from_record(self._request("stop", progress=progress))
        except AgentGone:
            return self.status()

    def restart(self, progress: Progress | None = None) -> Status:
        """Stop and start with the settings as they are now."""
        self.ensure()
        return Status.from_record(self._request("restart", progress=progress))

    def pause(self) -> Status:
        """Freeze the VM; any connection to the Docker socket resumes it."""
        return Status.from_record(self._request("pause"))

    def resume(self) -> Status:
        return Status.from_record(self._request("resume"))

    def shutdown(self) -> None:
        """End the agent; the VM is stopped first."""
        with suppress(AgentGone):
            self._request("shutdown")

    def config_get(self) -> dict[str, Any]:
        """The settings of the file: `Settings.to_record()`. Works without an agent too."""
        from desktop import settings

        return settings.load(self.home.settings_file).to_record()

    def config_set(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change settings by name; answers `{"settings": ..., "restart": whether one is needed}`.

        Works without an agent too.
        """
        try:
            return self._request("config.set", {"changes": changes})
        except AgentGone:
            from desktop.agent import config

            return {"settings": config.change(self.home, changes).to_record(), "restart": False}

    def shell(self) -> dict[str, Any]:
        """How to reach the VM by SSH: `{"host", "port", "user"}`; the keys are in COVE_HOME."""
        return self._request("shell")

    def events(self) -> Iterator[Status]:
        """The state now and at each change, until the agent ends; close the iterator to leave.

        Raises AgentGone at once where there is no agent; ends quietly when it goes away.
        """
        with self._connect(5.0) as connection:
            _send(connection, "subscribe", {})
            connection.settimeout(None)
            with connection.makefile("r", encoding="utf-8") as lines:
                while True:
                    try:
                        line = lines.readline()
                    except OSError:
                        return
                    if not line.endswith("\n"):
                        return
                    answer = json.loads(line)
                    if answer.get("event") == "state":
                        yield Status.from_record(answer)
                    elif not answer.get("ok", True):
                        raise Failure.from_record(answer["error"])

    def _connect(self, timeout: float | None) -> socket.socket:
        self.home.check()
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout)
            connection.connect(str(self.home.agent_socket))
        except OSError as error:
            connection.close()
            raise AgentGone(self.home) from error
        return connection

    def _request(
        self, op: str, args: dict[str, Any] | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        args = dict(args or {})
        if progress is not None:
            args["progress"] = True
        with self._connect(5.0) as connection:
            _send(connection, op, args)
            connection.settimeout(None)
            with connection.makefile("r", encoding="utf-8") as lines:
                for line in lines:
                    answer = json.loads(line)
                    if answer.get("event") == "state":
                        if progress is not None:
                            progress(Status.from_record(answer))
                    elif answer.get("ok"):
                        result = answer.get("result")
                        return result if isinstance(result, dict) else {}
                    else:
                        raise Failure.from_record(answer["error"])
        raise AgentGone(self.home)


def _send(connection: socket.socket, op: str, args: dict[str, Any]) -> None:
    connection.sendall(json.dumps({"op": op, "args": args}).encode() + b"\n")


def _spawn(home: Home) -> subprocess.Popen[bytes]:
    """Start the agent apart from this terminal; what it prints goes to its log."""
    from desktop.paths import checkout

    with home.agent_log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "desktop.agent", str(home.path)],
            cwd=checkout(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _agent_failed(home: Home, process: subprocess.Popen[bytes]) -> Failure:
    lines = home.agent_log.read_text(errors="replace").splitlines()
    return Failure(
        "The agent didn't start.",
        f"It ended with code {process.returncode}: {lines[-1] if lines else 'it said nothing'}",
        f"Read {home.agent_log}.",
        process.returncode if process.returncode in (3, 4) else 1,
    )


def _orphan(home: Home) -> int:
    """The pid of a VM that runs though its agent has died; 0 when there is none."""
    if not home.machine_record.exists():
        return 0
    from desktop.vm import record

    return record.orphan(home.machine_record)


def _without_agent(home: Home) -> Status:
    """What the files of the instance tell when no agent answers."""
    socket_path = str(home.docker_socket)
    pid = _orphan(home)
    if pid:
        failure = Failure(
            "The agent has died; the VM and its containers still run.",
            f"QEMU's pid is {pid}.",
            "Run `cove start`: it takes the VM over as it is.",
        )
        record = failure.to_record()
        return Status(State.FAILED, failure=record, machine_pid=pid, docker_socket=socket_path)
    with suppress(OSError, ValueError):
        record = json.loads(home.last_failure.read_text(encoding="utf-8"))
        return Status(State.FAILED, failure=record, docker_socket=socket_path)
    return Status(docker_socket=socket_path)


__all__ = ["AgentClient", "AgentGone", "State", "Status"]
