"""One boot, from QEMU's start to the engine's first answer, and what can go wrong on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from desktop.failure import Failure
from desktop.vm import ready
from desktop.vm.console import Console
from desktop.vm.qemu import Outcome, Qemu
from desktop.vm.ready import Readiness
from desktop.vm.states import Progress

POLL = 0.02
# A kernel under KVM prints within a fraction of this; silence means that it hangs.
SILENCE_SECONDS = 3.0
ENGINE_GRACE = 20.0
# On a busy computer the first handshake with the guest's sshd may take longer than either waits.
LINK_TRIES = 3


class Link(Protocol):
    """The way into the guest that `forward` offers; the boot ends when it carries the engine."""

    async def open(self, port: int) -> None:
        """Connect to the guest's sshd at 127.0.0.1:port and stay connected; raises Failure."""

    async def engine_answers(self) -> bool:
        """Whether the engine answers a ping through the link."""

    async def close(self) -> None:
        """Drop the connection and stop trying; safe to call twice."""


class Silent(Exception):
    """The accelerator runs nothing: no line of the guest's init came."""


class Died(Exception):
    """QEMU ended during the boot; `oops` when the guest's kernel fell over before."""

    def __init__(self, outcome: Outcome, oops: str, spoke: bool) -> None:
        super().__init__(outcome.sentence())
        self.outcome = outcome
        self.oops = oops
        self.spoke = spoke


def _what(name: str) -> str:
    return f'The VM didn\'t start: "{ready.TITLES[name]}" failed.'


class Boot:
    """Follows the console of one start of QEMU until the engine answers."""

    def __init__(self, qemu: Qemu, console: Console, readiness: Readiness, link: Link) -> None:
        self._qemu = qemu
        self._console = console
        self._readiness = readiness
        self._link = link
        self._oops = ""
        self._spoke = False
        self._engine_ready = False
        self._engine_failed = ""
        self._engine_said = ""
        self._began = time.monotonic()

    async def follow(
        self, port: int, *, doubtful: bool, waiting_for_engine: Callable[[], None]
    ) -> None:
        """Return once the engine answers; raises Silent, Died or Failure."""
        opening: asyncio.Task[None] | None = None
        try:
            while True:
                self._read()
                if self._spoke and opening is None and self._met("sshd"):
                    waiting_for_engine()
                    opening = asyncio.create_task(self._open(port), name="open the link")
                if opening is not None and opening.done():
                    opening.result()
                    if self._engine_ready and await self._link.engine_answers():
                        self._readiness.done("engine")
                        return
                self._judge(doubtful)
                await asyncio.sleep(POLL)
        finally:
            if opening is not None and not opening.done():
                opening.cancel()
                with suppress(asyncio.CancelledError, Failure):
                    await opening

    async def _open(self, port: int) -> None:
        for left in reversed(range(LINK_TRIES)):
            try:
                return await self._link.open(port)
            except Failure:
                if not left:
                    raise

    def _met(self, name: str) -> bool:
        return any(
            each.name == name and each.state is Progress.DONE
            for each in self._readiness.requirements
        )

    def _read(self) -> None:
        for line in self._console.lines():
            if ready.oops(line):
                self._oops = self._oops or line.strip()
            message = self._readiness.feed(line)
            if message is None:
                if line.startswith("engine: ") and line[8:].strip():
                    self._engine_said = line[8:].strip()
                continue
            self._spoke = True
            if message.name == "engine":
                self._engine_ready = message.ok
                if not message.ok:
                    said = f' It said: "{self._engine_said}"' if self._engine_said else ""
                    self._engine_failed = f"It {message.detail}.{said}"
            elif message.name in ready.GUEST and not message.ok:
                raise Failure(
                    _what(message.name),
                    message.detail,
                    message.hint or ready.STUCK_HINTS[message.name],
                )

    def _judge(self, doubtful: bool) -> None:
        outcome = self._qemu.outcome
        if outcome is not None:
            self._read()
            raise Died(outcome, self._oops, self._spoke)
        if doubtful and not self._spoke and time.monotonic() - self._began > SILENCE_SECONDS:
            raise Silent
        current = self._readiness.current
        if current is None:
            return
        patience = ready.PATIENCE.get(current.name, 60.0)
        if current.name == "engine" and self._engine_failed and not self._engine_ready:
            patience = ENGINE_GRACE
        if self._readiness.waited > patience:
            raise self._stuck(current.name, patience)

    def _stuck(self, name: str, patience: float) -> Failure:
        last = self._console.tail(3)
        said = f' The console\'s last lines: "{" / ".join(last)}".' if last else ""
        why = self._engine_failed if name == "engine" else ""
        why = why or (f"It wasn't done within {patience:.0f} s.{said}")
        hint = ready.STUCK_HINTS.get(name, "Run `cove diagnose`.")
        self._readiness.fail(name, why, hint)
        return Failure(_what(name), why, hint)
