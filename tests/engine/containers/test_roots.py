"""Roots of containers: out of the engine's namespace while they run, held until the end."""

from __future__ import annotations

import os
from typing import Any

import pytest

from engine.containers.rootfs import Roots


class Mounts:
    """What is mounted where; nothing real."""

    def __init__(self) -> None:
        self.targets: list[str] = []

    def mount(self, what: Any) -> None:
        self.targets.append(str(what.target))

    def unmount(self, path: Any, lazy: bool) -> bool:
        if str(path) not in self.targets:
            return False
        self.targets.remove(str(path))
        return True


async def test_a_detached_root_is_held_until_it_is_unmounted(world: Any) -> None:
    mounts = Mounts()
    neighbours = world.containers._neighbours
    roots = Roots(neighbours, world.settings, mount=mounts.mount, unmount=mounts.unmount)
    id = await world.create()
    roots.mount(id)
    roots.detach(id)
    assert mounts.targets == []
    held = roots._held[id]
    assert os.path.samestat(os.fstat(held), os.stat(roots.path(id)))
    roots.detach(id)  # nothing is mounted any more
    assert roots._held == {id: held}
    roots.unmount(id)
    with pytest.raises(OSError):
        os.fstat(held)
    roots.unmount(id)
