"""Who has a volume at hand: containers that have it mounted, and work of the engine's own.

A volume with driver options is mounted for its first holder and unmounted after its last.
"""

import asyncio
from collections.abc import Callable, Sequence

from engine.linux import threads
from engine.volumes.local import is_plain, unmount_volume
from engine.volumes.volume import Volume


class Holders:
    """Holders by the volume's name. `mount(volume)` blocks, and may raise EngineError."""

    def __init__(self, mount: Callable[[Volume], None]) -> None:
        self._mount = mount
        self._holders: dict[str, set[str]] = {}
        self._turns: dict[str, asyncio.Lock] = {}  # of mounting and unmounting, a volume each

    def of(self, name: str) -> Sequence[str]:
        """All of a volume."""
        return sorted(self._holders.get(name, ()))

    def add(self, volume: Volume, holder: str) -> bool:
        """Whether it's new. Follow it with `mount`."""
        holders = self._holders.setdefault(volume.name, set())
        known = holder in holders
        holders.add(holder)
        return not known

    async def mount(self, volume: Volume) -> None:
        """See that it's mounted. Raises EngineError.

        A file server that doesn't answer holds up nobody but those who want the same volume.
        """
        if is_plain(volume):
            return
        async with self._turn(volume):
            await threads.apart(lambda: self._mount(volume), "volume-mount")

    async def discard(self, volume: Volume, holder: str) -> bool:
        """Whether it was one."""
        holders = self._holders.get(volume.name)
        if holders is None or holder not in holders:
            return False
        holders.discard(holder)
        if not holders:
            del self._holders[volume.name]
            if not is_plain(volume):
                async with self._turn(volume):
                    if volume.name not in self._holders:
                        await asyncio.to_thread(unmount_volume, volume)
        return True

    def forget(self, name: str) -> None:
        """The volume is removed."""
        self._holders.pop(name, None)
        self._turns.pop(name, None)

    def _turn(self, volume: Volume) -> asyncio.Lock:
        return self._turns.setdefault(volume.name, asyncio.Lock())
