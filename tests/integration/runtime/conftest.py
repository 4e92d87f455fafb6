"""A runtime on real conmon and crun, with a root file system of busybox."""

import asyncio
import os
import shutil
import uuid
from pathlib import Path

import pytest

from engine.linux import cgroups, libc, mounts
from engine.runtime.bundle import Bundle
from engine.runtime.runtime import Runtime
from engine.runtime.spec import SpecInputs, build

CLONE_NEWNS = 0x20000
APPLETS = (
    "sh cat echo sleep dd id ls head true false stty seq env wc mount unshare hostname grep kill"
    " touch test stat mkdir ping"
).split()


@pytest.fixture(scope="session", autouse=True)
def private_mounts():
    """crun refuses the hybrid layout: hide the v2 tree from this process, as the engine does."""
    if os.geteuid() != 0:
        pytest.fail("these tests need root; leave them out with -m 'not root'")
    libc.unshare(CLONE_NEWNS)
    mounts.propagate("/", "rprivate")
    if not cgroups.is_v2():
        mounts.unmount("/sys/fs/cgroup/unified", lazy=True)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory):
    """busybox with links for its applets, and two users."""
    root = tmp_path_factory.mktemp("rootfs")
    root.chmod(0o755)
    for name in ("bin", "etc", "proc", "dev", "sys", "tmp", "root"):
        (root / name).mkdir()
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in APPLETS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nbob:x:1000:\n")
    return root


class Bench:
    """Makes bundles with fresh ids and cleans all of them up."""

    def __init__(self, folder: Path, rootfs: Path) -> None:
        self.folder = folder
        self.rootfs = rootfs
        self.runtime = Runtime(folder / "run")
        self._ids: list[str] = []

    def bundle(self, *args, stdin=False, stdin_once=False, log=True, size=None, files=1, **wishes):
        id = uuid.uuid4().hex * 2
        self._ids.append(id)
        path = self.folder / id
        path.mkdir()
        wishes.setdefault("env", ("PATH=/bin",))
        inputs = SpecInputs(
            id=id,
            rootfs=str(self.rootfs),
            args=args,
            cgroup_v2=cgroups.is_v2(),
            cgroup_parent="/cove-tests",
            **wishes,
        )
        return Bundle(
            id=id,
            path=path,
            spec=build(inputs),
            terminal=inputs.terminal,
            stdin=stdin,
            log_path=path / "log" if log else None,
            log_max_size=size,
            rootfs=self.rootfs,
            stdin_once=stdin_once,
            log_max_files=files,
        )

    async def run(self, *args, **wishes):
        """Run to the end: (code, stdout, stderr)."""
        bundle = self.bundle(*args, **wishes)
        running = await self.runtime.create(bundle)
        streams = await running.attach()
        await self.runtime.start(bundle.id)
        async with asyncio.timeout(20):
            output = [item async for item in streams]
            ended = await running.wait()
        streams.close()
        await self.runtime.delete(bundle.id)
        return (
            ended.code,
            b"".join(data for stream, data in output if stream == 1).decode(),
            b"".join(data for stream, data in output if stream == 2).decode(),
        )

    async def start(self, *args, **wishes):
        """A started container: (bundle, running)."""
        bundle = self.bundle(*args, **wishes)
        running = await self.runtime.create(bundle)
        await self.runtime.start(bundle.id)
        return bundle, running

    async def close(self):
        for id in self._ids:
            await self.runtime.delete(id)
        await self.runtime.close()


@pytest.fixture
async def bench(tmp_path, rootfs):
    bench = Bench(tmp_path, rootfs)
    yield bench
    await bench.close()


@pytest.fixture(scope="session", autouse=True)
def no_leftovers(private_mounts):
    """The parent cgroup of these tests goes with them, also one that a killed run left."""
    yield
    cgroups.remove("/cove-tests")
