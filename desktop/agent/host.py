"""The host agent's composition root: machine, SSH, Docker socket, ports, joined together."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import desktop
from desktop import settings
from desktop.agent import config
from desktop.agent.protocol import State, Status
from desktop.agent.tunnel import Tunnel
from desktop.failure import Failure
from desktop.forward.ports import Forwards
from desktop.paths import Home
from desktop.vm.machine import Machine

BOOTS_KEPT = 5
log = logging.getLogger(__name__)


class Host:
    """What the control socket's operations do. Lives in one event loop."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._loop = asyncio.get_running_loop()
        self._watchers: set[Callable[[Status], None]] = set()
        self._moved = asyncio.Event()
        self._adopted = asyncio.Event()
        self.forwards = Forwards(self._monitor)
        self.tunnel = Tunnel(home, self._admit, self._port_request)
        self.machine = Machine(home, self.tunnel, self._changed)
        self._status = self._make_status()

    @property
    def status(self) -> Status:
        """The state now."""
        self._status = self._make_status()
        return self._status

    def watch(self, watcher: Callable[[Status], None]) -> Callable[[], None]:
        """Call `watcher` at each change; answers what ends that."""
        self._watchers.add(watcher)
        return lambda: self._watchers.discard(watcher)

    @property
    def at_rest(self) -> bool:
        """Whether no VM runs or is about to."""
        return self.machine.state in (State.STOPPED, State.FAILED)

    async def adopt(self) -> None:
        """Take over a VM that an agent before this one left; a failure shows in the status."""
        try:
            if not self.home.machine_record.exists():
                return
            await asyncio.to_thread(self.tunnel.listen)
            if await self.machine.adopt():
                await self.forwards.sweep()
                self.tunnel.serve_ports()
                log.info("took over the VM, pid %d", self._pid())
        except Failure as failure:
            log.error("the VM can't be taken over: %s", failure)
        finally:
            self._adopted.set()

    async def start(self) -> None:
        """Start the VM, resume a paused one, join a start that is under way."""
        await self._adopted.wait()
        state = self.machine.state
        if state is State.RUNNING:
            return
        if state is State.PAUSED:
            await self.resume()
            return
        if state in (State.STOPPED, State.FAILED):
            wanted = await asyncio.to_thread(settings.load, self.home.settings_file)
            if not self.home.settings_file.exists():
                await asyncio.to_thread(settings.save, self.home.settings_file, wanted)
            await self.forwards.reset()
            await self._boot(wanted)
            self.tunnel.serve_ports()
            await asyncio.to_thread(self._keep_boot)
            return
        await self._until(State.RUNNING)

    async def _boot(self, wanted: settings.Settings) -> None:
        """Start QEMU first and open the Docker socket while it boots: paramiko's import waits."""
        listening = asyncio.create_task(self._listen_once_booting(), name="open the Docker socket")
        try:
            await self.machine.start(wanted)
        except BaseException:
            listening.cancel()
            raise
        try:
            await listening
        except Failure:
            await self.machine.stop()
            raise

    async def _listen_once_booting(self) -> None:
        while self.machine.state in (State.STOPPED, State.PREPARING):
            self._moved.clear()
            await self._moved.wait()
        if not self.at_rest:
            await asyncio.to_thread(self.tunnel.listen)

    async def stop(self) -> None:
        """Shut the VM down; the Docker socket goes with it."""
        await self._adopted.wait()
        await self.machine.stop()
        self.tunnel.stop_ports()
        await asyncio.to_thread(self.tunnel.stop_listening)
        await self.forwards.reset()
        self.home.last_failure.unlink(missing_ok=True)

    async def pause(self) -> None:
        """Freeze the VM; the next connection to the Docker socket resumes it."""
        await self._adopted.wait()
        if self.machine.state is State.PAUSED:
            return
        await self.machine.pause()

    async def resume(self) -> None:
        """Go on after a pause."""
        await self.machine.resume()

    async def way_in(self) -> dict[str, Any]:
        """Where the VM's sshd is, for `cove shell`; raises Failure unless it runs."""
        await self._adopted.wait()
        if self.machine.state is State.PAUSED:
            await self.resume()
        if self.machine.state not in (State.RUNNING, State.WAITING) or not self.machine.port:
            raise Failure(
                "The VM doesn't run.", f"It is {self.machine.state}.", "Run `cove start`."
            )
        return {"host": "127.0.0.1", "port": self.machine.port, "user": "root"}

    async def close(self) -> None:
        """The agent ends: everything but a running VM is closed."""
        self.tunnel.stop_ports()
        await asyncio.to_thread(self.tunnel.stop_listening)
        await self.tunnel.close()
        await self.machine.let_go()

    def _admit(self) -> None:
        """A connection to the Docker socket came (in its thread): wait for a VM that can serve."""
        if self.machine.state is State.RUNNING:
            return
        asyncio.run_coroutine_threadsafe(self._awake(), self._loop).result()

    async def _awake(self) -> None:
        if self.machine.state is State.PAUSING:
            await self._until(State.PAUSED)
        if self.machine.state is State.PAUSED:
            await self.resume()
        await self._until(State.RUNNING)

    async def _until(self, wanted: State) -> None:
        """Wait for a state; raises Failure when the machine comes to rest in another."""
        while self.machine.state is not wanted:
            if not self.machine.state.moving or self.machine.state is State.STOPPING:
                raise self.machine.failure or Failure(
                    "The VM doesn't run.", f"It is {self.machine.state}.", "Run `cove start`."
                )
            self._moved.clear()
            await self._moved.wait()

    async def _monitor(self, line: str) -> str:
        qemu = self.machine.qemu
        if qemu is None:
            raise Failure("The VM doesn't run.")
        return await qemu.monitor(line)

    def _port_request(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The engine asked for something (in the link's thread)."""
        from desktop.forward.hostlink import parse_request

        op = request.get("op")
        if op == "reset":
            self._wait_for(self.forwards.reset())
            return None
        protocol, host, port, guest_port = parse_request(request)
        if op == "publish":
            got = self._wait_for(self.forwards.publish(protocol, host, port, guest_port))
            return {"host_port": got}
        if op == "withdraw":
            self._wait_for(self.forwards.withdraw(protocol, host, port))
            return {}
        raise Failure(f"The engine asked for {op!r}, which this agent doesn't know.")

    def _wait_for(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def announce(self) -> None:
        """Tell the watchers that something shown has changed."""
        self._changed()

    def _changed(self) -> None:
        before, now = self._status, self._make_status()
        self._status = now
        if before.state is not now.state:
            log.info("%s%s", now.state, f": {now.failure}" if now.failure else "")
        self._moved.set()
        self.tunnel.rest(now.state in (State.PAUSING, State.PAUSED))
        for watcher in list(self._watchers):
            watcher(now)
        if now.state is State.FAILED and now.failure is not None:
            with suppress(OSError):
                self.home.last_failure.write_text(json.dumps(now.failure), encoding="utf-8")
        elif now.state is State.PREPARING:
            self.home.last_failure.unlink(missing_ok=True)

    def _pid(self) -> int:
        return self.machine.qemu.pid if self.machine.qemu is not None else 0

    def _make_status(self) -> Status:
        machine = getattr(self, "machine", None)
        if machine is None:  # while this object is being made
            return Status(docker_socket=str(self.home.docker_socket))
        return Status(
            state=machine.state,
            requirements=machine.readiness.requirements if machine.readiness else (),
            accelerator=str(machine.choice.accel) if machine.choice else "",
            accelerator_reason=machine.choice.reason if machine.choice else "",
            failure=machine.failure.to_record() if machine.failure else None,
            agent_pid=os.getpid(),
            machine_pid=self._pid(),
            started_at=machine.started_at if not self.at_rest else 0.0,
            boot_seconds=machine.boot_seconds,
            docker_socket=str(self.home.docker_socket),
            settings=machine.settings.to_record() if machine.settings else {},
            pending=config.pending(self.home, None if self.at_rest else machine.settings),
            notices=tuple(machine.notices),
            boots=load_boots(self.home),
            version=desktop.__version__,
        )

    def _keep_boot(self) -> None:
        seconds = self.machine.boot_seconds
        if seconds is not None:
            boots = (*load_boots(self.home), seconds)[-BOOTS_KEPT:]
            with suppress(OSError):
                self.home.boots.write_text(json.dumps(boots), encoding="utf-8")


def load_boots(home: Home) -> tuple[float, ...]:
    """Seconds of the last starts, oldest first."""
    with suppress(OSError, ValueError, TypeError):
        boots = json.loads(home.boots.read_text(encoding="utf-8"))
        return tuple(float(each) for each in boots)[-BOOTS_KEPT:]
    return ()


def uptime(status: Status) -> float:
    """Seconds since the VM was ready, 0 when it isn't."""
    return max(0.0, time.time() - status.started_at) if status.started_at else 0.0
