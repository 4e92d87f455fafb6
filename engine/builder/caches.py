"""The folders of `RUN --mount=type=cache`: kept between builds, shared as each mount asks."""

import asyncio
import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from engine import times
from engine.builder.instructions import Sharing
from engine.builder.records import Entry, Kind, Records
from engine.linux.removal import remove_tree


class Caches:
    """Cache folders by key; each has a record of the kind MOUNT from its first use on."""

    def __init__(self, root: Path, records: Records) -> None:
        self._root = root
        self._records = records
        self._users: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}

    def folder(self, key: str) -> Path:
        """Where a cache lies; its files are in `data`."""
        return self._root / key

    def busy(self, key: str) -> bool:
        """Whether a step has it mounted."""
        return self._users[key] > 0

    @contextlib.asynccontextmanager
    async def held(self, id: str, sharing: Sharing, seed: str = "") -> AsyncIterator[Path]:
        """The folder of a cache for the length of the block; `seed` tells first contents apart.

        A locked one waits until nobody has it, a private one that is taken is another one.
        """
        async with contextlib.AsyncExitStack() as stack:
            if sharing is Sharing.LOCKED:
                lock = self._locks.setdefault(f"{id}\0{seed}", asyncio.Lock())
                await stack.enter_async_context(lock)
            key = next(self._keys(id, sharing, seed))
            self._users[key] += 1
            stack.callback(self._users.subtract, [key])
            folder = self.folder(key)
            folder.mkdir(parents=True, exist_ok=True)
            now = times.format_time(time.time_ns())
            if self._records.get(key) is None:
                description = f"cached mount {id} ({sharing})"
                await self._records.put(
                    Entry(key, Kind.MOUNT, now, description, last_used=now, uses=1)
                )
            else:
                self._records.touch(key, now)
                await self._records.flush([key])
            yield folder

    def _keys(self, id: str, sharing: Sharing, seed: str) -> Iterator[str]:
        """Keys that fit, the wanted one first."""
        number = 0
        while True:
            text = "\0".join(("mount", id, seed, *([str(number)] if number else [])))
            key = hashlib.sha256(text.encode()).hexdigest()
            if sharing is not Sharing.PRIVATE or not self.busy(key):
                yield key
            number += 1

    def remove(self, key: str) -> None:
        """Delete a cache's folder; blocks."""
        remove_tree(self.folder(key))
