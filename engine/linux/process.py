"""Processes: pidfds, start times and names; a pid alone may have been reused."""

import contextlib
import os
import signal


def start_time(pid: int) -> int | None:
    """When `pid` began, in clock ticks since boot (proc_pid_stat(5) field 22); None if gone."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def state(pid: int) -> str | None:
    """The state letter of `pid` (R, S, D, Z...); None if it's gone."""
    fields = _stat_fields(pid)
    return fields[0] if fields else None


def alive(pid: int, started: int | None = None) -> bool:
    """Whether `pid` runs (a zombie doesn't), and is the one that began at `started`."""
    fields = _stat_fields(pid)
    if not fields or fields[0] in ("Z", "X"):
        return False
    return started is None or int(fields[19]) == started


def comm(pid: int) -> str | None:
    """The kernel's short name of `pid`; None if it's gone."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return None


def send_signal(pid: int, number: int) -> bool:
    """Signal `pid`; False when it's gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def open_pidfd(pid: int) -> int | None:
    """A pidfd (readable once the process has ended); None if it's gone."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def signal_pidfd(pidfd: int, number: int) -> bool:
    """Signal the very process behind `pidfd`; False when it's gone."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)
        return True
    return False


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name in parentheses, which may hold spaces."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def spare(score: int, pid: int | str = "self") -> None:
    """How the kernel ranks a process when memory runs out (proc_pid_oom_score_adj(5)).

    Children inherit it. Without CAP_SYS_RESOURCE a lower score changes nothing.
    """
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
        file.write(str(score))
