"""One agent a COVE_HOME: a lock that dies with its holder, and a pid file for people."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from desktop.failure import Failure

SECONDS = 10.0


class Lock:
    """Holds the lock file of a COVE_HOME until closed; a killed holder leaves it free."""

    def __init__(self, path: Path, pid_file: Path) -> None:
        self._path = path
        self._pid_file = pid_file
        self._handle = -1

    def take(self, seconds: float = SECONDS) -> None:
        """Take it, waiting for an agent that is about to end; raises Failure."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Failure(
                        "Another agent holds this COVE_HOME.",
                        f"It has pid {holder(self._pid_file) or 'unknown'} and doesn't end.",
                        "Wait for it, or end that process.",
                    ) from error
                time.sleep(0.05)
        self._pid_file.write_text(f"{os.getpid()}\n")

    def close(self) -> None:
        """Let go; the pid file goes first."""
        if self._handle >= 0:
            with suppress(OSError):
                self._pid_file.unlink()
            os.close(self._handle)
            self._handle = -1


def holder(pid_file: Path) -> int | None:
    """The pid in the pid file, None when there is none."""
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return None
