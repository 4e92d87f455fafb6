"""The builder's folders below the engine's root, and their tidying after a killed engine.

`builds/`: `contexts/N` files that clients sent, `runs/ID` what belongs to a RUN step while it runs,
`views/N` points where layers are mounted for a moment, `mounts/KEY` what cache mounts keep.
"""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from engine.linux import mounts
from engine.linux.mounts import Mount
from engine.linux.placement import spread_below
from engine.linux.removal import remove_tree


class Folders:
    """Paths below ROOT/builds. Methods block."""

    def __init__(self, root: Path) -> None:
        self.root = root / "builds"
        self.contexts = self.root / "contexts"
        self.runs = self.root / "runs"
        self.views = self.root / "views"
        self.mounts = self.root / "mounts"
        self._count = itertools.count()

    def prepare(self) -> None:
        """Make what isn't there, after sweeping what an earlier engine left."""
        self.sweep()
        for folder in (self.contexts, self.runs, self.views, self.mounts):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        spread_below(self.contexts)

    def sweep(self) -> None:
        """Unmount and remove what belonged to builds that an earlier engine was busy with."""
        if not self.root.is_dir():
            return
        below = f"{os.path.realpath(self.root)}/"
        targets = [one.target for one in mounts.mounted() if one.target.startswith(below)]
        for target in reversed(targets):
            with contextlib.suppress(OSError):
                mounts.unmount(target, lazy=True)
        for folder in (self.contexts, self.runs, self.views):
            remove_tree(folder)

    def new_context(self) -> Path:
        """A fresh folder for one context."""
        folder = self.contexts / f"{os.getpid()}-{next(self._count)}"
        folder.mkdir(mode=0o755)
        return folder

    @contextlib.contextmanager
    def mounted(self, what: Mount) -> Iterator[Path]:
        """Mount something for the length of the block; `what.target` doesn't count."""
        point = self.views / f"{os.getpid()}-{next(self._count)}"
        point.mkdir()
        try:
            mounts.mount(Mount(what.type, what.source, str(point), what.options))
            try:
                yield point
            finally:
                mounts.unmount(point)
        finally:
            point.rmdir()

    def open_view(self, what: Mount) -> int:
        """Mount something where nobody sees it, as long as the descriptor (O_PATH) is open.

        `what.target` doesn't count. Raises OSError.
        """
        point = self.views / f"{os.getpid()}-{next(self._count)}"
        point.mkdir()
        try:
            mounts.mount(Mount(what.type, what.source, str(point), what.options))
            try:
                return os.open(point, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            finally:
                mounts.unmount(point, lazy=True)
        finally:
            point.rmdir()
