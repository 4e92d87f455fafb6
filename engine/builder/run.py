"""A RUN step: its command in a container of its own, over the layers so far.

What the command writes lands in a begun layer's folder. What is only mounted for it leaves no
trace there: mount points that the image lacks come from a layer below all others.
"""

import asyncio
import contextlib
import os
import secrets
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from engine.builder.copying import copy_tree
from engine.builder.failures import RunFailed
from engine.builder.folders import Folders
from engine.builder.mounting import Files, Mounted, Mounting, Point
from engine.builder.operations import RunOp
from engine.builder.request import RunSettings
from engine.builder.threads import finished, in_thread, to_end
from engine.builder.tree import Tree
from engine.errors import EngineError
from engine.linux import cgroups, mounts
from engine.linux.links import resolve
from engine.linux.mounts import Mount
from engine.linux.removal import remove_tree
from engine.networks import Controller, EndpointConfig, Sandbox, SandboxRequest
from engine.networks.files import host_entries, hosts_text, resolv_text
from engine.runtime import spec, users
from engine.runtime.bundle import Bundle, RuntimeFailure
from engine.runtime.process import merge_environment
from engine.runtime.runtime import Runtime
from engine.runtime.users import User
from engine.snapshots.store import Store as Snapshots
from engine.values import dataclass

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FILES = ("hosts", "hostname", "resolv.conf")
_FIXED = (
    Point("/proc"),
    Point("/sys"),
    Point("/dev"),
    *(Point(f"/etc/{name}", is_file=True) for name in _FILES),
)

# all of it is kept for builds that join the step, and for clients that read slowly
_MOST_OUTPUT = 16 << 20
_CLIPPED = b"\n[output clipped, log limit 16MiB reached]\n"

Tell = Callable[[str, object], None]


@dataclass(frozen=True)
class RunStep:
    """A RUN with what it stands on: chain ids, and the files of each of its mounts.

    volumes: folders whose content is the step's own and is thrown away after it.
    """

    op: RunOp
    chain: tuple[str, ...]
    files: tuple[Files | None, ...]
    settings: RunSettings
    volumes: tuple[str, ...] = ()


