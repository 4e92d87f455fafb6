"""What containers call of the rest of the engine; the real stores satisfy these protocols."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from engine.containers.limits import Machine, this_machine
from engine.containers.shares import Shares
from engine.images.store import Store as Images
from engine.linux.mounts import Mount
from engine.networks import EndpointConfig, Network, Sandbox, SandboxRequest
from engine.options import Options
from engine.runtime.bundle import Bundle
from engine.runtime.execs import ExecRunning
from engine.runtime.resources import Resources
from engine.runtime.running import Running
from engine.snapshots.diff import Change
from engine.values import dataclass

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Database(Protocol):
    """Records that last; `database.Database`."""

    def load(self, kind: str) -> dict[str, dict[str, Any]]: ...
    async def put(
        self, kind: str, key: str, record: dict[str, Any], durable: bool = True
    ) -> None: ...
    async def delete(self, kind: str, key: str, durable: bool = True) -> None: ...


class Events(Protocol):
    """The bus; `events.Events`."""

    def publish(
        self, type: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None
    ) -> object: ...


class Snapshots(Protocol):
    """`snapshots.Store`."""

    @property
    def root(self) -> Path: ...
    def changes(self, key: str) -> Iterator[Change]: ...
    def diff(self, key: str) -> Iterator[bytes]: ...
    async def prepare(self, key: str, chain_ids: Sequence[str]) -> None: ...
    def mount_of(
        self, key: str, target: Path, through: int = -1, *, grounded: bool = True
    ) -> Mount: ...
    def upper(self, key: str) -> Path: ...
    def lower(self, key: str) -> tuple[str, ...]: ...
    def keys(self) -> Iterator[str]: ...
    async def remove(self, key: str) -> None: ...
    async def usage(self, key: str) -> tuple[int, int]: ...


class Networks(Protocol):
    """`networks.Controller`."""

    @property
    def host_address(self) -> str: ...
    def resolve(self, name_or_id: str) -> Network: ...
    def check(self, network: str, settings: EndpointConfig) -> None: ...
    async def open(self, request: SandboxRequest) -> Sandbox: ...
    async def close(self, container_id: str) -> None: ...
    async def restore(self, live: Sequence[tuple[SandboxRequest, Sandbox]]) -> None: ...
    def sandbox(self, container_id: str) -> Sandbox | None: ...
    def rename(self, container_id: str, name: str) -> None: ...
    async def connect(
        self, container_id: str, network: str, settings: EndpointConfig, live: bool
    ) -> Sandbox | None: ...
    async def disconnect(self, container_id: str, network: str) -> Sandbox | None: ...


class Volume(Protocol):
    """A volume as a container sees it."""

    @property
    def name(self) -> str: ...
    @property
    def mountpoint(self) -> Path: ...
    @property
    def driver(self) -> str: ...


class Volumes(Protocol):
    """`volumes.Store`."""

    def get(self, name: str) -> Volume: ...
    async def create(
        self,
        name: str,
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume: ...
    async def remove(self, name: str, *, force: bool = False) -> None: ...
    async def mount(
        self, name: str, container_id: str, attributes: Mapping[str, str] | None = None
    ) -> Path: ...
    async def populate(self, name: str, source: Path) -> bool: ...
    def resume(self, name: str, container_id: str) -> None: ...
    async def unmount_unheld(self) -> None: ...
    async def unmount(self, name: str, container_id: str) -> None: ...


class Runtime(Protocol):
    """`runtime.Runtime`."""

    async def create(self, bundle: Bundle) -> Running: ...
    async def start(self, id: str) -> None: ...
    async def kill(self, id: str, signal: int) -> None: ...
    async def pause(self, id: str) -> None: ...
    async def resume(self, id: str) -> None: ...
    async def update(self, id: str, resources: Resources) -> None: ...
    async def delete(self, id: str) -> None: ...
    def known(self) -> set[str]: ...
    async def adopt(self, bundle: Bundle) -> Running | None: ...
    async def exec(
        self,
        id: str,
        process: dict[str, Any],
        terminal: bool,
        stdin: bool,
        owner: tuple[int, int] | None = None,
    ) -> ExecRunning: ...


@dataclass(frozen=True)
class Neighbours:
    """The rest of the engine, as containers know it."""

    database: Database
    events: Events
    images: Images
    snapshots: Snapshots
    networks: Networks
    volumes: Volumes
    runtime: Runtime


@dataclass(frozen=True)
class Settings:
    """What holds for all containers: where they live, which runtime, the machine's limits."""

    folder: Path
    shares: Shares
    machine: Machine
    runtime: str = "crun"
    init_path: str = ""
    boot: str = ""
    isolation: str = "standard"

    @classmethod
    def of(cls, options: Options, *, cgroup_v2: bool) -> "Settings":
        """From the engine's own settings and this machine."""
        shares = Shares(options.socket, options.machine)
        init = shutil.which("catatonit") or shutil.which("tini") or ""
        for place in ("/usr/bin/catatonit", "/usr/libexec/podman/catatonit"):
            init = init or (place if Path(place).exists() else "")
        return cls(
            folder=options.root / "containers",
            shares=shares,
            machine=this_machine(cgroup_v2),
            runtime=Path(options.runtime).name,
            init_path=init,
            boot=_BOOT.read_text(encoding="ascii").strip(),
            isolation=options.isolation or shares.isolation or "standard",
        )
