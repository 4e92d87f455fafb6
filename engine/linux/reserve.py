"""Space that is kept back on the disk, to be given up when everything else is taken.

Whoever fills a disk would otherwise keep the engine from writing down that room was made.
"""

import os
import time
from pathlib import Path

SIZE = 4 << 20
_ROOMY = 8  # times its size that must be free before space is taken again
_PAUSE = 10.0  # seconds between attempts


class Reserve:
    """A file of `SIZE` bytes. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = False
        self._next = 0.0

    def keep(self) -> None:
        """Take the space if there is plenty; cheap when it's held already."""
        if self._held or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PAUSE
        try:
            if self._path.exists() and self._path.stat().st_blocks * 512 >= SIZE:
                self._held = True
                return
            disk = os.statvfs(self._path.parent)
            if disk.f_bavail * disk.f_frsize < _ROOMY * SIZE:
                return
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, SIZE)
            self._held = True
        except OSError:
            self._path.unlink(missing_ok=True)

    def give(self) -> bool:
        """Give the space up; False when there is none."""
        self._held = False
        self._next = time.monotonic() + _PAUSE
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
