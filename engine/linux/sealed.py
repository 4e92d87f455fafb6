"""A program's own copy in memory that nobody can change any more: memfd_create(2), sealed.

An OCI runtime that enters containers must not be overwritten by them through /proc/self/exe. So
crun copies itself, or mounts itself anew, and starts a second time, at each start. It sees that a
copy with these seals needs none of it, which is half of what an exec costs.
"""

import fcntl
import os
from pathlib import Path

_EXECUTABLE = 0x10  # MFD_EXEC: kernels since 6.3 want to know
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_PIECE = 1 << 20


def sealed_copy(program: str) -> str:
    """The path of a copy that lives as long as this process; `program` when there can be none."""
    try:
        with open(program, "rb") as original:
            copy = _memory(Path(program).name)
            while os.sendfile(copy, original.fileno(), None, _PIECE):
                pass
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        return program
    return f"/proc/{os.getpid()}/fd/{copy}"


def _memory(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | _EXECUTABLE)
    except OSError:
        return os.memfd_create(name, flags)
