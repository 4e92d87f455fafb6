"""Layers on their way: fetched once however many pulls want them, unpacked while they arrive.

Life cycle of a download: the first pull that wants a blob starts it, others join; its fetching
thread fills an ingest, its unpacking thread reads behind; `claim()` hands the unpacked folder to
one pull; when the last pull has let go, what is unfinished stops, what is unclaimed is thrown away.
"""

import asyncio
import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from engine.content.store import Blob, Ingest
from engine.content.store import Store as Content
from engine.errors import EngineError
from engine.images.assembly import Assembler, Unpacking
from engine.images.removal import short
from engine.images.streams import Cancelled, Progress
from engine.registry.client import Client
from engine.registry.errors import RegistryError, Unreachable
from engine.values import dataclass, field

T = TypeVar("T")
# more threads than processors only hand the interpreter's lock about
_UNPACKERS = min(4, os.cpu_count() or 2)
_LONGEST_PAUSE = 120  # seconds
_CHUNK = 1 << 18
_PATIENCE = 30.0  # seconds that a registry may make a download wait
_TELL_EVERY = 0.1  # seconds between two progress lines of a layer


class DownloadFailed(EngineError):
    """A layer can't be had: what broke, after how many attempts."""


@dataclass(eq=False)
class Download:
    """One blob on its way, and everyone who listens."""

    digest: str
    total: int
    urls: tuple[str, ...] = ()
    task: "asyncio.Task[Blob] | None" = None
    listeners: list[Progress] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    unpacking: Unpacking | None = None
    last: Mapping[str, Any] = field(default_factory=dict)
    told: float = 0.0
    fetched: bool = False
    committed: set[str] = field(default_factory=set)  # chain ids that it was verified for
    response: http.client.HTTPResponse | None = None

    @classmethod
    def of(cls, descriptor: Mapping[str, Any]) -> "Download":
        """What a layer's descriptor says: digest, size, and where a foreign one lies."""
        urls = tuple(str(url) for url in descriptor.get("urls") or ())
        return cls(str(descriptor["digest"]), int(descriptor.get("size") or 0), urls)

    @property
    def key(self) -> tuple[str, int]:
        """What makes two downloads the same."""
        return self.digest, self.total

    def interrupt(self) -> None:
        """Stop fetching now, even where the registry has fallen silent."""
        self.stop.set()
        used = getattr(self.response, "socket", None)
        if used is not None:
            with contextlib.suppress(OSError):
                used.shutdown(socket.SHUT_RDWR)

    def tell(self, status: str, current: int | None = None) -> None:
        """A progress line for everyone."""
        line: dict[str, Any] = {"status": status, "progressDetail": {}, "id": short(self.digest)}
        if current is not None:
            line["progressDetail"] = {"current": current, "total": self.total}
            line["progress"] = bar(current, self.total)
        self.last = line
        for listener in list(self.listeners):
            listener.emit(**line)

    def step(self, status: str, current: int) -> None:
        """As `tell`, but not more often than eyes can follow."""
        now = time.monotonic()
        if now - self.told >= _TELL_EVERY:
            self.told = now
            self.tell(status, current)

    def claim(self) -> Unpacking | None:
        """The unpacked layer for the first who asks; later ones unpack the blob again."""
        unpacking, self.unpacking = self.unpacking, None
        return unpacking


