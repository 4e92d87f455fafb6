"""Linux capabilities: Docker's default set and what --cap-add, --cap-drop make of it."""

import functools
from collections.abc import Iterable

from engine.errors import BadRequest

# in the kernel's order (capabilities(7)): the index is the bit in /proc/PID/status
ALL = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP"
        " LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER"
        " SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE"
        " SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP"
        " MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF"
        " CHECKPOINT_RESTORE"
    ).split()
)
DEFAULT = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP"
        " NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)


def normalise(names: Iterable[str]) -> list[str]:
    """Names in the kernel's spelling, "ALL" kept. Raises BadRequest on an unknown one."""
    found = []
    for name in names:
        word = name.upper()
        if word != "ALL" and not word.startswith("CAP_"):
            word = "CAP_" + word
        if word == "CAP_ALL":
            word = "ALL"
        if word != "ALL" and word not in ALL:
            raise BadRequest(f'invalid capability: "{name}"')
        found.append(word)
    return found


def effective(*, privileged: bool, add: Iterable[str], drop: Iterable[str]) -> tuple[str, ...]:
    """The set that a container gets: defaults, plus `add`, minus `drop`; either may be ALL.

    As dockerd: ALL in `add` starts from everything, ALL in `drop` from nothing.
    """
    added, dropped = normalise(add), normalise(drop)
    if privileged:
        return ALL
    if "ALL" in added:
        return tuple(name for name in ALL if name not in dropped)
    base = () if "ALL" in dropped else tuple(name for name in DEFAULT if name not in dropped)
    return base + tuple(dict.fromkeys(name for name in added if name not in base))


@functools.cache
def bounding() -> frozenset[str]:
    """What this process may hand on at all (CapBnd of /proc/self/status)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("CapBnd:"):
                mask = int(line.split()[1], 16)
                return frozenset(name for bit, name in enumerate(ALL) if mask >> bit & 1)
    return frozenset(ALL)


def to_oci(names: tuple[str, ...], uid: int) -> dict[str, list[str]]:
    """The `capabilities` of an OCI process: only root gets more than the bounding set."""
    words = list(names)
    if uid == 0:
        return {"bounding": words, "effective": words, "permitted": words}
    return {"bounding": words}
