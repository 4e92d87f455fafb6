"""The engine composed: its parts, in the order in which they start and stop."""

import asyncio
import contextlib
import fcntl
import gc
import grp
import logging
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import engine
from engine import values
from engine.about import About
from engine.api import (
    absent,
    auth,
    build,
    containers_files,
    containers_io,
    distribution,
    exec,
    image_layers,
    images,
    networks,
    system,
    usage,
    volume_files,
    volumes,
)
from engine.api import containers as containers_routes
from engine.api import events as events_routes
from engine.api.application import Application
from engine.api.router import Route, Router
from engine.api.server import Server, check_path
from engine.builder.service import Builder
from engine.containers.assemble import joined
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.shares import Shares
from engine.containers.wiring import Containers
from engine.database import Database
from engine.errors import EngineError
from engine.events import Events
from engine.hostlink import HostLink
from engine.images.service import Service as ImageService
from engine.images.store import Store as Images
from engine.linux import cgroups, private, process
from engine.networks import Controller
from engine.options import Options
from engine.registry.settings import Settings as Registries
from engine.runtime import rlimits
from engine.runtime.runtime import Runtime
from engine.snapshots.store import Store as Snapshots
from engine.snapshots.unpack import Limits
from engine.volumes.store import Store as Volumes

log = logging.getLogger("engine")
# Seconds after the start until what the first requests may need is made ready for them.
_QUIET = 1.0

_OOM_SCORE = -500  # containers stand at 0


def _registries(options: Options) -> Registries:
    if options.machine is None:
        return Registries.load(options.root)
    found = Registries.load_leniently(options.root)
    if found.refused:
        log.error("%s; the engine goes on without this file", found.refused)
    return found


class StartFailed(EngineError):
    """The engine can't start; the message says why and what to do."""