class Runner:
    """Runs RUN steps; tells `container` (its id) and `output` (stream number, bytes)."""

    def __init__(
        self,
        folders: Folders,
        snapshots: Snapshots,
        networks: Controller,
        runtime: Runtime,
        mounting: Mounting,
    ) -> None:
        self._folders = folders
        self._snapshots = snapshots
        self._networks = networks
        self._runtime = runtime
        self._mounting = mounting
        # where another container's network namespace is; the daemon sets it
        self.namespace_of: Callable[[str], Path] | None = None

    async def run(self, step: RunStep, folder: Path, tell: Tell) -> None:
        """Run the command, which writes to `folder`/diff (a begun layer).

        Raises RunFailed, RuntimeFailure, BadRequest; cancelled, it kills the command first.
        """
        id = secrets.token_hex(32)
        tell("container", id)
        place = self._folders.runs / id
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(to_end, _clear, place)
            await to_end(_make_place, place)
            opening = asyncio.get_running_loop().create_task(self._open_network(id, step))
            stack.push_async_callback(finished, self._close_network, id, opening)
            mounted = await stack.enter_async_context(
                self._mounting.prepared(place, step.op.mounts, step.files)
            )
            await to_end(self._fill_volumes, place, step, mounted)
            wanted = [*_FIXED, *(mounted.points)]
            root = await stack.enter_async_context(self._root(step, place, folder, wanted))
            user = await to_end(_look_inside, root, step.op, mounted.points)
            sandbox = await opening
            bundle = self._bundle(id, place, step, sandbox, user, mounted.mounts)
            code = await self._execute(bundle, tell)
        if code != 0:
            raise RunFailed(step.op.argv, code)

    async def _execute(self, bundle: Bundle, tell: Tell) -> int:
        try:
            running = await self._runtime.create(bundle)
            streams = await running.attach()
            try:
                await self._runtime.start(bundle.id)
                told = 0
                async for stream, content in streams:
                    told += len(content)
                    if told <= _MOST_OUTPUT:
                        tell("output", (stream, content))
                    elif told - len(content) <= _MOST_OUTPUT:
                        tell("output", (stream, _CLIPPED))
            finally:
                streams.close()
            return (await running.wait()).code
        except RuntimeFailure as error:
            raise EngineError(error.message.removesuffix(": unknown")) from error
        finally:
            await finished(self._runtime.delete, bundle.id)

    @contextlib.asynccontextmanager
    async def _root(
        self, step: RunStep, place: Path, folder: Path, wanted: Sequence[Point]
    ) -> AsyncIterator[Path]:
        """The root file system, mounted for the length of the block."""
        root = place / "rootfs"

        def enter() -> list[str]:
            view = Tree(self._folders.open_view(self._snapshots.view_of(step.chain, place)))
            try:
                stubs = _make_stubs(view, place / "below", wanted)
            finally:
                view.close()
            (folder / "work").mkdir(mode=0o700)
            overlay = self._snapshots.overlay_of(
                step.chain, folder / "diff", folder / "work", root, below=place / "below"
            )
            mounts.mount(overlay)
            return stubs

        def leave(stubs: list[str]) -> None:
            mounts.unmount(root)
            remove_tree(folder / "work")
            _drop_stubs(folder / "diff", stubs)

        async with contextlib.AsyncExitStack() as stack:
            entering = asyncio.get_running_loop().create_task(in_thread(enter))
            stack.push_async_callback(finished, self._leave, entering, leave)
            await asyncio.shield(entering)
            yield root

    @staticmethod
    async def _leave(
        entering: "asyncio.Task[list[str]]", leave: Callable[[list[str]], None]
    ) -> None:
        """Undo what was entered, once that is over; what failed has undone itself."""
        await asyncio.gather(entering, return_exceptions=True)
        if entering.exception() is None:
            await in_thread(leave, entering.result())

    def _fill_volumes(self, place: Path, step: RunStep, mounted: Mounted) -> None:
        """Folders for the volumes, with what the image has there."""
        if not step.volumes:
            return
        view = Tree(self._folders.open_view(self._snapshots.view_of(step.chain, place)))
        try:
            for number, target in enumerate(step.volumes):
                folder = place / f"v{number}"
                folder.mkdir(mode=0o755)
                found = view.status(view.resolve(target))
                if found is not None and stat.S_ISDIR(found.st_mode):
                    copy_tree(view, target, folder)
                    os.chown(folder, found.st_uid, found.st_gid)
                    folder.chmod(stat.S_IMODE(found.st_mode))
                mounted.add(Mount("bind", str(folder), target, ("rbind", "rprivate")))
        finally:
            view.close()

    async def _open_network(self, id: str, step: RunStep) -> Sandbox:
        mode = step.op.network or step.settings.network
        if mode in ("", "default"):
            mode = step.settings.network
        if mode in ("", "default"):
            mode = "bridge"
        if mode.startswith("container:") and self.namespace_of is not None:
            return Sandbox(self.namespace_of(mode.partition(":")[2]))
        request = SandboxRequest(
            container_id=id,
            name=f"build-{id[:12]}",
            hostname=id[:12],
            endpoints={mode: EndpointConfig()},
        )
        try:
            return await self._networks.open(request)
        except EngineError as error:
            raise EngineError(f"failed to set up container networking: {error.message}") from error

    async def _close_network(self, id: str, opening: "asyncio.Task[Sandbox]") -> None:
        await asyncio.gather(opening, return_exceptions=True)
        await self._networks.close(id)

    def _bundle(
        self,
        id: str,
        place: Path,
        step: RunStep,
        sandbox: Sandbox,
        user: User,
        mounted: Sequence[Mount],
    ) -> Bundle:
        op, settings = step.op, step.settings
        self._write_files(place, id[:12], sandbox, settings)
        files = [
            Mount("bind", str(place / name), f"/etc/{name}", ("rbind", "rprivate"))
            for name in _FILES
        ]
        if op.script is not None:
            script = place / "script"
            script.write_text(op.script.content, encoding="utf-8", errors="surrogateescape")
            script.chmod(0o755)
            target = f"/dev/pipes/{op.script.name}"
            files.append(Mount("bind", str(script), target, ("rbind", "rprivate", "ro")))
        environment = merge_environment([_PATH, f"HOSTNAME={id[:12]}"], op.env)
        if not any(entry.startswith("HOME=") for entry in environment):
            environment.append(f"HOME={user.home}")
        document = spec.build(
            spec.SpecInputs(
                id=id,
                rootfs=str(place / "rootfs"),
                args=op.argv,
                env=tuple(environment),
                cwd=op.workdir or "/",
                user=user,
                hostname=id[:12],
                mounts=(*files, *mounted),
                shm_size=settings.shm_size or 64 << 20,
                network=str(sandbox.netns) if sandbox.netns else spec.HOST,
                rlimits=settings.rlimits,
                resources=settings.resources,
                cgroup_parent=settings.cgroup_parent,
                cgroup_v2=cgroups.is_v2(),
            )
        )
        return Bundle(id, place, document, False, False, None, None, place / "rootfs")

    def _write_files(
        self, place: Path, hostname: str, sandbox: Sandbox, settings: RunSettings
    ) -> None:
        first = next(iter(sandbox.endpoints.values()), None)
        gateway = self._networks.host_address or (first.gateway4 if first else "") or "127.0.0.1"
        extra = host_entries(settings.extra_hosts, gateway)
        addresses = [one.ipv4 for one in sandbox.endpoints.values() if one.ipv4]
        (place / "hostname").write_text(f"{hostname}\n")
        (place / "hosts").write_text(hosts_text(addresses, hostname, "", extra))
        (place / "resolv.conf").write_text(resolv_text(sandbox.resolv_conf, {}))


