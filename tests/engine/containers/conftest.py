"""Containers on small fakes of their neighbours: no root, no processes, no mounts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.containers.limits import Machine
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.rootfs import Roots
from engine.containers.shares import Shares
from engine.containers.wiring import Containers
from engine.errors import NotFound
from engine.events import Event, Events
from engine.images.model import Image
from engine.linux.mounts import Mount
from engine.networks import Endpoint, EndpointConfig, Network, Sandbox, SandboxRequest
from engine.runtime.bundle import Bundle, Exit, RuntimeFailure


class FakeDatabase:
    """Records in a dict."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}

    def load(self, kind: str) -> dict[str, Any]:
        return dict(self.records)

    async def put(self, kind: str, key: str, record: Any, durable: bool = True) -> None:
        self.records[key] = json.loads(json.dumps(record))

    async def delete(self, kind: str, key: str, durable: bool = True) -> None:
        self.records.pop(key, None)


class FakeStreams:
    """Output from a list, input into one."""

    def __init__(self, output: Sequence[tuple[int, bytes]] = ()) -> None:
        self.queue: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        for piece in output:
            self.queue.put_nowait(piece)
        self.input = b""
        self.stdin_closed = self.closed = False

    async def write(self, data: bytes) -> None:
        self.input += data

    async def close_stdin(self) -> None:
        self.stdin_closed = True

    async def __aiter__(self) -> AsyncIterator[tuple[int, bytes]]:
        while (piece := await self.queue.get()) is not None:
            yield piece

    def close(self) -> None:
        self.closed = True


class FakeRunning:
    """A process that ends when told."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.streams: list[FakeStreams] = []

    async def wait(self) -> Exit:
        return await asyncio.shield(self.ended)

    def end(self, code: int = 0, *, oom: bool = False) -> None:
        if not self.ended.done():
            self.ended.set_result(Exit(code, time.time_ns(), oom))

    async def attach(self) -> FakeStreams:
        self.streams.append(FakeStreams())
        return self.streams[-1]

    async def resize(self, height: int, width: int) -> None:
        self.size = (height, width)


class FakeRuntime:
    """Remembers what it was asked; SIGKILL and SIGTERM end a process unless `stubborn`."""

    def __init__(self) -> None:
        self.running: dict[str, FakeRunning] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.refusal: RuntimeFailure | None = None
        self.stubborn = False
        self.adopted: dict[str, FakeRunning] = {}

    async def create(self, bundle: Bundle) -> FakeRunning:
        if self.refusal:
            raise self.refusal
        self.calls.append(("create", bundle.id, bundle.spec))
        self.running[bundle.id] = FakeRunning(1000 + len(self.calls))
        return self.running[bundle.id]

    async def start(self, id: str) -> None:
        self.calls.append(("start", id))

    async def kill(self, id: str, signal: int) -> None:
        self.calls.append(("kill", id, signal))
        if signal == 9 or (signal == 15 and not self.stubborn):
            self.running[id].end(128 + signal)

    async def pause(self, id: str) -> None:
        self.calls.append(("pause", id))

    async def resume(self, id: str) -> None:
        self.calls.append(("resume", id))

    async def update(self, id: str, resources: Any) -> None:
        self.calls.append(("update", id, resources))

    async def delete(self, id: str) -> None:
        self.calls.append(("delete", id))

    def known(self) -> set[str]:
        return set()

    async def adopt(self, bundle: Bundle) -> FakeRunning | None:
        return self.adopted.get(bundle.id)

    async def exec(self, id: str, process: Any, terminal: bool, stdin: bool) -> Any:
        raise RuntimeFailure("OCI runtime exec failed", 126)


class FakeNetworks:
    """One bridge network."""

    host_address = ""

    def __init__(self) -> None:
        self.opened: dict[str, SandboxRequest] = {}
        self.restored: list[str] = []
        self.names: dict[str, str] = {}

    def check(self, network: str, settings: EndpointConfig) -> None:
        pass

    def resolve(self, name_or_id: str) -> Network:
        if name_or_id not in ("bridge", "host", "none", "mine"):
            raise NotFound(f"network {name_or_id} not found")
        return Network(f"{name_or_id}-id", name_or_id, "bridge", "2026-01-01T00:00:00Z")

    async def open(self, request: SandboxRequest) -> Sandbox:
        for name in request.endpoints:
            self.resolve(name)
        self.opened[request.container_id] = request
        endpoints = {
            name: Endpoint(f"{name}-endpoint", f"{name}-id", "02:00:00:00:00:01", "10.9.0.2", 16)
            for name in request.endpoints
        }
        return Sandbox(Path("/run/netns/x"), endpoints, resolv_conf="nameserver 9.9.9.9\n")

    async def close(self, container_id: str) -> None:
        self.opened.pop(container_id, None)

    async def restore(self, live: Sequence[tuple[SandboxRequest, Sandbox]]) -> None:
        self.restored = [request.container_id for request, _ in live]

    def sandbox(self, container_id: str) -> Sandbox | None:
        return None

    def rename(self, container_id: str, name: str) -> None:
        self.names[container_id] = name

    async def connect(self, container_id: str, network: str, settings: Any, live: bool) -> None:
        return None

    async def disconnect(self, container_id: str, network: str) -> None:
        return None


class FakeSnapshots:
    """Folders without mounts."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    async def prepare(self, key: str, chain_ids: Sequence[str]) -> None:
        self.held.add(key)

    root = Path("/engine")

    def mount_of(
        self, key: str, target: Path, through: int = -1, *, grounded: bool = True
    ) -> Mount:
        return Mount("overlay", "overlay", str(target))

    def lower(self, key: str) -> tuple[str, ...]:
        return ()

    def upper(self, key: str) -> Path:
        return Path("/snapshots") / key / "upper"

    def keys(self) -> Iterator[str]:
        return iter(set(self.held))

    async def remove(self, key: str) -> None:
        self.held.discard(key)

    async def usage(self, key: str) -> tuple[int, int]:
        return 10, 1


