"""User namespaces: ranges of ids as maps, and namespaces made with them.

A process with several threads can't enter a user namespace (setns(2)), so a small program is
started in new ones and held there until they have been opened.
"""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.linux import spawn
from engine.values import dataclass

SIZE = 1 << 16
NOBODY = 65534  # what the kernel shows for an id that has no name in a namespace
_SECONDS = 30.0


@dataclass(frozen=True)
class IdMap:
    """Ids 0 to 65535 inside are `base` and on outside, but for the `kept`: the same on both sides.

    Kept ids make a user namespace mean the owners of files that no mount can translate.
    """

    base: int
    kept_uids: tuple[int, ...] = ()
    kept_gids: tuple[int, ...] = ()

    def text(self, kept: Sequence[int]) -> str:
        """The content of /proc/PID/uid_map with `kept` left alone (user_namespaces(7))."""
        lines, start = [], 0
        for id in sorted(set(kept)):
            if id > start:
                lines.append(f"{start} {self.base + start} {id - start}\n")
            lines.append(f"{id} {id} 1\n")
            start = id + 1
        if start < SIZE:
            lines.append(f"{start} {self.base + start} {SIZE - start}\n")
        return "".join(lines)

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """The owner as the machine knows it; ids beyond the range are nobody's."""
        return self._outside(uid, self.kept_uids), self._outside(gid, self.kept_gids)

    def inside(self, uid: int, gid: int) -> tuple[int, int]:
        """The owner as a process inside knows it."""
        return self._inside(uid, self.kept_uids), self._inside(gid, self.kept_gids)

    def _outside(self, id: int, kept: Sequence[int]) -> int:
        if id in kept:
            return id
        return self.base + (id if 0 <= id < SIZE else NOBODY)

    def _inside(self, id: int, kept: Sequence[int]) -> int:
        if id in kept:
            return id
        return id - self.base if self.base <= id < self.base + SIZE else NOBODY


class Namespaces:
    """A user namespace and a network namespace that belongs to it, held open by descriptors."""

    def __init__(self, user: int, network: int) -> None:
        self.user = user
        self.network = network

    @property
    def user_path(self) -> str:
        """A path to the user namespace that other processes can open while this one is open."""
        return f"/proc/{os.getpid()}/fd/{self.user}"

    def close(self) -> None:
        """Let go; what uses the namespaces keeps them. Twice is safe."""
        for fd in (self.user, self.network):
            if fd >= 0:
                os.close(fd)
        self.user = self.network = -1


def _program() -> list[str]:
    """A command line that answers what it reads from within new namespaces."""
    if unshare := shutil.which("unshare"):
        return [unshare, "--user", "--net", shutil.which("cat") or "cat"]
    busybox = shutil.which("busybox") or "busybox"
    return [busybox, "unshare", "--user", "--net", busybox, "cat"]


async def make(ids: IdMap) -> Namespaces:
    """New namespaces with these ids. Raises OSError when the machine allows none."""
    ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        # the program reads `reading` and writes `theirs`
        os.set_blocking(theirs, True)
        child = spawn.start(_program(), stdin=reading, stdout=theirs, stderr=theirs)
    except OSError:
        for fd in (ours, writing):
            os.close(fd)
        raise
    finally:
        os.close(theirs)
        os.close(reading)
    try:
        os.write(writing, b"\n")
        said = await _said(ours)
        if said != b"\n":
            why = said.decode(errors="replace").strip() or "unshare failed"
            raise OSError(0, f"the machine allows no user namespace: {why}")
        folder = Path(f"/proc/{child.pid}")
        (folder / "uid_map").write_text(ids.text(ids.kept_uids))
        (folder / "gid_map").write_text(ids.text(ids.kept_gids))
        return _open(folder)
    finally:
        os.close(writing)  # which ends the program
        os.close(ours)
        await _end(child)


async def _end(child: spawn.Child) -> None:
    try:
        async with asyncio.timeout(_SECONDS):
            await child.wait()
    except TimeoutError:
        os.kill(child.pid, 9)


def _open(process: Path) -> Namespaces:
    user = os.open(process / "ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        network = os.open(process / "ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(user)
        raise
    return Namespaces(user, network)


async def _said(fd: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        if not ready.done():
            ready.set_result(os.read(fd, 1 << 12))

    loop.add_reader(fd, read)
    try:
        async with asyncio.timeout(_SECONDS):
            return await ready
    finally:
        loop.remove_reader(fd)


def ids_of(process: int) -> IdMap | None:
    """The ids that a process was given by `make`; None for the machine's own. Raises OSError."""
    maps = [Path(f"/proc/{process}/{kind}_map").read_text() for kind in ("uid", "gid")]
    uids, gids = ([tuple(map(int, line.split())) for line in text.splitlines()] for text in maps)
    based = [outside - inside for inside, outside, _ in (*uids, *gids) if outside != inside]
    if not based:
        return None
    kept_uids, kept_gids = (
        tuple(inside for inside, outside, _ in lines if inside == outside) for lines in (uids, gids)
    )
    return IdMap(based[0], kept_uids, kept_gids)


def join(process: int) -> Namespaces:
    """The user namespace of a process, to be entered by another container. Raises OSError."""
    return Namespaces(os.open(f"/proc/{process}/ns/user", os.O_RDONLY | os.O_CLOEXEC), -1)
