"""The values that the window shows, a frozen dataclass a noun: bytes, Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """A container's state, as the Engine API writes it."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Health(StrEnum):
    """What a container's health check says; NONE when it has none."""

    NONE = ""
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class Port:
    """One published or exposed port; `public` is 0 for a port that is only exposed."""

    private: int
    public: int
    protocol: str
    address: str

    @property
    def url(self) -> str:
        """Where a browser reaches it; empty for UDP and for exposed ports."""
        if self.protocol != "tcp" or not self.public:
            return ""
        scheme = "https" if self.private in (443, 8443) else "http"
        return f"{scheme}://localhost:{self.public}"


@dataclass(frozen=True)
class Container:
    """One row of the container list."""

    id: str
    name: str
    image: str
    image_id: str
    command: str
    state: State
    status: str
    created: float
    health: Health = Health.NONE
    exit_code: int | None = None
    ports: tuple[Port, ...] = ()
    project: str = ""
    service: str = ""
    compose_file: str = ""
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return self.id

    @property
    def running(self) -> bool:
        """True while it has processes."""
        return self.state in (State.RUNNING, State.PAUSED, State.RESTARTING)

    @property
    def problem(self) -> bool:
        """True when somebody should look: unhealthy, restarting, dead or ended by an error."""
        if self.health is Health.UNHEALTHY or self.state in (State.RESTARTING, State.DEAD):
            return True
        # 137 and 143 are what `docker stop` leaves behind: no problem of the container's own.
        return self.state is State.EXITED and self.exit_code not in (0, None, 130, 137, 143)


@dataclass(frozen=True)
class Image:
    """One row of the image list: one reference of an image, or an image without any."""

    id: str
    repository: str
    tag: str
    size: int
    created: float
    used_by: tuple[str, ...] = ()
    shared: int = -1

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return f"{self.id} {self.repository}:{self.tag}"

    @property
    def reference(self) -> str:
        """The name that a command takes; the short id when there is no tag."""
        return f"{self.repository}:{self.tag}" if self.repository else self.id[:19]

    @property
    def dangling(self) -> bool:
        """True when no tag points here."""
        return not self.repository

    @property
    def unique(self) -> int:
        """Bytes that go when the image goes; -1 while unknown."""
        return self.size - self.shared if self.shared >= 0 else -1


@dataclass(frozen=True)
class Layer:
    """One step of an image's history, newest first."""

    instruction: str
    arguments: str
    size: int
    created: float
    id: str = ""


@dataclass(frozen=True)
class Volume:
    """One row of the volume list; `size` is -1 while unknown."""

    name: str
    driver: str
    mountpoint: str
    created: float
    size: int = -1
    used_by: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return self.name


@dataclass(frozen=True)
class Member:
    """A container on a network."""

    name: str
    address: str
    mac: str = ""


@dataclass(frozen=True)
class Network:
    """One row of the network list."""

    id: str
    name: str
    driver: str
    subnets: tuple[str, ...]
    gateways: tuple[str, ...]
    internal: bool
    created: float
    members: tuple[Member, ...] = ()

    @property
    def key(self) -> str:
        """What a list model knows the row by."""
        return self.id

    @property
    def predefined(self) -> bool:
        """True for the three that every engine has and nobody removes."""
        return self.name in ("bridge", "host", "none")


@dataclass(frozen=True)
class Sample:
    """One reading of a container. `cpu` is in cores; the rates are bytes a second."""

    cpu: float
    memory: int
    memory_limit: int
    received: float
    sent: float
    read: float
    written: float
    pids: int


@dataclass(frozen=True)
class LogLine:
    """One line that a container wrote; `stream` is 1 (stdout) or 2 (stderr)."""

    time: float
    stream: int
    text: str


@dataclass(frozen=True)
class EngineEvent:
    """One line of the event stream."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str]
    time: float


@dataclass(frozen=True)
class LayerProgress:
    """How far one layer of a pull is; `total` is 0 while unknown."""

    id: str
    status: str
    current: int = 0
    total: int = 0

    @property
    def done(self) -> bool:
        """True once the layer needs nothing more."""
        return self.status in ("Pull complete", "Already exists")


@dataclass(frozen=True)
class PullProgress:
    """The whole of a pull so far: its layers in the order they were announced."""

    reference: str
    layers: tuple[LayerProgress, ...] = ()
    status: str = ""

    @property
    def current(self) -> int:
        """Bytes that are here."""
        return sum(layer.total if layer.done else layer.current for layer in self.layers)

    @property
    def total(self) -> int:
        """Bytes that were announced."""
        return sum(layer.total for layer in self.layers)

    @property
    def fraction(self) -> float:
        """0 to 1; counts layers while the sizes are unknown."""
        if self.total:
            return min(1.0, self.current / self.total)
        done = sum(layer.done for layer in self.layers)
        return done / len(self.layers) if self.layers else 0.0


@dataclass(frozen=True)
class EngineFacts:
    """What the engine says about itself and its machine."""

    version: str
    cpus: int
    memory: int
    operating_system: str
    kernel: str
    architecture: str
