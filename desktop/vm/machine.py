"""The VM as a state machine: what may be done when, and doing it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Concatenate, ParamSpec, TypeVar

from desktop.failure import Failure
from desktop.paths import Home
from desktop.settings import Settings
from desktop.vm import accel, disk, ready, record, spec
from desktop.vm.boot import SILENCE_SECONDS, Boot, Died, Link, Silent
from desktop.vm.console import Console
from desktop.vm.guest_agent import GuestAgent
from desktop.vm.prepare import Prepared, prepare
from desktop.vm.qemu import Outcome, Qemu
from desktop.vm.states import Progress, State

POWERDOWN_SECONDS = 40.0
QUIT_SECONDS = 5.0
FAILED_POWERDOWN_SECONDS = 8.0
# Emulated processors trip now and then over code that the kernel patches at its start (an int3 in
# sched_clock_cpu), sometimes twice in a row; a start that goes wrong so costs four seconds.
KERNEL_CRASHES = 4
# A sound KVM on a busy host may be silent that long too: try again another day.
SILENCE_VERDICT_SECONDS = 86400.0
P = ParamSpec("P")
T = TypeVar("T")


def allowed(
    verb: str, *states: State
) -> Callable[
    [Callable[Concatenate[Machine, P], Awaitable[T]]],
    Callable[Concatenate[Machine, P], Coroutine[Any, Any, T]],
]:
    """Guard an operation: Failure unless the machine is in one of the states."""

    def guard(
        operation: Callable[Concatenate[Machine, P], Awaitable[T]],
    ) -> Callable[Concatenate[Machine, P], Coroutine[Any, Any, T]]:
        @functools.wraps(operation)
        async def guarded(self: Machine, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if self.state not in states:
                raise Failure(
                    f"The VM can't be {verb} now.",
                    f"It is {self.state}.",
                    f"That works while it is {' or '.join(states)}.",
                )
            return await operation(self, *args, **kwargs)

        return guarded

    return guard


class Machine:
    """Owns QEMU. `changed` is called, in the event loop, after each change of what is shown.

    stopped -> preparing -> booting -> waiting for engine -> running <-> paused; any of them ->
    stopping -> stopped, or failed with `failure` telling why. A failed machine has no QEMU.
    """

    def __init__(self, home: Home, link: Link, changed: Callable[[], None]) -> None:
        self._home = home
        self._link = link
        self._changed = changed
        self.state = State.STOPPED
        self.readiness: ready.Readiness | None = None
        self.failure: Failure | None = None
        self.choice: accel.Choice | None = None
        self.settings: Settings | None = None
        self.shares: tuple[spec.Share, ...] = ()
        self.notices: list[str] = []
        self.started_at = 0.0
        self.boot_seconds: float | None = None
        self.port = 0
        self._qemu: Qemu | None = None
        self._console = Console(home.console_log)
        self._guest = GuestAgent(home.guest_agent_socket)
        self._starting: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._disk_full = False

    @property
    def qemu(self) -> Qemu | None:
        return self._qemu

    @allowed("started", State.STOPPED, State.FAILED)
    async def start(self, settings: Settings) -> None:
        """Boot, and return once the engine answers; raises Failure, the state is then FAILED."""
        self.failure = None
        self.notices = []
        self.settings = settings
        self.boot_seconds = None
        self.readiness = ready.Readiness(self._changed)
        self._set(State.PREPARING)
        self._starting = asyncio.create_task(self._start(settings), name="start the VM")
        try:
            await asyncio.shield(self._starting)
        except asyncio.CancelledError:
            # Only stop() cancels the boot itself; a caller that goes away leaves it going on.
            if self._starting.cancelled():
                raise Failure("The VM wasn't started.", "It was stopped meanwhile.") from None
            raise

    async def adopt(self) -> bool:
        """Take over a QEMU that an agent before this one left running; False when none runs."""
        running = record.load(self._home.machine_record)
        if running is None:
            return False
        qemu = await Qemu.adopt(
            running.identity, monitor=self._home.monitor_socket, log=self._home.qemu_log
        )
        if qemu is None:
            return False
        self._qemu = qemu
        self.settings = running.settings
        self.shares = running.shares
        self.choice = running.choice
        self.started_at = running.started_at
        self.boot_seconds = running.boot_seconds
        self._console = Console(self._home.console_log)
        self.readiness = ready.Readiness(self._changed)
        self._set(State.BOOTING)
        self._starting = asyncio.create_task(self._resume_boot(qemu), name="adopt the VM")
        await asyncio.shield(self._starting)
        return True

    @allowed("paused", State.RUNNING)
    async def pause(self) -> None:
        """Freeze all virtual CPUs; the memory stays."""
        async with self._turn:
            self._set(State.PAUSING)
            try:
                await self._running().execute("stop")
            except Failure:
                self._set(State.RUNNING)
                raise
            self._set(State.PAUSED)

    async def resume(self) -> None:
        """Go on after a pause; does nothing for a running VM. Sets the guest's clock."""
        async with self._turn:
            if self.state is State.RUNNING:
                return
            if self.state is not State.PAUSED:
                raise Failure("The VM can't be resumed now.", f"It is {self.state}.")
            if self._disk_full:
                await asyncio.to_thread(disk.check_room, self._home.disk)
                self._disk_full = False
            await self._running().execute("cont")
            self._set(State.RUNNING)
        with suppress(Failure):  # a clock that is behind is no reason to refuse the connection
            await self._guest.set_time()

    async def stop(self) -> None:
        """Shut down cleanly, else kill and tell why; a stopped VM stays stopped."""
        if self.state is State.STOPPED:
            return
        if self._stopping is None or self._stopping.done():
            self._stopping = asyncio.create_task(self._stop(), name="stop the VM")
        await asyncio.shield(self._stopping)

    async def let_go(self) -> None:
        """Leave a running QEMU alone: the agent ends, another may adopt it."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        if self._qemu is not None:
            await self._qemu.let_go()

    async def _stop(self) -> None:
        spoke = self._guest_is_up()
        paused = self.state is State.PAUSED
        self.failure = None
        self._set(State.STOPPING)
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            with suppress(asyncio.CancelledError, Failure):
                await self._starting
        qemu = self._qemu
        if qemu is not None:
            if paused:
                with suppress(Failure):
                    await qemu.execute("cont")
            await self._power_off(qemu, ask=spoke)
        await self._clear()
        self._set(State.STOPPED)

    def _heard(self, event: str, data: Mapping[str, Any]) -> None:
        """An event of QEMU's: it stops the VM by itself when a write finds the host's disk full."""
        if event == "BLOCK_IO_ERROR" and data.get("action") == "stop":
            full = bool(data.get("nospace"))
            if self.state is State.RUNNING and not self._disk_full:
                why = "this computer's disk is full" if full else f"{data.get('reason')}"
                self._disk_full = full
                self._tell(
                    f"The VM was paused, because its disk can't be written: {why}. Make room; "
                    "then any docker command, or `cove start`, wakes it. Nothing is lost."
                )
                self._set(State.PAUSED)

    def _running(self) -> Qemu:
        if self._qemu is None:
            raise Failure("The VM doesn't run.", "", "Run `cove start`.")
        return self._qemu

    def _set(self, state: State) -> None:
        self.state = state
        self._changed()

    def _guest_is_up(self) -> bool:
        """Whether the guest's init can hear a request to power off."""
        return self.readiness is not None and any(
            each.name == "kernel" and each.state is Progress.DONE
            for each in self.readiness.requirements
        )

    async def _start(self, settings: Settings) -> None:
        began = time.monotonic()
        try:
            prepared = await asyncio.to_thread(prepare, self._home, settings)
            self.shares = prepared.shares
            await self._boot_until_it_works(prepared)
        except Failure as failure:
            await self._fail(failure)
            raise
        except asyncio.CancelledError:
            raise
        except Exception as error:
            told = Failure(
                "The VM didn't start.", f"{type(error).__name__}: {error}", "Run `cove diagnose`."
            )
            await self._fail(told)
            raise told from error
        self.boot_seconds = round(time.monotonic() - began, 3)
        self.started_at = time.time()
        self._record(prepared)
        self._watch()
        self._set(State.RUNNING)

    async def _boot_until_it_works(self, prepared: Prepared) -> None:
        """Boot; fall back from a broken KVM once, repeat after crashes of the kernel."""
        verdicts = self._home.accelerator_verdict
        choice = accel.choose(prepared.qemu_version, verdicts)
        self._choose(choice)
        crashes = 0
        while True:
            try:
                await self._boot(prepared, choice)
                break
            except Silent:
                await self._discard("it ran nothing")
                why = f"KVM ran no kernel here (nothing within {SILENCE_SECONDS:.0f} s)"
                seconds: float | None = SILENCE_VERDICT_SECONDS
            except Died as died:
                await self._discard("")
                if died.oops and crashes < KERNEL_CRASHES:
                    crashes += 1
                    self._tell(f'The VM\'s kernel crashed ("{died.oops}"); it was started again.')
                    self._again()
                    continue
                if choice.certain or died.spoke:
                    raise _didnt_start(died) from died
                why = f"KVM doesn't work here: {died.outcome.sentence().rstrip('.')}"
                seconds = None
            accel.remember(verdicts, prepared.qemu_version, why, seconds=seconds)
            choice = accel.Choice(accel.Accel.TCG, why, news=True)
            self._choose(choice)
            self._again()
        if choice.accel is accel.Accel.KVM and not choice.certain:
            accel.remember(verdicts, prepared.qemu_version, "")

    def _choose(self, choice: accel.Choice) -> None:
        self.choice = choice
        if choice.news:
            self._tell(f"The VM is emulated, which is slower: {choice.reason}.")

    def _tell(self, sentence: str) -> None:
        self.notices.append(sentence)
        self._changed()

    def _again(self) -> None:
        assert self.readiness is not None
        self.readiness.again()

    async def _boot(self, prepared: Prepared, choice: accel.Choice) -> None:
        assert self.readiness is not None
        self._console.rotate()
        self.readiness.done("check", f"{choice.accel}: {choice.reason}")

        def command(monitor_fd: int, guest_agent_fd: int) -> list[str]:
            plan = spec.Plan(
                program=prepared.program,
                accel=choice.accel,
                image=prepared.image,
                settings=prepared.settings,
                disk=self._home.disk,
                console_log=self._home.console_log,
                monitor_fd=monitor_fd,
                guest_agent_fd=guest_agent_fd,
                blobs=prepared.blobs,
                shares=prepared.shares,
            )
            return spec.arguments(plan)

        self._set(State.BOOTING)
        self._qemu = qemu = await Qemu.start(
            command,
            monitor=self._home.monitor_socket,
            guest_agent=self._home.guest_agent_socket,
            log=self._home.qemu_log,
        )
        self._record(prepared)
        if qemu.outcome is None:
            with suppress(Failure):  # a QEMU that ended is judged below
                self.port = await qemu.ssh_port()
        settings = prepared.settings
        self.readiness.done("machine", f"{settings.cpus} CPUs, {settings.memory_mib / 1024:.1f} GB")
        boot = Boot(qemu, self._console, self.readiness, self._link)
        await boot.follow(
            self.port,
            doubtful=not choice.certain,
            waiting_for_engine=lambda: self._set(State.WAITING),
        )

    async def _resume_boot(self, qemu: Qemu) -> None:
        """Follow an adopted QEMU's console from its first line: it may be anywhere in its boot."""
        assert self.readiness is not None
        self.readiness.done("machine", f"taken over (pid {qemu.pid})")
        try:
            status = await qemu.execute("query-status")
            if status.get("status") == "paused":
                await qemu.execute("cont")
                with suppress(Failure):
                    await self._guest.set_time()
            self.port = await qemu.ssh_port()
            boot = Boot(qemu, self._console, self.readiness, self._link)
            await boot.follow(
                self.port,
                doubtful=False,
                waiting_for_engine=lambda: self._set(State.WAITING),
            )
        except Died as died:
            told = Failure("The VM that was running ended.", died.outcome.sentence())
            await self._fail(told)
            raise told from died
        except Failure as failure:
            await self._fail(failure)
            raise
        self._watch()
        self._set(State.RUNNING)

    async def _fail(self, failure: Failure) -> None:
        self.failure = failure
        readiness = self.readiness
        current = readiness.current if readiness is not None else None
        if readiness is not None and current is not None and not current.cause:
            readiness.fail(current.name, f"{failure.what} {failure.why}".strip(), failure.hint)
        await self._link.close()
        if self._qemu is not None and self._guest_is_up():
            # the data disk may be mounted already: let the guest close it
            with suppress(Failure):
                await self._qemu.execute("system_powerdown")
                await self._qemu.ended_within(FAILED_POWERDOWN_SECONDS)
        await self._discard("the boot failed")
        self._set(State.FAILED)

    async def _discard(self, reason: str) -> None:
        """Drop link and QEMU of a boot that didn't work out."""
        await self._link.close()
        qemu, self._qemu = self._qemu, None
        if qemu is not None and qemu.outcome is None:
            await qemu.kill(reason)
        self._home.machine_record.unlink(missing_ok=True)

    async def _power_off(self, qemu: Qemu, *, ask: bool) -> Outcome:
        """Power-off by the guest's agent, else by the power button; kill what doesn't end."""
        if ask:
            try:
                await self._guest.shut_down()
            except Failure:
                with suppress(Failure):
                    await qemu.execute("system_powerdown")
            if await qemu.ended_within(POWERDOWN_SECONDS):
                return await qemu.wait()
            reason = f"it didn't power off within {POWERDOWN_SECONDS:.0f} s"
        else:
            reason = "it was stopped before it had booted"
        with suppress(Failure):
            await qemu.execute("quit")
        if not await qemu.ended_within(QUIT_SECONDS):
            await qemu.kill(reason)
        if ask:
            self._tell(f"The VM was killed: {reason}. Its disk is checked at the next start.")
        return await qemu.wait()

    async def _clear(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        await self._link.close()
        self._qemu = None
        self.port = 0
        self._home.machine_record.unlink(missing_ok=True)

    def _record(self, prepared: Prepared) -> None:
        assert self._qemu is not None and self.choice is not None
        running = record.Running(
            self._qemu.identity,
            self.choice,
            prepared.settings,
            self.shares,
            self.started_at,
            self.boot_seconds,
        )
        with suppress(OSError):  # without it a later agent can't adopt, nothing else is lost
            record.save(self._home.machine_record, running)

    def _watch(self) -> None:
        self._watching = asyncio.create_task(self._watch_running(), name="watch the VM")

    async def _watch_running(self) -> None:
        """While it runs: the console each second, the end of QEMU, a host that slept."""
        qemu = self._running()
        qemu.heard = self._heard
        assert self.readiness is not None
        powered_off = False
        drift = time.time() - time.monotonic()
        while not await qemu.ended_within(1.0):
            for line in self._console.lines():
                message = self.readiness.feed(line)
                if message is not None and message.name == "poweroff":
                    powered_off = True
                if message is not None and message.name == "engine" and message.ok:
                    self.readiness.done("engine", message.detail)
            now = time.time() - time.monotonic()
            if abs(now - drift) > 2 and self.state is State.RUNNING:
                with suppress(Failure):
                    await self._guest.set_time()
            drift = now
        powered_off |= any(
            message is not None and message.name == "poweroff"
            for message in map(ready.parse, self._console.tail(20))
        )
        if self.state is State.STOPPING:
            return
        outcome = await qemu.wait()
        await self._link.close()
        self._qemu = None
        self._home.machine_record.unlink(missing_ok=True)
        if powered_off:
            self._tell("The VM was powered off from inside.")
            self._set(State.STOPPED)
            return
        self.failure = Failure(
            "The VM ended unexpectedly.",
            outcome.sentence(),
            "Run `cove start`; what the containers had on disk is still there.",
        )
        self._set(State.FAILED)


def _didnt_start(died: Died) -> Failure:
    hint = "Run `cove diagnose`."
    if "another process" in died.outcome.words:
        hint = "Another QEMU has this disk open: end it, `ps ax | grep qemu-system` shows it."
    why = f'{died.outcome.sentence()} The kernel said "{died.oops}".' if died.oops else ""
    return Failure("The VM didn't start.", why or died.outcome.sentence(), hint)
