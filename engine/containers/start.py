"""Starting a container: root, network and files in parallel, then the runtime, then the record.

Whatever fails on the way is undone; the container stays as it was, and its state tells the error.
"""

import asyncio
import contextlib
import logging
import os
import stat
import time
from dataclasses import replace
from pathlib import Path

from engine.containers.assemble import joined, spec_inputs
from engine.containers.container import Container, Ended
from engine.containers.endpoints import sandbox_request
from engine.containers.links import link_environment, links_of
from engine.containers.logopts import compresses, parse_size
from engine.containers.mapped import Isolated
from engine.containers.neighbours import Neighbours, Settings
from engine.containers.proc import refuse_mounts
from engine.containers.record import Record, Status
from engine.containers.rootfs import Roots, pinned
from engine.containers.store import Store
from engine.containers.tasks import Tasks
from engine.containers.validate import check_devices
from engine.errors import EngineError, NotFound
from engine.linux import mounts, userns
from engine.linux.mounts import Mount
from engine.networks import HOST_NAMES, Sandbox
from engine.networks.files import host_entries, hosts_text, resolv_text, write_in_place
from engine.runtime import spec, users
from engine.runtime.bundle import Bundle, RuntimeFailure
from engine.runtime.running import Running
from engine.runtime.users import User

_log = logging.getLogger(__name__)
LOG_NAME = "container.log"
_SETTLE_SECONDS = 1.0


