"""The life of containers: conmon and an OCI runtime, one conmon a container."""

import asyncio
import base64
import contextlib
import functools
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from engine.errors import NotFound
from engine.linux import cgroups, process, spawn
from engine.linux.sealed import sealed_copy
from engine.runtime import conmon, failures, leftovers
from engine.runtime.bundle import Bundle
from engine.runtime.conmon import Folder
from engine.runtime.execs import ExecRunning
from engine.runtime.resources import Resources
from engine.runtime.resources import to_oci as oci_resources
from engine.runtime.rlimits import fit
from engine.runtime.running import Running

_BPF = "run.oci.seccomp_bpf_data"


class Runtime:
    """Creates, starts, signals and deletes containers; every method names its container by id.

    Life: create -> (attach) -> start -> wait -> delete. Containers outlive the engine; after a
    restart `adopt` finds them again.
    """

    def __init__(self, run: Path, *, program: str = "crun") -> None:
        """`run` is a volatile folder of the engine; `program` the OCI runtime's name or path."""
        self._found = shutil.which(program) or program
        self._crun = Path(program).name == "crun"
        self._bundles = run / "bundles"
        self._state = run / "state"
        self._filters = run / "seccomp"
        for folder in (self._bundles, self._state, self._filters):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._running: dict[str, Running] = {}
        self._known_filters: dict[str, str] = {}

    @functools.cached_property
    def _program(self) -> str:
        return sealed_copy(self._found) if self._crun else self._found

    @property
    def _arguments(self) -> list[str]:
        found = ["--root", str(self._state)]
        return [*found, "--cgroup-manager", "cgroupfs"] if self._crun else found

    def _folder(self, id: str) -> Folder:
        return Folder(self._bundles / id, id)

    def _get(self, id: str) -> Running:
        try:
            return self._running[id]
        except KeyError:
            raise NotFound(f"container {id} is not running") from None

    async def create(self, bundle: Bundle) -> Running:
        """Write config.json, start conmon and create the container, ready to start.

        Raises RuntimeFailure worded like dockerd ("failed to create task for container: ...").
        """
        folder = self._folder(bundle.id)
        if folder.path.exists():
            await self.delete(bundle.id)
        folder.path.mkdir(mode=0o700)
        spec = {**bundle.spec, "process": fit(bundle.spec["process"])}
        filter_key = self._use_filter(spec)
        folder.config.write_text(json.dumps(spec), encoding="utf-8")
        cgroup = spec["linux"]["cgroupsPath"]
        try:
            created = await conmon.create(bundle, folder, self._program, self._arguments)
        except conmon.CreateFailed as error:
            await asyncio.to_thread(self._clean, bundle.id, cgroup)
            raise failures.create_failure(str(error), spec["process"]["args"][0]) from error
        running = Running(bundle, folder, created.pid, cgroup)
        self._running[bundle.id] = running
        _watch_child(running, created.conmon)
        self._write_record(running, created.conmon.pid)
        if filter_key:
            self._keep_filter(filter_key, bundle.id)
        return running

    def _use_filter(self, spec: dict[str, Any]) -> str:
        """Give crun the compiled seccomp filter, or "" and the key to keep it under later.

        Compiling the default profile takes as long as all the rest of a create.
        """
        profile = spec["linux"].get("seccomp")
        if not self._crun or not profile or profile.get("listenerPath") or profile.get("flags"):
            return ""
        text = json.dumps(profile, sort_keys=True) + os.uname().release
        key = hashlib.sha256(text.encode()).hexdigest()
        known = self._known_filters.get(key)
        if known is None:
            try:
                known = base64.b64encode((self._filters / key).read_bytes()).decode()
                self._known_filters[key] = known
            except OSError:
                return key
        spec["linux"] = {name: value for name, value in spec["linux"].items() if name != "seccomp"}
        spec["annotations"] = {**spec.get("annotations", {}), _BPF: known}
        return ""

    def _keep_filter(self, key: str, id: str) -> None:
        """Keep the filter that crun has just compiled for `id`."""
        try:
            content = (self._state / id / "seccomp.bpf").read_bytes()
        except OSError:
            return
        if content and len(content) % 8 == 0:
            partial = self._filters / f"{key}.{id[:12]}"
            partial.write_bytes(content)
            partial.rename(self._filters / key)

    def _write_record(self, running: Running, conmon_pid: int) -> None:
        record = {
            "pid": running.pid,
            "pid_started": process.start_time(running.pid),
            "conmon": conmon_pid,
            "conmon_started": process.start_time(conmon_pid),
            "boot": _boot_id(),
            "cgroup": running.cgroup,
        }
        running.folder.record.write_text(json.dumps(record), encoding="utf-8")

    async def start(self, id: str) -> None:
        """Run the container's process. Raises RuntimeFailure."""
        running = self._get(id)
        if self._crun and _open_gate(self._state / id / "exec.fifo"):
            return
        code, output = await spawn.run([self._program, *self._arguments, "start", id])
        if code != 0:
            program = running.bundle.spec["process"]["args"][0]
            raise failures.create_failure(output, program)

    async def kill(self, id: str, signal: int) -> None:
        """Signal the container's first process. NotFound when it's gone."""
        running = self._get(id)
        if running.ended or not running.signal(signal):
            raise NotFound(f"container {id} is not running")

    async def pause(self, id: str) -> None:
        """Freeze every process of the container."""
        await asyncio.to_thread(cgroups.freeze, self._get(id).cgroup)

    async def resume(self, id: str) -> None:
        """Thaw what `pause` froze."""
        await asyncio.to_thread(cgroups.thaw, self._get(id).cgroup)

    async def update(self, id: str, resources: Resources) -> None:
        """Change the limits of a running container; zero fields stay as they are."""
        running = self._get(id)
        file = running.folder.path / "resources.json"
        file.write_text(json.dumps(oci_resources(resources)), encoding="utf-8")
        argv = [self._program, *self._arguments, "update", "--resources", str(file), id]
        code, output = await spawn.run(argv)
        if code != 0:
            raise failures.update_failure(output, id)
        if resources.pids_limit < 0:  # crun would write the number as it is
            await asyncio.to_thread(cgroups.lift_pids_limit, running.cgroup)

    async def delete(self, id: str) -> None:
        """Remove the container's cgroup, state and sockets, killing what is left. Idempotent."""
        running = self._running.pop(id, None)
        folder = self._folder(id)
        if running is None and not folder.path.exists():
            return
        cgroup = running.cgroup if running else _read_record(folder).get("cgroup", "")
        if running is None:
            # what an earlier engine had started may still write to the folders
            await asyncio.to_thread(leftovers.end, id, self._state)
            cgroup = cgroup or _planned_cgroup(folder)
        if running and not running.ended:
            running.signal(9)
            with contextlib.suppress(OSError, TimeoutError):
                # a frozen process dies only once it's thawed
                await asyncio.to_thread(cgroups.thaw, cgroup)
            await running.wait()
        await asyncio.to_thread(self._clean, id, cgroup)

    def _clean(self, id: str, cgroup: str) -> None:
        if cgroup:
            cgroups.remove(cgroup)
        for folder in (self._state / id, self._bundles / id):
            shutil.rmtree(folder, ignore_errors=True)

    def known(self) -> set[str]:
        """The ids of all containers that left something in the volatile folder."""
        return {entry.name for entry in self._bundles.iterdir()}

    async def adopt(self, bundle: Bundle) -> Running | None:
        """Take a container of an earlier engine back; None if it's gone and left no exit file.

        A container that ended meanwhile is returned too: its `wait` answers at once.
        """
        folder = self._folder(bundle.id)
        record = _read_record(folder)
        if not record or record["boot"] != _boot_id():
            return None
        alive = process.alive(record["pid"], record["pid_started"])
        running = Running(bundle, folder, record["pid"] if alive else 0, record["cgroup"])
        pidfd = None
        if process.alive(record["conmon"], record["conmon_started"]):
            pidfd = process.open_pidfd(record["conmon"])
        if pidfd is None and not alive and not folder.exit_file.exists():
            return None
        self._running[bundle.id] = running
        if pidfd is None:
            running.finish()
        else:
            running.watch(pidfd)
        return running

    async def exec(
        self,
        id: str,
        process: dict[str, Any],
        terminal: bool,
        stdin: bool,
        owner: tuple[int, int] | None = None,
    ) -> ExecRunning:
        """Run `process` (from `process.exec_process`) inside; output flows once it's iterated.

        `owner` is its user outside, in a user namespace.

        Raises RuntimeFailure "OCI runtime exec failed: ..." with exit_code 126 or 127.
        """
        running = self._get(id)
        return await ExecRunning.start(
            [self._program, *self._arguments],
            running.folder.path,
            id,
            fit(process),
            terminal=terminal,
            stdin=stdin,
            owner=owner,
        )

    async def close(self) -> None:
        """Let go of every file descriptor; containers go on."""
        for running in self._running.values():
            running.release()
        self._running.clear()


def _watch_child(running: Running, child: spawn.Child) -> None:
    """conmon is our own child: its end must be collected as well."""

    async def follow() -> None:
        try:
            await child.wait()
        except asyncio.CancelledError:
            child.forget()
            raise
        running.finish()

    running.follower = asyncio.get_running_loop().create_task(follow())


def _open_gate(fifo: Path) -> bool:
    """Let a created container go on, as `crun start` does; False when it can't be done so."""
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, b"\0")
    finally:
        os.close(fd)
    with contextlib.suppress(OSError):
        fifo.unlink()
    return True


def _read_record(folder: Folder) -> dict[str, Any]:
    try:
        record = json.loads(folder.record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _planned_cgroup(folder: Folder) -> str:
    """The cgroup that the OCI config names; "" without one."""
    try:
        return str(json.loads(folder.config.read_text(encoding="utf-8"))["linux"]["cgroupsPath"])
    except (OSError, ValueError, KeyError):
        return ""


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
