"""The guest's serial console: a log file that QEMU writes and the agent follows."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

KEPT = ".1"


class Console:
    """Reads the log from where it stopped reading; a line counts once it is complete."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self._offset = offset
        self._rest = b""

    def rotate(self) -> None:
        """Keep the log of the boot before beside a new, empty one."""
        with suppress(FileNotFoundError):
            self.path.replace(self.path.with_name(self.path.name + KEPT))
        self.path.touch(mode=0o600)
        self._offset = 0
        self._rest = b""

    def lines(self) -> list[str]:
        """The lines that came since the last call."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                new = file.read(1 << 20)
        except OSError:
            return []
        self._offset += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [line.decode(errors="replace").rstrip("\r") for line in whole]

    def tail(self, count: int = 5) -> list[str]:
        """The last lines of the log that say anything."""
        return tail(self.path, count)


def tail(path: Path, count: int) -> list[str]:
    """The last `count` lines with text of a file, reading no more than its last 64 KiB."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 65536))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if line][-count:]
