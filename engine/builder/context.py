"""The build context: what the client sent, unpacked on its way in and known by digest.

Owners don't count (everything is root's until a COPY says otherwise). Left out are device nodes,
and names that a layer would take for deletions (`.wh.`).
"""

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from engine.builder.ownership import Owner
from engine.content import compression
from engine.errors import BadRequest
from engine.images.streams import Feed
from engine.linux.libc import open_in_root
from engine.linux.threads import apart
from engine.snapshots.tar import Entry, Reader, Source
from engine.snapshots.unpack import UnpackError, fill, parts_of
from engine.values import dataclass, field

DOCKERFILE = "Dockerfile"
_MOST_DOCKERFILE = 8 << 20
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass
class Context:
    """Files for COPY and ADD. digests: sha256 (hex) of the plain files whose content is known."""

    root: Path
    digests: dict[str, str] = field(default_factory=dict)
    size: int = 0

    def read(self, name: str) -> bytes | None:
        """A small file of the context; links lead nowhere outside. None when there is none."""
        folder = os.open(self.root, _FOLDER)
        try:
            # looked at before it's opened: a fifo would block, a device do who knows what
            found = open_in_root(folder, name, os.O_PATH)
            try:
                if not stat.S_ISREG(os.fstat(found).st_mode):
                    return None
                with open(f"/proc/self/fd/{found}", "rb") as file:
                    content = file.read(_MOST_DOCKERFILE + 1)
            finally:
                os.close(found)
        except OSError:
            return None
        finally:
            os.close(folder)
        if len(content) > _MOST_DOCKERFILE:
            raise BadRequest(f"{name} is larger than {_MOST_DOCKERFILE >> 20} MiB")
        return content


async def receive(pieces: AsyncIterator[bytes], root: Path) -> Context:
    """Unpack a tar in any compression into the empty folder `root` while it arrives.

    Raises BadRequest for a damaged tar, streams.Cancelled when the client went away.
    """
    feed, loop = Feed(), asyncio.get_running_loop()
    filling = loop.create_task(feed.fill(pieces))
    unpacking = loop.create_task(apart(lambda: unpack(feed.read, root), "context"))
    try:
        return await asyncio.shield(unpacking)
    finally:
        # the folder is the caller's to remove: nobody may write to it any more
        feed.close()
        filling.cancel()
        await asyncio.gather(filling, unpacking, return_exceptions=True)


def unpack(read: compression.Read, root: Path) -> Context:
    """As `receive`, from a function that reads; blocks."""
    reader = Members(Reader(Source(compression.chunks(read))), Owner(0, 0))
    try:
        size, _ = fill(root, reader)
    except UnpackError as error:
        raise BadRequest(f"Error processing tar file: {error}") from error
    if not reader.rooted:
        # the folder itself is as old as what it holds: equal contexts stay equal
        os.utime(root, ns=(reader.newest, reader.newest))
    return Context(root, reader.digests, size)


class Members:
    """A tar reader that changes owners and takes the digest of each file as it passes.

    prefix: where the members are to lie, without a slash at either end.
    """

    def __init__(
        self, reader: Reader, owner: Owner | None, prefix: str = "", *, devices: bool = False
    ) -> None:
        self._devices = devices
        self._reader = reader
        self._owner = owner
        self._prefix = os.fsencode(prefix)
        self._name = ""
        self._links: set[str] = set()
        self._plain = True
        self._unsure = False
        self.digests: dict[str, str] = {}
        self.rooted = False
        self.newest = 0

    def __iter__(self) -> Iterator[Entry]:
        for entry in self._reader:
            parts = [part for part in entry.name.split(b"/") if part not in (b"", b".")]
            if any(part.startswith(b".wh.") for part in parts):
                continue
            if not self._devices and entry.type in (b"3", b"4"):
                continue
            if self._owner is not None:
                entry.uid, entry.gid = self._owner.uid, self._owner.gid
            if self._prefix:
                self._move(entry)
            self._name = os.fsdecode(b"/".join(parts))
            self.digests.pop(self._name, None)
            self.rooted = self.rooted or not self._name
            self.newest = max(self.newest, entry.mtime)
            if entry.type in (b"1", b"2"):  # a hard link may be one more name of a symbolic one
                self._links.add(self._name)
            self._plain = entry.holes is None
            if b".." in parts or self._links and self._through_link():
                self._unsure = True
            yield entry
        if self._unsure:
            self.digests.clear()

    def _move(self, entry: Entry) -> None:
        """Put a member below the prefix; one that climbs out of it is refused (UnpackError)."""
        entry.name = b"/".join((self._prefix, *parts_of(entry.name)))
        if entry.type == b"1":
            entry.link = b"/".join((self._prefix, *parts_of(entry.link)))

    def _through_link(self) -> bool:
        """Whether the member may lie elsewhere than its name says."""
        folder = self._name.rpartition("/")[0]
        while folder:
            if folder in self._links:
                return True
            folder = folder.rpartition("/")[0]
        return False

    def body(self) -> Iterator[memoryview]:
        """The bytes of the member, which its digest hears."""
        digest = hashlib.sha256()
        for piece in self._reader.body():
            digest.update(piece)
            yield piece
        if self._plain:
            self.digests[self._name] = digest.hexdigest()