def bar(current: int, total: int) -> str:
    """The bar that dockerd draws for clients which print lines as they come."""
    if total <= 0:
        return human(current)
    filled = min(50, current * 50 // total)
    head = "=" * filled + ">" if filled < 50 else "=" * 50 + ">"
    return f"[{head}{' ' * (50 - filled)}]  {human(current)}/{human(total)}"


def human(size: int) -> str:
    """Bytes in decimal units with four digits, as go-units prints them."""
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        del units[0]
    return f"{value:.4g}{units[0]}"


class Downloads:
    """All downloads of an engine; at most `parallel` of them fetch at the same time."""

    def __init__(
        self, content: Content, assembler: Assembler, *, parallel: int, attempts: int
    ) -> None:
        self._content = content
        self._assembler = assembler
        self._attempts = attempts
        # by digest and promised size: one manifest's lie must not hurt another's pull
        self._running: dict[tuple[str, int], Download] = {}
        self._slots = asyncio.Semaphore(parallel)
        self._fetchers = ThreadPoolExecutor(parallel, thread_name_prefix="fetch")
        self._unpackers = ThreadPoolExecutor(_UNPACKERS, thread_name_prefix="pull-unpack")

    def close(self) -> None:
        """Stop what runs."""
        for download in self._running.values():
            download.interrupt()
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        self._unpackers.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def join(
        self, client: Client, descriptor: Mapping[str, Any], progress: Progress
    ) -> AsyncIterator[Download]:
        """Take part in the download of a blob for the length of the block."""
        wanted = Download.of(descriptor)
        download = self._running.get(wanted.key)
        if download is None:
            download = self._running[wanted.key] = wanted
            download.listeners.append(progress)
            download.tell("Pulling fs layer")
            download.task = asyncio.get_running_loop().create_task(self._run(client, download))
            download.task.add_done_callback(_retrieve)
        else:
            download.listeners.append(progress)
            if download.last:
                progress.emit(**download.last)
        try:
            yield download
        finally:
            download.listeners.remove(progress)
            if not download.listeners:
                await self._drop(download)

    async def _drop(self, download: Download) -> None:
        if self._running.get(download.key) is download:
            del self._running[download.key]
        download.interrupt()
        assert download.task is not None
        await asyncio.gather(download.task, return_exceptions=True)
        unpacking = download.claim()
        if unpacking is not None:
            await asyncio.to_thread(self._assembler.discard, unpacking)

    async def _run(self, client: Client, download: Download) -> Blob:
        if self._slots.locked():
            download.tell("Waiting")
        async with AsyncExitStack() as slot:
            # in the order of the layers: the lowest can be seen first
            await slot.enter_async_context(self._slots)
            _check(download)
            if await asyncio.to_thread(self._content.has, download.digest):
                size = await asyncio.to_thread(self._content.size, download.digest)
                download.tell("Download complete")
                return Blob(download.digest, size)
            return await self._take_in(client, download, slot)

    async def _take_in(self, client: Client, download: Download, slot: AsyncExitStack) -> Blob:
        """Fetch and unpack; the slot is given back as soon as all is fetched."""
        ingest = self._content.ingest()
        reading: asyncio.Future[Unpacking] | None = None
        syncing: asyncio.Future[None] | None = None
        try:
            reading = self._start(self._unpackers, lambda: self._unpack(download, ingest))
            await self._start(
                self._fetchers, lambda: _fetch(client, download, ingest, self._attempts)
            )
            await slot.aclose()
            syncing = asyncio.ensure_future(asyncio.to_thread(ingest.sync))
            download.unpacking = await reading
            await syncing
            blob = await asyncio.to_thread(ingest.commit, download.digest)
            return blob
        except BaseException as failure:
            ingest.fail(failure if isinstance(failure, Exception) else Cancelled("cancelled"))
            if reading is not None:
                await self._salvage(download, reading)
            raise
        finally:
            if syncing is not None:
                await asyncio.gather(syncing, return_exceptions=True)
            ingest.abort()
            ingest.close()

    async def _salvage(self, download: Download, reading: "asyncio.Future[Unpacking]") -> None:
        (result,) = await asyncio.gather(reading, return_exceptions=True)
        if isinstance(result, Unpacking):
            download.claim()
            await asyncio.to_thread(self._assembler.discard, result)

    def _start(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(pool, work)

    def _unpack(self, download: Download, ingest: Ingest) -> Unpacking:
        offset = 0

        def read(size: int) -> bytes:
            nonlocal offset
            _check(download)  # what nobody waits for any more must not hold up others
            piece = ingest.read_at(offset, size)
            offset += len(piece)
            if download.fetched:
                download.step("Extracting", offset)
            return piece

        unpacking = self._assembler.unpack(read)
        while read(_CHUNK):
            continue  # bytes after the tar's end still belong to the blob
        return unpacking


def _retrieve(task: "asyncio.Task[Blob]") -> None:
    """Failures reach the pulls that wait; one that nobody waits for any more is no news."""
    if not task.cancelled():
        task.exception()


def _check(download: Download) -> None:
    if download.stop.is_set():
        raise Cancelled("the pull was cancelled")


def _fetch(client: Client, download: Download, ingest: Ingest, attempts: int) -> None:
    """Fill the ingest, resuming after cuts. Blocks. Raises EngineError, OSError, Cancelled."""
    attempt = 0
    try:
        while True:
            before = ingest.size
            try:
                _fetch_rest(client, download, ingest)
                break
            except (http.client.HTTPException, OSError, Unreachable, RegistryError) as error:
                _check(download)
                if not _may_pass(error):
                    raise
                attempt = 1 if ingest.size > before else attempt + 1
                if attempt >= attempts:
                    raise DownloadFailed(
                        f"downloading {download.digest} failed after {attempts} attempts: {error}"
                    ) from error
                _pause(download, _seconds(error, attempt))
        download.tell("Verifying Checksum")
        if ingest.digest != download.digest:
            raise DownloadFailed(
                f"filesystem layer verification failed for digest {download.digest}"
            )
    except BaseException as failure:
        ingest.fail(failure)
        raise
    download.fetched = True
    download.tell("Download complete")
    ingest.finish()


def _may_pass(error: Exception) -> bool:
    """Whether trying again may help: not where the disk or the registry has said no."""
    if isinstance(error, RegistryError):
        return error.is_temporary or 0 < error.retry_after <= _PATIENCE
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError | TimeoutError) or type(error).__module__ == "ssl"
    return True


def _seconds(error: Exception, attempt: int) -> int:
    """How long to wait: nothing after the first cut, then longer each time.

    What a registry asks for has an end: others wait for the slot meanwhile.
    """
    asked = error.retry_after if isinstance(error, RegistryError) else 0
    return max(min(int(asked), _LONGEST_PAUSE), attempt - 1)


def _pause(download: Download, seconds: int) -> None:
    for left in range(seconds, 0, -1):
        download.tell(f"Retrying in {left} second{'s' if left > 1 else ''}")
        if download.stop.wait(1):
            _check(download)


def _fetch_rest(client: Client, download: Download, ingest: Ingest) -> None:
    response, offset = client.blob(download.digest, ingest.size, download.urls)
    whole = False
    download.response = response
    try:
        skip = ingest.size - offset
        while piece := response.read(_CHUNK):
            _check(download)
            if skip:
                piece, skip = piece[skip:], max(0, skip - len(piece))
                if not piece:
                    continue
            if download.total and ingest.size + len(piece) > download.total:
                raise DownloadFailed(
                    f"{download.digest}: the registry sends more than the {download.total} bytes "
                    "that the manifest promises"
                )
            ingest.write(piece)
            download.step("Downloading", ingest.size)
        whole = True
    finally:
        download.response = None
        if not whole:
            response.close()
        client.release(response)
    if ingest.size < download.total:
        raise http.client.IncompleteRead(b"", download.total - ingest.size)
