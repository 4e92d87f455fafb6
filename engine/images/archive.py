"""Reading an image archive: members go straight to the blob store, small ones stay in memory."""

import json
import posixpath
from typing import Any

from engine.content import compression
from engine.content.store import Store as Content
from engine.errors import BadRequest
from engine.snapshots.tar import Reader, Source, TarError
from engine.values import dataclass, field

_SMALL = 1 << 18
_SMALL_TOTAL = 64 << 20
_LINKS = 8


class ArchiveInvalid(BadRequest):
    """The stream is no image archive; says what is missing or damaged."""


@dataclass
class Archive:
    """The members of an archive: bytes of the small ones, digests of those in the blob store."""

    small: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def resolve(self, name: str) -> str:
        """A member's name with links followed (docker-archives link equal layers)."""
        name = posixpath.normpath(name).lstrip("/")
        for _ in range(_LINKS):
            target = self.links.get(name)
            if target is None:
                return name
            name = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).lstrip("/")
        raise ArchiveInvalid(f"invalid archive: {name} is a loop of links")

    def __contains__(self, name: str) -> bool:
        name = self.resolve(name)
        return name in self.small or name in self.blobs

    def content(self, store: Content, name: str) -> bytes:
        """A member as bytes. Raises ArchiveInvalid when it's missing or no document by its size."""
        name = self.resolve(name)
        if name in self.small:
            return self.small[name]
        digest = self.blobs.get(name)
        if digest is None or store.size(digest) > 16 << 20:
            raise ArchiveInvalid(f"invalid archive: no {name} in it")
        return store.read(digest)

    def document(self, store: Content, name: str) -> Any:
        """A member as JSON. Raises ArchiveInvalid."""
        try:
            return json.loads(self.content(store, name))
        except (ValueError, RecursionError) as error:
            raise ArchiveInvalid(f"invalid archive: {name} is no JSON: {error}") from error

    def blob(self, store: Content, name: str) -> str:
        """The digest of a member in the blob store (moved there when it was small)."""
        name = self.resolve(name)
        if name not in self.blobs:
            content = self.small.get(name)
            if content is None:
                raise ArchiveInvalid(f"invalid archive: no {name} in it")
            self.blobs[name] = store.put(content).digest
        return self.blobs[name]


def read_archive(store: Content, read: compression.Read) -> Archive:
    """Take the whole (compressed) tar in; blocks. Raises ArchiveInvalid, OSError."""
    archive = Archive()
    try:
        reader = Reader(Source(compression.chunks(read)))
        kept = 0
        for entry in reader:
            name = posixpath.normpath(entry.name.decode("utf-8", "replace")).lstrip("/")
            if entry.type == b"0":
                if entry.size <= _SMALL and kept + entry.size <= _SMALL_TOTAL:
                    archive.small[name] = b"".join(reader.body())
                    kept += entry.size
                else:
                    archive.blobs[name] = _ingest(store, reader)
            elif entry.type == b"2":
                archive.links[name] = entry.link.decode("utf-8", "replace")
            elif entry.type == b"1":
                target = "/" + entry.link.decode("utf-8", "replace").lstrip("/")
                archive.links[name] = target
    except (TarError, compression.CompressionError) as error:
        discard(store, archive)
        raise ArchiveInvalid(f"invalid archive: {error}") from error
    except BaseException:
        discard(store, archive)
        raise
    return archive


def _ingest(store: Content, reader: Reader) -> str:
    ingest = store.ingest()
    try:
        for piece in reader.body():
            ingest.write(piece)
        return ingest.commit().digest
    finally:
        ingest.abort()
        ingest.close()


def discard(store: Content, archive: Archive, keep: frozenset[str] = frozenset()) -> None:
    """Delete the archive's blobs that nobody keeps."""
    for digest in set(archive.blobs.values()) - keep:
        store.remove(digest)
