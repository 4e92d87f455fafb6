"""Processes of a create that a killed engine never heard the end of.

conmon, the OCI runtime under it and a container that waits for its start all carry the container's
id on their command line, and nobody but an engine of the same state folder started them.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

_SECONDS = 5.0


def find(id: str, state: Path) -> Iterator[int]:
    """The pids that name both the container and the runtime's state folder."""
    words = (id.encode(), os.fsencode(state))
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            line = Path(entry.path, "cmdline").read_bytes().split(b"\0")
            if words[1] in line and words[0] in line:
                yield int(entry.name)


def end(id: str, state: Path) -> None:
    """SIGKILL them until none is left, conmon first. Blocks for a few milliseconds."""
    deadline = time.monotonic() + _SECONDS
    while pids := sorted(find(id, state)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)
