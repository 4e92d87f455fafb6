"""The words of the agent's socket: newline-delimited JSON, one request a connection.

Request `{"op": ..., "args": {...}}`. Answer: any number of `{"event": "state", ...}` lines (for
`subscribe`, and for operations asked with `"progress": true`), then `{"ok": true, "result": {}}`
or `{"ok": false, "error": {"what", "why", "hint", "exit_code"}}`. `subscribe` has no last line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

LINE_LIMIT = 1 << 20


class State(StrEnum):
    """The states of the machine, as the window and `cove status` show them."""

    STOPPED = "stopped"
    PREPARING = "preparing"
    BOOTING = "booting"
    WAITING = "waiting for engine"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    FAILED = "failed"

    @property
    def moving(self) -> bool:
        """Whether the state ends by itself."""
        return self in (
            State.PREPARING,
            State.BOOTING,
            State.WAITING,
            State.PAUSING,
            State.STOPPING,
        )


class Progress(StrEnum):
    """The states of one requirement."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Requirement:
    """One step of the boot: `seconds` that the step took, None until it ended."""

    name: str
    title: str
    state: Progress = Progress.WAITING
    seconds: float | None = None
    detail: str = ""
    cause: str = ""
    hint: str = ""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Requirement:
        return cls(**{**record, "state": Progress(record["state"])})


@dataclass(frozen=True)
class Status:
    """What the agent knows about its machine; the body of each `state` event.

    `failure` is a `Failure.to_record()`; `settings` are those in force (`Settings.to_record()`),
    `pending` those that a restart would bring; `notices` are sentences told once a boot.
    """

    state: State = State.STOPPED
    requirements: tuple[Requirement, ...] = ()
    accelerator: str = ""
    accelerator_reason: str = ""
    failure: Mapping[str, Any] | None = None
    agent_pid: int = 0
    machine_pid: int = 0
    started_at: float = 0.0
    boot_seconds: float | None = None
    docker_socket: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    pending: Mapping[str, Any] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    version: str = ""

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Status:
        """The inverse; words of another version's agent are left out."""
        known = {key: value for key, value in record.items() if key in cls.__dataclass_fields__}
        known["state"] = State(known["state"])
        known["requirements"] = tuple(
            Requirement.from_record(each) for each in known.get("requirements", ())
        )
        known["notices"] = tuple(known.get("notices", ()))
        return cls(**known)