class Starter:
    """Brings one container to life; the caller holds its lock."""

    def __init__(
        self,
        store: Store,
        roots: Roots,
        neighbours: Neighbours,
        settings: Settings,
        tasks: Tasks,
    ) -> None:
        self._tasks = tasks
        self._store = store
        self._roots = roots
        self._neighbours = neighbours
        self._settings = settings

    async def start(self, container: Container) -> None:
        """Start it. Raises EngineError (RuntimeFailure carries the exit code for `docker run`)."""
        state = container.record.state
        state.starting, state.error, state.boot = True, "", self._settings.boot
        # written before anything of the container runs: a killed engine then knows that there's a
        # half to undo, and one on a machine that lost its power that the container ran
        durable = not container.record.auto_remove
        noted = asyncio.create_task(self._store.save(container, durable=durable))
        try:
            with contextlib.ExitStack() as opened:
                bundle = await self._prepare(container, opened)
                await self._launch(container, bundle, noted)
            if container.running is not None:
                work = self._settle(container, container.running)
                self._tasks.spawn(work, f"settle {container.id[:12]}")
        except BaseException as error:
            with contextlib.suppress(Exception):
                await noted
            await self._undo(container)
            await self._failed(container, error)
            raise

    async def _prepare(self, container: Container, opened: contextlib.ExitStack) -> Bundle:
        record = container.record
        check_devices(record.host_config)
        if container.unmounting is not None:
            await container.unmounting
        await self._roots.mount_volumes(record)
        isolated = await self._isolate(record, opened)
        network = asyncio.create_task(self._open_network(container, isolated))
        try:
            user = await asyncio.to_thread(self._open_root, record, isolated)
        finally:
            await asyncio.wait([network])
        container.sandbox = sandbox = network.result()
        self._write_files(container, sandbox, isolated)
        shm = self._shared_memory(container, isolated)
        find = self._store.get
        linked = link_environment(record.name, links_of(record, find))
        inputs = spec_inputs(container, sandbox, user, self._settings, find, shm, linked)
        if isolated is not None:
            inputs = replace(inputs, user_namespace=isolated.namespaces.user_path)
        return bundle_of(record, self._settings.folder, spec.build(inputs))

    async def _isolate(self, record: Record, opened: contextlib.ExitStack) -> Isolated | None:
        if not record.id_base:
            return None
        from engine.containers.isolated import isolate

        settings = self._settings
        isolated = await isolate(record, self._store.get, settings.folder, settings.shares.socket)
        opened.callback(isolated.namespaces.close)
        return isolated

    def _open_root(self, record: Record, isolated: Isolated | None) -> User:
        lasting = not record.auto_remove
        root = self._roots.mount(record.id, lasting=lasting, isolated=isolated)
        refuse_mounts(root, record)
        self._roots.make_working_folder(root, record, isolated)
        self._roots.pin(record, isolated)
        groups = tuple(record.host_config.get("GroupAdd") or ())
        return users.resolve(root, record.config["User"], groups)

    async def _open_network(self, container: Container, isolated: Isolated | None) -> Sandbox:
        record = container.record
        mode = record.network_mode
        if mode.startswith("container:"):
            try:
                other = joined(mode, self._store.get, "network")
            except NotFound as error:
                raise EngineError(
                    f"joining network namespace of container: {error.message}"
                ) from error
            theirs = other.sandbox.resolv_conf if other.sandbox else ""
            assert other.running is not None
            return Sandbox(Path(f"/proc/{other.running.pid}/ns/net"), resolv_conf=theirs)
        request = sandbox_request(record)
        if isolated is not None:
            request = replace(request, namespace=isolated.namespaces.network)
        try:
            return await self._neighbours.networks.open(request)
        except EngineError as error:
            error.message = f"failed to set up container networking: {error.message}"
            error.args = (error.message,)
            raise

    def _write_files(
        self, container: Container, sandbox: Sandbox, isolated: Isolated | None
    ) -> None:
        record = container.record
        folder = self._settings.folder / record.id
        config, host = record.config, record.host_config
        mode = record.network_mode
        if mode.startswith("container:"):
            return  # it's given the other's own files
        write_in_place(folder / "hostname", f"{config['Hostname']}\n")
        first = next(iter(sandbox.endpoints.values()), None)
        outside = self._neighbours.networks.host_address
        gateway = outside or (first.gateway4 if first else "") or "127.0.0.1"
        extra = host_entries(host.get("ExtraHosts") or (), gateway)
        if outside:
            told = {name for _, name in extra}
            extra += [(outside, name) for name in HOST_NAMES if name not in told]
        extra += [
            (link.address, f"{link.alias} {link.other.config['Hostname']} {link.other.name}")
            for link in links_of(record, self._store.get)
        ]
        addresses = [
            address
            for endpoint in sandbox.endpoints.values()
            for address in (endpoint.ipv4, endpoint.ipv6)
            if address
        ]
        write_in_place(
            folder / "hosts", hosts_text(addresses, config["Hostname"], config["Domainname"], extra)
        )
        write_in_place(folder / "resolv.conf", resolv_text(sandbox.resolv_conf, host))
        for name in ("hostname", "hosts", "resolv.conf"):
            if isolated is not None:
                os.chown(folder / name, *isolated.root)

    def _shared_memory(self, container: Container, isolated: Isolated | None) -> str:
        """The folder to bind at /dev/shm when it's shared between containers; "" otherwise."""
        host = container.record.host_config
        mode = host["IpcMode"]
        if mode.startswith("container:"):
            other = self._store.get(mode.partition(":")[2])
            return str(self._settings.folder / other.id / "shm")
        if mode != "shareable":
            return ""
        folder = self._settings.folder / container.id / "shm"
        folder.mkdir(exist_ok=True)
        uid, gid = isolated.root if isolated is not None else (0, 0)
        size = f"size={host['ShmSize']},uid={uid},gid={gid}"
        options = ("nosuid", "nodev", "noexec", "mode=1777", size)
        if not mounts.is_mounted(folder):
            mounts.mount(Mount("tmpfs", "shm", str(folder), options))
        return str(folder)

    async def _launch(
        self, container: Container, bundle: Bundle, noted: asyncio.Task[None]
    ) -> None:
        runtime = self._neighbours.runtime
        running = await runtime.create(bundle)
        if container.record.id_base:
            _give_streams(running.pid, bundle.spec["process"]["user"])
        if any(pinned(container.record, point) for point in container.record.mounts):
            await asyncio.to_thread(self._roots.unpin, container.id)
        for waiting in list(container.pending):
            if not waiting.done():
                waiting.set_result(await running.attach())
        container.pending.clear()
        container.running = running
        await noted
        await runtime.start(container.id)
        record, state = container.record, container.record.state
        state.status, state.pid, state.exit_code = Status.RUNNING, running.pid, 0
        state.oom_killed, state.starting = False, False
        state.manually_stopped = False
        state.started_at = time.time_ns()
        record.sandbox = container.sandbox.to_record() if container.sandbox else None
        container.ended = asyncio.Event()
        await self._store.save_state(container)

    async def _settle(self, container: Container, running: Running) -> None:
        """What a container that stays needs no longer; off the way of those that end soon."""
        await asyncio.sleep(_SETTLE_SECONDS)
        async with container.lock:
            if container.running is running:
                await asyncio.to_thread(self._roots.detach, container.id)

    async def _undo(self, container: Container) -> None:
        container.running = None
        for step in (
            self._neighbours.runtime.delete(container.id),
            self._neighbours.networks.close(container.id),
            self._roots.unmount_volumes(container.record),
        ):
            try:
                await step
            except Exception as error:  # the first error is the one to tell
                _log.warning("undoing the start of %s: %s", container.id[:12], error)
        self.close_roots(container)

    def close_roots(self, container: Container) -> None:
        """Unmount what a start mounted, in the background; the next start waits for it."""
        container.unmounting = self._tasks.spawn(
            asyncio.to_thread(self._roots.unmount, container.id), f"unmount {container.id[:12]}"
        )
        if container.record.host_config["IpcMode"] == "shareable":
            with contextlib.suppress(OSError):
                mounts.unmount(self._settings.folder / container.id / "shm", lazy=True)
        container.sandbox, container.record.sandbox = None, None

    async def _failed(self, container: Container, error: BaseException) -> None:
        state = container.record.state
        state.starting, state.pid = False, 0
        state.exit_code = error.exit_code if isinstance(error, RuntimeFailure) else 128
        state.error = error.message if isinstance(error, EngineError) else str(error)
        came_back = state.status in (Status.RUNNING, Status.RESTARTING)
        if came_back:
            state.status = Status.EXITED
        for waiting in list(container.pending):
            waiting.cancel()
        container.pending.clear()
        container.ended.set()
        if came_back:  # a first start has its own client to tell; who waits, waits for a next one
            container.tell_exit(Ended(state.exit_code, state.error))
        await self._store.save(container, durable=not container.record.auto_remove)


