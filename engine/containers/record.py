"""What the engine remembers of a container, and its JSON form in the database.

`config` and `host_config` are the documents of Docker's API (its CamelCase), merged with the image
and completed with defaults at create; everything the engine found out itself has fields.
"""

from enum import StrEnum
from typing import Any

from engine.values import dataclass, field

Json = dict[str, Any]


class Status(StrEnum):
    """Docker's words for a container's state."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


LIVE = frozenset({Status.RUNNING, Status.PAUSED})


@dataclass
class State:
    """The changing part: times are ns since 1970, 0 for never."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    restart_count: int = 0
    manually_stopped: bool = False
    # set in the database while a start is under way, so that a killed engine can undo the half
    starting: bool = False
    # the machine's boot in which it was started last: after another one it can't be running
    boot: str = ""


@dataclass
class MountPoint:
    """One mount of a container; `source` is a path of the machine the engine runs on."""

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    writable: bool = True
    propagation: str = ""
    copy_up: bool = False
    create_source: bool = False
    anonymous: bool = False
    subpath: str = ""
    shown_source: str = ""
    options: Json = field(default_factory=dict)

    def to_api(self) -> Json:
        """The entry of inspect's and list's `Mounts`."""
        shown: Json = {"Type": self.type}
        if self.name:
            shown["Name"] = self.name
        shown["Source"] = "" if self.type == "tmpfs" else self.shown_source or self.source
        shown["Destination"] = self.destination
        if self.driver:
            shown["Driver"] = self.driver
        shown["Mode"] = self.mode
        shown["RW"] = self.writable
        shown["Propagation"] = self.propagation
        return shown


@dataclass
class Record:
    """A container as it stands in the database; `name` has no slash."""

    id: str
    name: str
    created: int
    image_id: str
    chain_ids: list[str]
    config: Json
    host_config: Json
    path: str
    args: list[str]
    endpoints: dict[str, Json] = field(default_factory=dict)
    mounts: list[MountPoint] = field(default_factory=list)
    state: State = field(default_factory=State)
    sandbox: Json | None = None
    # with enhanced isolation the first id outside, or isolation.JOINED
    id_base: int = 0

    @property
    def auto_remove(self) -> bool:
        return bool(self.host_config.get("AutoRemove"))

    @property
    def terminal(self) -> bool:
        return bool(self.config.get("Tty"))

    @property
    def restart_policy(self) -> str:
        return (self.host_config.get("RestartPolicy") or {}).get("Name") or "no"

    @property
    def network_mode(self) -> str:
        return self.host_config.get("NetworkMode") or "bridge"

    @property
    def labels(self) -> dict[str, str]:
        return self.config.get("Labels") or {}

    def to_json(self) -> Json:
        """The database record, sharing its parts with this one: to be encoded at once."""
        return {
            **vars(self),
            "state": vars(self.state),
            "mounts": [vars(mount) for mount in self.mounts],
        }

    @classmethod
    def from_json(cls, record: Json) -> "Record":
        """The opposite of `to_json`; unknown keys of a newer version are dropped."""
        known = {key: value for key, value in record.items() if key in cls.__annotations__}
        state = {k: v for k, v in known["state"].items() if k in State.__annotations__}
        state["status"] = Status(state["status"])
        known["state"] = State(**state)
        known["mounts"] = [
            MountPoint(**{k: v for k, v in mount.items() if k in MountPoint.__annotations__})
            for mount in known["mounts"]
        ]
        return cls(**known)
