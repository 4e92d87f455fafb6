"""Writable layers on top of committed ones: `snapshots/<key>/{upper,work,chain}`.

Life cycle: `prepare(key, chain_ids)` -> `mount_of(key, target)` gives the overlay mount, as
often as the container starts -> `usage(key)`... -> `remove(key)`, once nothing mounts it any more.
"""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

from engine.errors import EngineError, NotFound
from engine.linux.mounts import Mount
from engine.linux.placement import spread_below
from engine.linux.removal import remove_tree
from engine.snapshots.diff import Change, changes, tar_of
from engine.snapshots.layers import Layers

# mount(2) passes one page of options; what is longer goes by a descriptor's short name
_OPTIONS_LIMIT = 4000
_KEY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


class Store:
    """Snapshots below `root`; `layers` is where their lower folders come from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.layers = Layers(root)
        self._root = root / "snapshots"
        self._root.mkdir(parents=True, exist_ok=True)
        spread_below(self._root)
        self._links_fd = os.open(self.layers.links, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # hears the chain of a removed snapshot, for collecting layers; the image store sets it
        self.released: Callable[[Sequence[str]], Awaitable[None]] | None = None
        for leftover in self._root.glob(".*"):
            remove_tree(leftover)
        self._chains = {key: self._read_chain(key) for key in self.keys()}

    def close(self) -> None:
        """Release what the store holds open."""
        if self._links_fd >= 0:
            os.close(self._links_fd)
            self._links_fd = -1

    def folder(self, key: str) -> Path:
        """Where a snapshot lives. Raises ValueError for a key that is no plain name."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"invalid snapshot key {key!r}")
        return self._root / key

    def upper(self, key: str) -> Path:
        """The folder with what was written."""
        return self.folder(key) / "upper"

    def lower(self, key: str) -> tuple[str, ...]:
        """The folders of a snapshot's layers, highest first; the lowest is the image's base."""
        layers = map(self.layers.get, reversed(self._chains.get(key, ())))
        return tuple(f"{self.layers.links}/{layer.short}" for layer in layers if layer)

    def keys(self) -> Iterator[str]:
        """All snapshots."""
        for entry in self._root.iterdir():
            if not entry.name.startswith("."):
                yield entry.name

    async def prepare(self, key: str, chain_ids: Sequence[str]) -> None:
        """Make an empty writable layer on top of `chain_ids` (lowest first).

        Raises NotFound when a layer is missing, FileExistsError when the key is taken.
        """
        for chain_id in chain_ids:
            if self.layers.get(chain_id) is None:
                raise NotFound(f"layer {chain_id} does not exist; pull or load the image again")
        folder = self.folder(key)
        # four small calls on a cached folder: quicker than handing them to a thread
        building = folder.with_name(f".{key}")
        building.mkdir()
        (building / "upper").mkdir(mode=0o755)
        (building / "work").mkdir(mode=0o700)
        os.chmod(building / "upper", 0o755)
        (building / "chain").write_text(json.dumps(list(chain_ids)))
        if folder.exists():
            remove_tree(building)
            raise FileExistsError(f"snapshot {key} exists")
        building.rename(folder)
        self._chains[key] = tuple(chain_ids)

    def mend(self, chains: Mapping[str, Sequence[str]]) -> None:
        """Write the chains of snapshots again where they don't say what their owners know.

        `prepare` syncs nothing: after a loss of power a file can be there without its content.
        """
        for key, chain in chains.items():
            if key in self._chains and self._chains[key] != tuple(chain):
                (self.folder(key) / "chain").write_text(json.dumps(list(chain)))
                self._chains[key] = tuple(chain)

    def _read_chain(self, key: str) -> tuple[str, ...]:
        try:
            return tuple(json.loads((self._root / key / "chain").read_text()))
        except (OSError, ValueError):
            return ()

    def chain(self, key: str) -> tuple[str, ...]:
        """The layers below a snapshot, lowest first. Raises NotFound."""
        try:
            return self._chains[key]
        except KeyError:
            raise NotFound(f"no snapshot {key}") from None

    def used(self) -> set[str]:
        """The layers that any snapshot stands on."""
        return {chain_id for chain in self._chains.values() for chain_id in chain}

    def mount_of(
        self, key: str, target: Path, through: int = -1, *, grounded: bool = True
    ) -> Mount:
        """The overlay mount of a snapshot at `target`. Raises NotFound.

        `grounded`: with what each container has under its image (`ground`).
        `through` is a descriptor of the store's root, when another mount of it is to be used: the
        answer then is for this process alone.
        """
        folder = self.folder(key)
        if through < 0:
            lower = self._lower(self.chain(key), grounded=grounded)
        else:
            seen = Path(f"/proc/self/fd/{through}")
            folder = seen / folder.relative_to(self.root)
            lower = self._lower(self.chain(key), seen, grounded=grounded)
        options = (
            f"lowerdir={lower}",
            f"upperdir={_escape(folder / 'upper')}",
            f"workdir={_escape(folder / 'work')}",
            "index=off",
        )
        return Mount("overlay", "overlay", str(target), options)

    def view_of(self, chain_ids: Sequence[str], target: Path) -> Mount:
        """A read-only mount of layers without a writable one on top."""
        if len(chain_ids) < 2:
            source = self.layers.diff(chain_ids[0]) if chain_ids else self.layers.empty
            return Mount("none", str(source), str(target), ("rbind", "ro"))
        return Mount(
            "overlay", "overlay", str(target), (f"lowerdir={self._lower(chain_ids)}", "ro")
        )

    def overlay_of(
        self,
        chain_ids: Sequence[str],
        upper: Path,
        work: Path,
        target: Path,
        *,
        below: Path | None = None,
    ) -> Mount:
        """An overlay of layers that writes to folders of the caller's and is never synced.

        `below` is a folder under all layers; what is over it need not survive a crash.
        """
        lowers = [self._lower(chain_ids)] if chain_ids or below is None else []
        if below is not None:
            lowers.append(_escape(below))
        options = (
            f"lowerdir={':'.join(lowers)}",
            f"upperdir={_escape(upper)}",
            f"workdir={_escape(work)}",
            "index=off",
            "volatile",
        )
        return Mount("overlay", "overlay", str(target), options)

    def _lower(
        self, chain_ids: Sequence[str], seen: Path | None = None, *, grounded: bool = False
    ) -> str:
        shorts = []
        for chain_id in reversed(chain_ids):
            layer = self.layers.get(chain_id)
            if layer is None:
                raise NotFound(f"layer {chain_id} does not exist; pull or load the image again")
            shorts.append(layer.short)
        if grounded:
            shorts.append(self.layers.ground.name)
        if not shorts:
            empty = self.layers.empty
            return str(seen / empty.relative_to(self.root)) if seen else _escape(empty)
        if seen:
            return ":".join(f"{seen}/{self.layers.links.name}/{short}" for short in shorts)
        full = ":".join(_escape(self.layers.links / short) for short in shorts)
        if len(full) + 2 * len(str(self._root)) + 300 < _OPTIONS_LIMIT:
            return full
        # the engine's own descriptor: valid because the engine itself calls mount(2)
        brief = ":".join(f"/proc/self/fd/{self._links_fd}/{short}" for short in shorts)
        if len(brief) + 2 * len(str(self._root)) + 300 > _OPTIONS_LIMIT:
            raise EngineError(
                f"the image has {len(chain_ids)} layers, more than one mount can take: "
                "flatten it (docker export, docker import)"
            )
        return brief

    async def remove(self, key: str) -> None:
        """Delete a snapshot; not there is fine."""
        folder = self.folder(key)
        grave = folder.with_name(f".gone-{key}")
        try:
            folder.rename(grave)
        except FileNotFoundError:
            return
        await asyncio.to_thread(remove_tree, grave)
        chain = self._chains.pop(key, ())
        if self.released is not None:
            await self.released(chain)

    def changes(self, key: str) -> Iterator[Change]:
        """What the writable layer changed (blocks). Raises NotFound."""
        lowers = [self.layers.diff(chain_id) for chain_id in reversed(self.chain(key))]
        return changes(self.upper(key), [*lowers, self.layers.ground])

    def diff(self, key: str) -> Iterator[bytes]:
        """The writable layer as a layer's tar, for a commit (blocks)."""
        return tar_of(self.upper(key), layer=True)

    async def usage(self, key: str) -> tuple[int, int]:
        """(bytes of the files written, number of inodes) of the writable layer."""
        return await asyncio.to_thread(_usage, self.upper(key))


def _escape(path: Path) -> str:
    """A path inside overlay's options, where backslash, colon and comma have a meaning."""
    text = str(path)
    for character in "\\:,":
        text = text.replace(character, "\\" + character)
    return text


def _usage(folder: Path) -> tuple[int, int]:
    size = inodes = 0
    seen: set[tuple[int, int]] = set()
    pending = [str(folder)]
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except FileNotFoundError:
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            inodes += 1
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                identity = (status.st_dev, status.st_ino)
                if status.st_nlink == 1 or identity not in seen:
                    size += status.st_size
                    seen.add(identity)
    return size, inodes
