"""What the engine tells of itself: version, components, counts."""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import engine
from engine.database import Database
from engine.events import Events
from engine.options import Options
from engine.registry.settings import Settings as Registries
from engine.system import Machine, backing_file_system, forwarding, machine, tool_version
from engine.times import SECOND, format_time
from engine.values import dataclass, field

_KIND = "engine"


@dataclass(frozen=True)
class Component:
    """A program that the engine starts."""

    name: str
    version: str
    commit: str


@dataclass(frozen=True)
class Overview:
    """The changing part of `docker info`."""

    id: str
    root: str
    containers: Mapping[str, int]
    images: int
    listeners: int
    descriptors: int
    file_system: str
    forwarding: bool
    runtimes: Mapping[str, str]
    default_runtime: str
    init: str
    registries: Registries = field(default_factory=Registries)
    security: Sequence[str] = ()


class About:
    """Answers of the engine about itself; counts come from the stores through two callables."""

    version = engine.__version__

    def __init__(
        self,
        options: Options,
        database: Database,
        events: Events,
        *,
        containers: Callable[[], Mapping[str, int]],
        images: Callable[[], int],
        init: str = "",
        registries: Registries | None = None,
        isolates: bool = False,
    ) -> None:
        self._options = options
        self._database = database
        self._events = events
        self._containers = containers
        self._images = images
        self._init = init
        self._registries = registries or Registries()
        self._isolates = isolates
        self._id = ""
        self._components: Sequence[Component] | None = None
        self.commit, self.built = _build()

    async def start(self) -> None:
        """Give the engine its identity at its first start."""
        held = self._database.load(_KIND).get("id")
        if held is None:
            held = {"id": _new_id()}
            await self._database.put(_KIND, "id", held)
        self._id = held["id"]

    @property
    def machine(self) -> Machine:
        """The machine that the engine runs on."""
        return machine()

    async def components(self) -> Sequence[Component]:
        """The programs beside the engine, asked for their versions once."""
        if self._components is None:
            self._components = await asyncio.to_thread(self._ask_components)
        return self._components

    async def overview(self) -> Overview:
        """The state of now."""
        return await asyncio.to_thread(self._overview, dict(self._containers()), self._images())

    def _overview(self, containers: Mapping[str, int], images: int) -> Overview:
        runtime = Path(self._options.runtime).name
        return Overview(
            id=self._id,
            root=str(self._options.root),
            containers=containers,
            images=images,
            listeners=self._events.listeners,
            descriptors=len(os.listdir("/proc/self/fd")),
            file_system=backing_file_system(self._options.root),
            forwarding=forwarding("ipv4"),
            runtimes={runtime: self._options.runtime},
            default_runtime=runtime,
            init=Path(self._init).name,
            registries=self._registries,
            security=_security(machine().security, isolates=self._isolates),
        )

    def _ask_components(self) -> Sequence[Component]:
        found = []
        runtime = Path(self._options.runtime).name
        programs = [(runtime, self._options.runtime), ("conmon", "conmon")]
        if self._init:
            programs.append(("docker-init", self._init))
        for name, program in programs:
            if shutil.which(program):
                version, commit = tool_version(program)
                found.append(Component(name, version, commit))
        return found


def _security(machine: Sequence[str], *, isolates: bool) -> Sequence[str]:
    """The words of the machine, with Docker's for user namespaces where dockerd has it."""
    if not isolates:
        return machine
    last = tuple(word for word in machine if word == "name=cgroupns")
    return (*(word for word in machine if word not in last), "name=userns", *last)


def _new_id() -> str:
    # A UUID as newer dockerds have it; older ones showed a fingerprint of a key.
    digits = os.urandom(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _build() -> tuple[str, str]:
    """(commit, time) of the build: from the file that packaging writes, or from the checkout."""
    here = Path(engine.__file__).parent
    try:
        commit, built = (here / "BUILD").read_text().split()
    except (OSError, ValueError):
        commit = _checked_out(here.parent / ".git")
        built = format_time(int(os.stat(engine.__file__).st_mtime) * SECOND)
    return commit, built


def _checked_out(git: Path) -> str:
    """The short name of the commit that a checkout stands on; "" when it can't be told."""
    try:
        head = (git / "HEAD").read_text().strip()
        if head.startswith("ref: "):
            head = (git / head.removeprefix("ref: ")).read_text().strip()
    except OSError:
        return ""
    return head[:7]