class Daemon:
    """Life: Daemon(options), run() to the end; or restore(), serve(), close()."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.database = Database(options.root / "engine.db")
        self.events = Events()
        self.snapshots = Snapshots(options.root)
        registries = _registries(options)
        self.images = Images(
            options.root,
            self.database,
            self.snapshots,
            self.events,
            welcome=options.welcome,
            limits=Limits(options.max_layer_entries, options.max_layer_size),
            registries=registries,
        )
        self.volumes = Volumes(options.root, self.database, self.events)
        self.networks = Controller(options.root, options.run, self.database, self.events)
        self.runtime = Runtime(options.run, program=options.runtime)
        settings = Settings.of(options, cgroup_v2=cgroups.is_v2())
        self.containers = Containers(
            Neighbours(
                self.database,
                self.events,
                self.images,
                self.snapshots,
                self.networks,
                self.volumes,
                self.runtime,
            ),
            settings,
        )
        self.builder = Builder(
            options.root, self.database, self.images, self.networks, self.runtime
        )
        self.builder.namespace_of = self._network_of
        self.about = About(
            options,
            self.database,
            self.events,
            containers=self.containers.counts,
            images=lambda: sum(1 for _ in self.images),
            init=settings.init_path,
            registries=registries,
            isolates=settings.isolation == "enhanced",
        )
        self._link: HostLink | None = None
        self.networks.containers = self.containers
        self.images.users = self.containers.image_users
        self.volumes.users = self.containers.volume_users
        self.volumes.locate = Shares(options.socket, options.machine).locate
        self._server = Server(
            Application(Router(self._routes())), f"Cove/{engine.__version__} (linux)"
        )

    def _inside_volumes(self) -> volume_files.Backend:
        from engine.volumes.inside.service import Inside  # no start waits for it

        return Inside(self.volumes)

    def _network_of(self, name: str) -> Path:
        """The network namespace of a running container, for builds that join it."""
        other = joined(f"container:{name}", self.containers.store.get, "network")
        assert other.running is not None
        return Path(f"/proc/{other.running.pid}/ns/net")

    def _routes(self) -> Iterator[Route]:
        service = ImageService(self.images)
        yield from system.routes(self.about)
        yield from usage.routes(service, self.containers, self.volumes, self.builder)
        yield from events_routes.routes(self.events)
        yield from containers_routes.routes(self.containers)
        yield from containers_io.routes(self.containers)
        yield from containers_files.routes(self.containers.rooms)
        yield from exec.routes(self.containers.execs)
        yield from images.routes(service)
        yield from image_layers.routes(service)
        yield from auth.routes(service)
        yield from distribution.routes(service)
        yield from volumes.routes(self.volumes)
        yield from volume_files.routes(self._inside_volumes)
        yield from networks.routes(self.networks)
        yield from build.routes(self.builder)
        yield from absent.routes()

    async def restore(self) -> None:
        """Take up what an earlier engine left, so that everything answers as it stands."""
        self.containers.load()  # the other stores ask who uses what
        self.snapshots.mend(self.containers.chains())
        await self.about.start()
        self.builder.load()
        await self.images.start()
        await self.volumes.start()
        await self._link_host()
        await self.containers.restore()

    async def serve(self) -> None:
        """Answer the API. Raises SocketError."""
        gid, mode = -1, 0o600
        if self.options.group is not None:
            gid, mode = _group(self.options.group), 0o660
        await self._server.start(self.options.socket, mode, gid)

    async def close(self) -> None:
        """Stop answering and let go; containers go on. What fails to close stops no other."""
        for name, end in (
            ("server", self._server.stop),
            ("builder", self.builder.close),
            ("containers", self.containers.close),
            ("images", self.images.close),
            ("volumes", self.volumes.close),
            ("networks", self.networks.stop),
            ("runtime", self.runtime.close),
            *((("host link", self._link.close),) if self._link else ()),
        ):
            try:
                await end()
            except Exception:
                log.exception("closing the %s failed", name)
        self.snapshots.close()
        await asyncio.to_thread(self.database.close)

    async def run(self) -> None:
        """Start, say so on stdout, serve until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        try:
            check_path(self.options.socket)
            await self.restore()
            await self.serve()
            gc.freeze()
            gc.enable()  # __main__ turned it off
            print(f"ready unix://{self.options.socket}", flush=True)
            loop.call_later(_QUIET, loop.run_in_executor, None, values.complete_all)
            await stop.wait()
            log.info("stopping; containers go on")
        finally:
            await self.close()

    async def _link_host(self) -> None:
        if self.options.host_link is None:
            return
        self._link = HostLink(self.options.host_link)
        await self._link.start()
        self.networks.host = self._link


def prepare(options: Options) -> int:
    """Claim the root for this process; the descriptor of the lock, to be kept open.

    Before any thread exists: natively it also moves into a mount namespace of its own.
    Raises StartFailed.
    """
    if os.geteuid() != 0:
        raise StartFailed("the engine must run as root: it mounts file systems and makes networks")
    try:
        for folder in (options.root, options.run):
            folder.mkdir(parents=True, exist_ok=True)
        options.root.chmod(0o711)
        lock = _lock(options.root)
        _raise_limits()
        process.spare(_OOM_SCORE)
        if options.native:
            private.enter(options.run / "mount-namespace")
    except OSError as error:
        raise StartFailed(f"can't prepare {options.root}: {error.strerror or error}") from error
    return lock


def _raise_limits() -> None:
    """Each container and each client costs descriptors; containers have a limit of their own."""
    for most in (rlimits.FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        with contextlib.suppress(ValueError, OSError):  # only some may have more than they have
            if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] < most:
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            return


def _lock(root: Path) -> int:
    descriptor = os.open(root / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise StartFailed(
            f"another engine (process {holder or 'unknown'}) is using {root}: "
            "stop it, or choose another --root"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _group(name: str) -> int:
    try:
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise StartFailed(f"there is no group {name}: choose another --group") from None


def run(options: Options) -> None:
    """Run an engine until it's told to stop. Raises EngineError when it can't start."""

    async def whole() -> None:
        await Daemon(options).run()

    asyncio.run(whole())
