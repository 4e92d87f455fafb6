"""The blob store: `blobs/sha256/<hex>`, filled by ingests that end in a rename.

Life cycle of a blob: `ingest()` -> `write()`... -> `commit()` (digest checked, data synced,
renamed) -> `path()`/`open()` -> `remove()`. What a killed engine left in `ingest/` is swept
at start.
"""

import hashlib
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from engine.content import digest as digests
from engine.values import dataclass


class DigestMismatch(Exception):
    """The bytes that came are not those that the digest promised."""


@dataclass(frozen=True)
class Blob:
    """A committed blob: its digest and its size in bytes."""

    digest: str
    size: int


class Ingest:
    """One blob on its way in. Thread-safe for one writer and many readers of `path`.

    Readers follow the growing file: `wait(offset)` blocks until bytes after `offset` are there.
    """

    def __init__(self, store: "Store", path: Path) -> None:
        self._store = store
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._hash = hashlib.sha256()
        self._grown = threading.Condition()
        self._synced = -1
        self.size = 0
        self._complete = False
        self._committed = False
        self._failure: BaseException | None = None

    def write(self, content: bytes | memoryview) -> None:
        """Append and hash. Raises OSError (disk full)."""
        view = memoryview(content)
        self._hash.update(view)
        while view:
            view = view[os.write(self._fd, view) :]
        with self._grown:
            self.size += len(content)
            self._grown.notify_all()

    @property
    def digest(self) -> str:
        """The digest of what has been written so far."""
        return "sha256:" + self._hash.hexdigest()

    def finish(self) -> None:
        """Tell readers that nothing more comes."""
        with self._grown:
            self._complete = True
            self._grown.notify_all()

    def fail(self, failure: BaseException) -> None:
        """Tell readers that the rest never comes, and why."""
        with self._grown:
            self._failure = failure
            self._grown.notify_all()

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes from `offset`, waiting for them; b"" at the end; raises the writer's failure."""
        with self._grown:
            while self.size <= offset and not self._complete and self._failure is None:
                self._grown.wait()
            if self._failure is not None:
                raise self._failure
            available = self.size - offset
        return os.pread(self._fd, min(size, available), offset) if available > 0 else b""

    def sync(self) -> None:
        """Bring what was written to the disk; a commit after that needn't wait for it."""
        size = self.size
        if self._synced < size:
            os.fdatasync(self._fd)
            self._synced = size

    def commit(self, expected: str | None = None, *, sync: bool = True) -> Blob:
        """Sync, name by digest, hand out the blob. Raises DigestMismatch, having aborted.

        Without `sync` the caller sees to it (`Store.sync`) before the blob is promised to anyone.
        """
        found = self.digest
        if expected is not None and found != expected:
            failure = DigestMismatch(
                f"digest mismatch: expected {expected}, the content has {found}"
            )
            self.fail(failure)
            self.abort()
            raise failure
        if sync:
            self.sync()
        target = self._store.path(found)
        os.rename(self.path, target)
        self._committed = True
        self.finish()
        self._store.forget(self)
        return Blob(found, self.size)

    def abort(self) -> None:
        """Throw it away; nothing to do after a commit. Safe to call twice."""
        if not self._committed:
            self.path.unlink(missing_ok=True)
            self._store.forget(self)

    def close(self) -> None:
        """Release the file; readers must be done."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Store:
    """Blobs by digest below one folder. Its methods block: call them in threads."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._ingests = root / "ingest"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._ingests.mkdir(parents=True, exist_ok=True)
        self._count = itertools.count()
        self._live: set[Path] = set()
        for leftover in self._ingests.iterdir():
            leftover.unlink(missing_ok=True)

    def ingest(self) -> Ingest:
        """Begin a blob."""
        path = self._ingests / f"{os.getpid()}-{next(self._count)}"
        ingest = Ingest(self, path)
        self._live.add(path)
        return ingest

    def forget(self, ingest: Ingest) -> None:
        """An ingest ended (called by the ingest itself)."""
        self._live.discard(ingest.path)

    def put(self, content: bytes) -> Blob:
        """Store bytes that are in memory (configs, manifests)."""
        ingest = self.ingest()
        try:
            ingest.write(content)
            return ingest.commit()
        finally:
            ingest.abort()
            ingest.close()

    def sync(self, digest: str) -> None:
        """Bring a blob to the disk that was committed without. Gone meanwhile is fine."""
        try:
            fd = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def path(self, digest: str) -> Path:
        """Where a blob lies; raises InvalidDigest for anything that is no digest."""
        return self._blobs / digests.hexadecimal(digest)

    def has(self, digest: str) -> bool:
        """Whether the blob is there."""
        return self.path(digest).exists()

    def size(self, digest: str) -> int:
        """Size in bytes; raises FileNotFoundError."""
        return self.path(digest).stat().st_size

    def open(self, digest: str) -> BinaryIO:
        """The blob as an unbuffered file; raises FileNotFoundError."""
        return open(self.path(digest), "rb", buffering=0)

    def read(self, digest: str) -> bytes:
        """A small blob as bytes; raises FileNotFoundError."""
        return self.path(digest).read_bytes()

    def verify(self, digest: str) -> bool:
        """Whether the bytes on disk still are what the digest says."""
        try:
            with open(self.path(digest), "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return False
        return found == digests.hexadecimal(digest)

    def remove(self, digest: str) -> int:
        """Delete a blob; the bytes given back (0 when it wasn't there)."""
        path = self.path(digest)
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return 0
        return size

    def list(self) -> Iterator[str]:
        """The digests of all blobs."""
        for entry in self._blobs.iterdir():
            yield f"sha256:{entry.name}"
