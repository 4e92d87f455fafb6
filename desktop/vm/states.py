"""The words for what the machine is doing: states, requirements, progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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
    def starting(self) -> bool:
        return self in (State.PREPARING, State.BOOTING, State.WAITING)

    @property
    def moving(self) -> bool:
        """Whether the state ends by itself."""
        return self.starting or self in (State.PAUSING, State.STOPPING)


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
        """From JSON; words that this version doesn't know are left out."""
        known = {key: value for key, value in record.items() if key in cls.__dataclass_fields__}
        return cls(**{**known, "state": Progress(record["state"])})
