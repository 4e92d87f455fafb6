"""The words of the agent's socket: newline-delimited JSON, one request a connection.

Request `{"op": ..., "args": {...}}`. Answer: any number of `{"event": "state", ...}` lines (for
`subscribe`, and for operations asked with `"progress": true`), then `{"ok": true, "result": {}}`
or `{"ok": false, "error": {"what", "why", "hint", "exit_code"}}`. `subscribe` has no last line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from desktop.vm.states import Progress, Requirement, State

LINE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Status:
    """What the agent knows about its machine; the body of each `state` event.

    `failure` is a `Failure.to_record()`; `settings` are those in force (`Settings.to_record()`),
    `pending` those that a restart would bring; `notices` are sentences told once a boot;
    `boots` are the seconds that the last starts took, oldest first.
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
    boots: tuple[float, ...] = ()
    version: str = ""

    def to_record(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Status:
        """The inverse; words of another version's agent are left out."""
        known = {key: value for key, value in record.items() if key in cls.__dataclass_fields__}
        known["state"] = State(known["state"])
        known["requirements"] = tuple(
            Requirement.from_record(each) for each in known.get("requirements", ())
        )
        for name in ("notices", "boots"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


__all__ = ["LINE_LIMIT", "Progress", "Requirement", "State", "Status"]
