"""Boot readiness: the console's lines turned into a list of requirements, each with its time.

The guest's init prints `cove: NAME ok [detail]` or `cove: NAME failed REASON | HINT`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from desktop.vm.states import Progress, Requirement

TITLES = {
    "check": "Check this computer",
    "machine": "Start the virtual machine",
    "kernel": "Boot Linux",
    "disk": "Attach the data disk",
    "network": "Bring up the network",
    "sshd": "Open the way in",
    "engine": "Start the engine",
}
GUEST = ("kernel", "disk", "network", "sshd", "engine")
# Seconds that a step may take under emulation on a slow host before it is called stuck.
PATIENCE = {"kernel": 120.0, "disk": 300.0, "network": 90.0, "sshd": 90.0, "engine": 180.0}
STUCK_HINTS = {
    "kernel": "Try COVE_ACCEL=tcg cove start, and give the VM less memory if the host is short.",
    "disk": "A large disk may be under repair: look at `cove logs console`, then start again.",
    "network": "Run `cove restart`.",
    "sshd": "Run `cove restart`.",
    "engine": "Look at `cove logs engine`, then run `cove restart`.",
}
_LINE = re.compile(r"(?:^|\s)cove: (?P<name>[a-z]+) (?P<verdict>ok|failed)\b ?(?P<rest>.*)$")
_OOPS = re.compile(r"Oops: |Kernel panic - |BUG: unable to handle|general protection fault")


@dataclass(frozen=True)
class Line:
    """One of init's lines, taken apart."""

    name: str
    ok: bool
    detail: str = ""
    hint: str = ""


def parse(line: str) -> Line | None:
    """Init's message in a line of the console, None in any other line."""
    match = _LINE.search(line.rstrip())
    if match is None:
        return None
    detail, _, hint = match["rest"].partition(" | ")
    return Line(match["name"], match["verdict"] == "ok", detail.strip(), hint.strip())


def oops(line: str) -> bool:
    """Whether the guest's kernel says in this line that it fell over."""
    return _OOPS.search(line) is not None


class Readiness:
    """The requirements of one boot, in order; `changed` is called after each change."""

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._changed = changed
        self._clock = clock
        self._began = clock()
        self._ends: dict[str, float] = {}
        self._steps = {name: Requirement(name, title) for name, title in TITLES.items()}
        self._set("check", state=Progress.RUNNING)

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        return tuple(self._steps.values())

    @property
    def current(self) -> Requirement | None:
        """The first that isn't done; None when all are."""
        return next((r for r in self._steps.values() if r.state is not Progress.DONE), None)

    @property
    def waited(self) -> float:
        """Seconds since the last requirement was met."""
        return self._clock() - max(self._ends.values(), default=self._began)

    def done(self, name: str, detail: str = "") -> None:
        """A requirement is met. The guest does several at once: `disk` may come after `sshd`."""
        if name in GUEST:
            for earlier in ("check", "machine", "kernel"):
                if earlier != name and self._steps[earlier].state is not Progress.DONE:
                    self._finish(earlier, "")
        if self._steps[name].state is not Progress.DONE:
            self._finish(name, detail)
        following = self.current
        if following is not None and following.state is Progress.WAITING:
            self._set(following.name, state=Progress.RUNNING)
        self._changed()

    def fail(self, name: str, cause: str, hint: str) -> None:
        seconds = self._took(name)
        self._set(name, state=Progress.FAILED, cause=cause, hint=hint, seconds=seconds)
        self._changed()

    def feed(self, line: str) -> Line | None:
        """Take a line of the console; answers init's message in it, if there is one.

        `engine ok` is not taken as done here: the engine has to answer through the socket.
        """
        message = parse(line)
        if message is None or message.name not in GUEST:
            return message
        if not message.ok:
            self.fail(message.name, message.detail, message.hint)
        elif message.name != "engine":
            self.done(message.name, message.detail)
        return message

    def again(self) -> None:
        """The machine is started once more: what the guest had done counts no longer."""
        self._began = self._clock()
        self._ends = {}
        for name in ("machine", *GUEST):
            self._steps[name] = Requirement(name, TITLES[name])
        self._set("machine", state=Progress.RUNNING)
        self._changed()

    def _took(self, name: str) -> float:
        """Seconds since the nearest step before it in the list that is done."""
        names = list(self._steps)
        before = [each for each in names[: names.index(name)] if each in self._ends]
        return round(self._clock() - (self._ends[before[-1]] if before else self._began), 3)

    def _finish(self, name: str, detail: str) -> None:
        seconds = self._took(name)
        self._ends[name] = self._clock()
        self._set(name, state=Progress.DONE, detail=detail, seconds=seconds, cause="", hint="")

    def _set(self, name: str, **values: object) -> None:
        self._steps[name] = replace(self._steps[name], **values)  # type: ignore[arg-type]
