"""`Machine`: the agent and its VM as Qt signals, and what the window asks of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from desktop.agent.client import AgentClient, AgentGone, State, Status
from desktop.client.failures import Problem, explain
from desktop.paths import Home
from desktop.ui.bridge import Bridge

RETRY_SECONDS = 0.8


class _States:
    """The agent's states for ever; STOPPED whenever there is no agent."""

    def __init__(self, agent: AgentClient) -> None:
        self._agent = agent
        self._wake = threading.Event()
        self._closed = False

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def __iter__(self) -> Iterator[Status]:
        told = False
        while not self._closed:
            try:
                for status in self._agent.events():
                    told = False
                    yield status
            except AgentGone:
                pass
            if self._closed:
                return
            if not told:
                told = True
                yield Status(docker_socket=str(self._agent.home.docker_socket))
            self._wake.wait(RETRY_SECONDS)


class Machine(QObject):
    """The machine below the engine; `attached` when the window was given a socket instead."""

    changed = Signal()
    failed = Signal(object)

    def __init__(self, bridge: Bridge, home: Home | None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.home = home
        self.status = Status()
        self.known = home is None
        self.asking = ""
        self._bridge = bridge
        self._agent = AgentClient(home) if home else None
        if home is None:
            self.status = Status(state=State.RUNNING)

    @property
    def attached(self) -> bool:
        """True when there is an engine but no agent of ours."""
        return self._agent is None

    @property
    def running(self) -> bool:
        """True when the engine should answer."""
        return self.attached or self.status.state is State.RUNNING

    def open(self, *, start: bool) -> None:
        """Follow the agent; with `start`, start it and the machine first."""
        if self._agent is None:
            return
        self._bridge.stream(_States(self._agent), self._arrived)
        if start:
            self.start()

    def _arrived(self, states: list[Status]) -> None:
        self.known = True
        self.status = states[-1]
        self.changed.emit()

    def start(self) -> None:
        """Start the VM; progress arrives by `changed`."""
        self._ask("start", "Cove did not start", lambda agent: agent.start())

    def stop(self) -> None:
        """Shut the VM down."""
        self._ask("stop", "Cove did not stop", lambda agent: agent.stop())

    def restart(self) -> None:
        """Stop and start with the settings of the file."""
        self._ask("restart", "Cove did not restart", lambda agent: agent.restart())

    def resume(self) -> None:
        """End a pause."""
        self._ask("resume", "Cove did not resume", lambda agent: agent.resume())

    def configure(self, changes: dict[str, Any], *, restart: bool) -> None:
        """Write settings and, if asked, restart with them."""

        def work(agent: AgentClient) -> None:
            agent.config_set(changes)
            if restart:
                agent.restart()

        self._ask("apply", "The settings were not applied", work)

    def settings(self, done: Callable[[dict[str, Any]], None]) -> None:
        """Read the settings of the file."""
        home = self.home
        if home is None:
            return

        def work() -> dict[str, Any]:
            from desktop import settings

            return settings.load(home.settings_file).to_record()

        self._bridge.call(work, done, lambda e: self._refused("The settings can't be read", e))

    def _ask(self, name: str, failed: str, work: Callable[[AgentClient], object]) -> None:
        agent = self._agent
        if agent is None:
            return
        self.asking = name
        self.changed.emit()

        def finished(_: object) -> None:
            self.asking = ""
            self.changed.emit()

        def refused(error: BaseException) -> None:
            self.asking = ""
            self._refused(failed, error)

        self._bridge.call(lambda: work(agent), finished, refused)

    def _refused(self, what: str, error: BaseException) -> None:
        problem = explain(what, error)
        if self.status.state in (State.STOPPED, State.FAILED) and self.status.failure is None:
            record = {"what": problem.what, "why": problem.why, "hint": problem.hint}
            self.status = replace(self.status, state=State.FAILED, failure=record)
        # First the failure, so that nobody takes the end of the request for its success.
        self.failed.emit(problem)
        self.changed.emit()


def problem_of(status: Status) -> Problem | None:
    """Why the machine failed, from its own failure or from the requirement that failed."""
    for requirement in status.requirements:
        if requirement.state == "failed":
            title = requirement.title or requirement.name
            return Problem(f"{title} failed", requirement.cause, requirement.hint)
    if status.failure:
        said = status.failure
        return Problem(
            str(said.get("what", "")), str(said.get("why", "")), str(said.get("hint", ""))
        )
    return None
