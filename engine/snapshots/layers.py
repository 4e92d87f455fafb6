"""Committed layers: `layers/<chain id hex>/{diff,layer.json,synced}`, short names in `l/`.

Life cycle: `begin()` gives an empty folder -> someone unpacks into `diff` -> `commit()` renames it
to its chain id, and only then is it visible -> `sync()` behind the answer -> `remove()`. At start,
half-made folders are swept, and layers that a machine crash may have hurt are told
by `suspects()`.
"""

import ctypes
import itertools
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from engine.content import digest as digests
from engine.linux.libc import libc
from engine.linux.placement import spread_below
from engine.linux.removal import remove_tree
from engine.snapshots.ground import lay
from engine.values import dataclass

_NEW = ".new-"
_GROUND = "ground"


@dataclass(frozen=True)
class Committed:
    """A layer on disk; size in bytes of its files, `short` its name in `l/`."""

    chain_id: str
    diff_id: str
    size: int
    entries: int
    short: str
    boot: str


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Layers:
    """The layers below one root. Methods that touch the disk block: call them in threads."""

    def __init__(self, root: Path) -> None:
        self.root = root / "layers"
        self.links = root / "l"
        self.empty = root / "empty"
        self.ground = root / _GROUND
        for folder in (self.root, self.links, self.empty):
            folder.mkdir(parents=True, exist_ok=True)
        lay(self.ground)
        spread_below(self.root)
        self._boot = _boot_id()
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._committed: dict[str, Committed] = {}
        self._unsynced: set[str] = set()
        self._suspects: set[str] = set()
        self._load()

    def _load(self) -> None:
        shorts = {_GROUND}
        self._point(_GROUND, f"../{_GROUND}")
        for folder in self.root.iterdir():
            layer = None if folder.name.startswith(_NEW) else self._read(folder)
            if layer is None:
                remove_tree(folder)
                continue
            self._committed[layer.chain_id] = layer
            shorts.add(layer.short)
            if not (folder / "synced").exists():
                self._unsynced.add(layer.chain_id)
                if layer.boot != self._boot:
                    self._suspects.add(layer.chain_id)
            self._link(layer)
        for link in self.links.iterdir():
            if link.name not in shorts:
                link.unlink()

    @staticmethod
    def _read(folder: Path) -> Committed | None:
        try:
            record = json.loads((folder / "layer.json").read_text())
            return Committed(chain_id=f"sha256:{folder.name}", **record)
        except (OSError, ValueError, TypeError):
            return None

    def _link(self, layer: Committed) -> None:
        self._point(layer.short, f"../layers/{digests.hexadecimal(layer.chain_id)}/diff")

    def _point(self, name: str, target: str) -> None:
        link = self.links / name
        if not (link.is_symlink() and os.readlink(link) == target):
            link.unlink(missing_ok=True)
            link.symlink_to(target)

    def get(self, chain_id: str) -> Committed | None:
        """The layer, when it is committed."""
        return self._committed.get(chain_id)

    def __iter__(self) -> Iterator[Committed]:
        return iter(list(self._committed.values()))

    def diff(self, chain_id: str) -> Path:
        """The folder with the layer's files."""
        return self.root / digests.hexadecimal(chain_id) / "diff"

    def begin(self) -> Path:
        """A folder with an empty `diff` inside, for one unpack."""
        folder = self.root / f"{_NEW}{os.getpid()}-{next(self._count)}"
        (folder / "diff").mkdir(parents=True, mode=0o755)
        return folder

    def discard(self, folder: Path) -> None:
        """Throw a begun layer away."""
        remove_tree(folder)

    def commit(
        self, folder: Path, chain_id: str, diff_id: str, size: int, entries: int
    ) -> Committed:
        """Make a begun layer visible. Committing a chain id twice keeps the first."""
        with self._lock:
            known = self._committed.get(chain_id)
            if known is None:
                short = self._short(chain_id)
                layer = Committed(chain_id, diff_id, size, entries, short, self._boot)
                record = {key: value for key, value in vars(layer).items() if key != "chain_id"}
                (folder / "layer.json").write_text(json.dumps(record))
                os.rename(folder, self.root / digests.hexadecimal(chain_id))
                self._link(layer)
                self._committed[chain_id] = layer
                self._unsynced.add(chain_id)
                return layer
        self.discard(folder)
        return known

    def _short(self, chain_id: str) -> str:
        """The shortest free prefix of the chain id, from four digits on: options have a limit."""
        hexa = digests.hexadecimal(chain_id)
        taken = {layer.short for layer in self._committed.values()}
        return next(hexa[:size] for size in range(4, 65) if hexa[:size] not in taken)

    def remove(self, chain_id: str) -> None:
        """Delete a layer; nobody may have it mounted."""
        with self._lock:
            layer = self._committed.pop(chain_id, None)
            self._unsynced.discard(chain_id)
            self._suspects.discard(chain_id)
            if layer is None:
                return
            # out of sight first: a half-deleted layer must never look whole
            grave = self.root / f"{_NEW}{os.getpid()}-{next(self._count)}"
            os.rename(self.root / digests.hexadecimal(chain_id), grave)
            (self.links / layer.short).unlink(missing_ok=True)
        remove_tree(grave)

    def suspects(self) -> set[str]:
        """Layers that were not on disk for sure when the machine went down; unpack them again."""
        return set(self._suspects)

    def sync(self) -> None:
        """Bring everything committed so far to the disk and mark it. Blocks; one at a time."""
        with self._sync_lock:
            pending = self._unsynced - self._suspects
            if not pending:
                return
            fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if libc().syncfs(ctypes.c_int(fd)) < 0:
                    raise OSError(ctypes.get_errno(), "syncfs")
            finally:
                os.close(fd)
            for chain_id in pending:
                try:
                    (self.root / digests.hexadecimal(chain_id) / "synced").touch()
                except FileNotFoundError:
                    continue  # removed meanwhile
                self._unsynced.discard(chain_id)