def _give_streams(pid: int, user: dict[str, int]) -> None:
    """Let the user inside open its standard streams again, as /dev/stdout.

    They are conmon's pipes, which a process in a user namespace can't take for itself.
    """
    ids = userns.ids_of(pid)
    for number in (0, 1, 2):
        stream = f"/proc/{pid}/fd/{number}"
        if ids is not None and stat.S_ISFIFO(os.stat(stream).st_mode):
            os.chown(stream, *ids.outside(user["uid"], user["gid"]))


def log_path(record: Record, folder: Path) -> Path | None:
    """Where the container's output is kept; None with the log driver `none`."""
    if record.host_config["LogConfig"]["Type"] == "none":
        return None
    return folder / record.id / LOG_NAME


def bundle_of(record: Record, folder: Path, document: dict[str, object]) -> Bundle:
    """What the runtime needs to create (or find again) the container."""
    options = record.host_config["LogConfig"]["Config"]
    local = record.host_config["LogConfig"]["Type"] == "local"
    size = options.get("max-size") or ("20m" if local else "-1")
    return Bundle(
        id=record.id,
        path=folder / record.id,
        spec=document,
        terminal=record.terminal,
        stdin=bool(record.config["OpenStdin"]),
        stdin_once=bool(record.config["StdinOnce"]),
        log_path=log_path(record, folder),
        log_max_size=None if size == "-1" else parse_size(size),
        log_max_files=int(options.get("max-file") or (5 if local else 1)),
        log_compress=compresses(record.host_config["LogConfig"]),
        rootfs=folder / record.id / "rootfs",
    )