@dataclass(frozen=True)
class FakeVolume:
    name: str
    mountpoint: Path
    driver: str = "local"


class FakeVolumes:
    """Volumes as folders below one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[str, FakeVolume] = {}

    def get(self, name: str) -> FakeVolume:
        return self.held[name]

    async def create(
        self,
        name: str,
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> FakeVolume:
        name = name or f"anonymous{len(self.held)}"
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        return self.held.setdefault(name, FakeVolume(name, self.folder / name))

    async def remove(self, name: str, *, force: bool = False) -> None:
        del self.held[name]

    async def populate(self, name: str, source: Path) -> bool:
        return False

    async def mount(self, name: str, container_id: str, attributes: Any = None) -> Path:
        return self.held[name].mountpoint

    def resume(self, name: str, container_id: str) -> None:
        return None

    async def unmount_unheld(self) -> None:
        return None

    async def unmount(self, name: str, container_id: str) -> None:
        return None


class FakeImages:
    """One image called busybox."""

    def __init__(self) -> None:
        config: dict[str, Any] = {"config": {"Cmd": ["sh"]}, "os": "linux", "architecture": "amd64"}
        self.image = Image("sha256:" + "b" * 64, config, "", (), ("chain",), 100, "")

    def resolve(self, name: str) -> Image:
        if name not in ("busybox", "busybox:latest", self.image.id):
            raise NotFound(f"No such image: {name}")
        return self.image


@dataclass
class World:
    """Containers and the fakes around them."""

    containers: Containers
    database: FakeDatabase
    events: Events
    runtime: FakeRuntime
    networks: FakeNetworks
    snapshots: FakeSnapshots
    volumes: FakeVolumes
    images: FakeImages
    settings: Settings
    again: Callable[[], Containers]
    seen: list[Event] = field(default_factory=list)

    async def create(self, name: str = "", **body: Any) -> str:
        made = await self.containers.create({"Image": "busybox", **body}, name)
        return made.id

    async def started(self, name: str = "", **body: Any) -> str:
        id = await self.create(name, **body)
        await self.containers.start(id)
        return id

    def state(self, id: str) -> Any:
        return self.containers.store.get(id).record.state

    def actions(self) -> list[str]:
        return [event.action for event in self.events.history() if event.type == "container"]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - states change without an event of their own
                await asyncio.sleep(0.001)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database, events, runtime = FakeDatabase(), Events(), FakeRuntime()
    networks, snapshots, images = FakeNetworks(), FakeSnapshots(), FakeImages()
    volumes = FakeVolumes(tmp_path / "volumes")
    settings = Settings(
        folder=tmp_path / "containers",
        shares=Shares(tmp_path / "e.sock"),
        machine=Machine(frozenset({0, 1}), frozenset({0}), cgroup_v2=True),
    )
    neighbours = Neighbours(database, events, images, snapshots, networks, volumes, runtime)

    def build() -> Containers:
        roots = Roots(neighbours, settings, mount=lambda _: None, unmount=lambda path, lazy: False)
        return Containers(neighbours, settings, roots)

    containers = build()
    made = World(
        containers,
        database,
        events,
        runtime,
        networks,
        snapshots,
        volumes,
        images,
        settings,
        build,
    )
    yield made
    await made.containers.close()