def _make_place(place: Path) -> None:
    place.mkdir(mode=0o700)
    for name in ("rootfs", "below"):
        (place / name).mkdir(mode=0o755)


def _clear(place: Path) -> None:
    """Remove a step's folder; nothing may be mounted there any more."""
    with contextlib.suppress(OSError):
        (place / "rootfs").rmdir()
    if not (place / "rootfs").exists():
        remove_tree(place)


def _make_stubs(view: Tree, below: Path, wanted: Sequence[Point]) -> list[str]:
    """Mount points that the image lacks, made in the folder `below`; their resolved paths."""
    made = []
    for point in wanted:
        path = view.resolve(point.target)
        if not path or view.status(path) is not None:
            continue
        made.append(path)
        stub = below / path
        if point.is_file:
            stub.parent.mkdir(parents=True, exist_ok=True)
            stub.touch()
        else:
            stub.mkdir(parents=True, exist_ok=True)
    return made


def _drop_stubs(diff: Path, stubs: Sequence[str]) -> None:
    """Take away what the runtime made after all: a deletion in the image hid the stub below."""
    for path in reversed(stubs):
        if resolve(str(diff), path, follow_last=False) != path:
            continue  # the command has put a link in the way: it leads where we have no business
        place = diff / path
        with contextlib.suppress(OSError):
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
            elif place.is_file() and place.stat().st_size == 0:
                place.unlink()


def _refuse_mounts(view: Tree, points: Sequence[Point]) -> None:
    """The OCI runtime believes what stands in /proc; runc refuses mounts there, too."""
    for name in ("proc", "sys"):
        status = view.status(name)
        if status is not None and stat.S_ISLNK(status.st_mode):
            raise EngineError(f'error mounting "{name}" to rootfs at "/{name}": it is a link')
    for point in points:
        place = view.resolve(point.target)
        if place == "proc" or place.startswith("proc/"):
            raise EngineError(
                f'error mounting to rootfs at "{point.target}": "/{place}" cannot be mounted '
                "because it is inside /proc"
            )


def _look_inside(root: Path, op: RunOp, points: Sequence[Point]) -> User:
    """The command's user; the working directory is made where it isn't there.

    Raises EngineError where something would be mounted over /proc.
    """
    view = Tree(os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        _refuse_mounts(view, points)
        folder = view.resolve(op.workdir or "/")
        os.makedirs(view.place(folder), exist_ok=True)
    finally:
        view.close()
    return users.resolve(root, op.user)
