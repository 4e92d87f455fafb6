"""What builds have made and may use again, as records of the kind `build-cache`.

Light to import: at the engine's start the image store asks which layers these records hold.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Protocol

from engine.database import Database, Delete, Put
from engine.images.model import Layer
from engine.values import dataclass, replace

KIND = "build-cache"


class Kind(StrEnum):
    """What an entry stands for, in the words of `docker system df`."""

    LAYER = "regular"
    MOUNT = "exec.cachemount"
    STEP = "internal"  # a step that changed nothing but the config: only its time is kept


@dataclass(frozen=True)
class Entry:
    """One result. Times are RFC 3339; size in bytes of what it takes on the disk.

    key: digest of everything that decided about the result. parent: key of the step below.
    layer and chain_id: empty for a step that left the files as they were.
    """

    key: str
    kind: Kind
    created: str
    description: str = ""
    parent: str = ""
    chain_id: str = ""
    diff_id: str = ""
    blob: str = ""
    media_type: str = ""
    blob_size: int = 0
    size: int = 0
    last_used: str = ""
    uses: int = 0

    @property
    def layer(self) -> Layer | None:
        """The layer as an image's record has it."""
        if not self.chain_id:
            return None
        return Layer(self.diff_id, self.blob, self.media_type, self.blob_size, self.size)


class Present(Protocol):
    """Whether a layer (by chain id) and its blob (by digest) are on the disk."""

    def __call__(self, chain_id: str, blob: str) -> bool: ...


class Records:
    """All entries. Reads are immediate; what is written needn't outlive a loss of power."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: dict[str, Entry] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def load(self, present: Present) -> None:
        """Read the records, but for those whose files are gone; for the start, blocks."""
        for key, record in self._database.load(KIND).items():
            entry = Entry(key, Kind(record.pop("kind")), **record)
            if not entry.chain_id or present(entry.chain_id, entry.blob):
                self._entries[key] = entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def get(self, key: str) -> Entry | None:
        """The entry of a key."""
        return self._entries.get(key)

    def layers(self) -> set[str]:
        """Chain ids that the entries hold."""
        return {entry.chain_id for entry in self._entries.values() if entry.chain_id}

    def blobs(self) -> set[str]:
        """Digests of the blobs that the entries hold."""
        return {entry.blob for entry in self._entries.values() if entry.blob}

    async def put(self, entry: Entry) -> None:
        """Add an entry."""
        self._entries[entry.key] = entry
        await self._write([Put(KIND, entry.key, _record(entry))])

    def touch(self, key: str, now: str) -> None:
        """Note a use; `flush` writes it down."""
        entry = self._entries[key]
        self._entries[key] = replace(entry, last_used=now, uses=entry.uses + 1)

    async def flush(self, keys: Sequence[str]) -> None:
        """Write down what `touch` noted."""
        found = [entry for key in keys if (entry := self._entries.get(key)) is not None]
        await self._write([Put(KIND, entry.key, _record(entry)) for entry in found])

    def replace_blob(self, diff_id: str, blob: str, media_type: str, size: int) -> None:
        """A layer stands on another blob of the same content from now on (it was compressed)."""
        changed = [entry for entry in self if entry.diff_id == diff_id and entry.blob != blob]
        for entry in changed:
            self._entries[entry.key] = replace(
                entry, blob=blob, media_type=media_type, blob_size=size
            )
        if changed:
            writing = self.flush([entry.key for entry in changed])
            self._writing.add(task := asyncio.get_running_loop().create_task(writing))
            task.add_done_callback(self._writing.discard)

    async def drop(self, keys: Sequence[str]) -> None:
        """Forget entries. From now on nobody finds them; their files may go."""
        for key in keys:
            self._entries.pop(key, None)
        await self._write([Delete(KIND, key) for key in keys])

    async def _write(self, changes: Sequence[Put | Delete]) -> None:
        if changes:
            await self._database.write(changes, durable=False)


def _record(entry: Entry) -> dict[str, object]:
    record = asdict(entry)
    del record["key"]
    return {name: value for name, value in record.items() if value not in ("", 0)}
