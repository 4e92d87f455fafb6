"""Control groups, v1 (a folder a controller) and v2: find, freeze, list, remove.

A path such as "/cove/ID" names the same group in each hierarchy.
"""

import contextlib
import functools
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_FREEZE_SECONDS = 10.0
_REMOVE_SECONDS = 10.0


@functools.cache
def is_v2() -> bool:
    """Whether this machine has the unified hierarchy alone."""
    return (ROOT / "cgroup.controllers").exists()


@functools.cache
def hierarchies() -> tuple[str, ...]:
    """The folders of v1 hierarchies, each once: cpu,cpuacct may be links to one."""
    if is_v2():
        return (str(ROOT),)
    with os.scandir(ROOT) as entries:
        found = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    return tuple(sorted(found))


def folder(path: str, controller: str) -> Path:
    """The folder of group `path` that holds the files of `controller`."""
    return ROOT / path.lstrip("/") if is_v2() else ROOT / controller / path.lstrip("/")


def folders(path: str) -> Iterator[str]:
    """The folder of `path` in every hierarchy, whether it exists or not."""
    for hierarchy in hierarchies():
        yield f"{hierarchy}/{path.lstrip('/')}"


def path_of(pid: int) -> str:
    """The group of `pid` (its memory controller's on v1). Raises ProcessLookupError."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    wanted = "" if is_v2() else "memory"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if wanted in controllers.split(","):
            return path
    return "/"


def processes(path: str) -> list[int]:
    """Every process in the group and below it, oldest pid first."""
    found: set[int] = set()
    for current, _, _ in os.walk(folder(path, "pids")):
        with contextlib.suppress(OSError):
            text = Path(current, "cgroup.procs").read_text(encoding="ascii")
            found.update(int(word) for word in text.split())
    return sorted(found)


def _write(file: Path, text: str) -> None:
    with open(file, "w", encoding="ascii") as handle:
        handle.write(text)


def _await(file: Path, wanted: str, seconds: float) -> None:
    """Look at `file` until `wanted` is in it. The kernel tells of it by poll(2) on v2 alone."""
    deadline = time.monotonic() + seconds
    pause = 0.0005
    while wanted not in file.read_text(encoding="ascii"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file} did not show {wanted!r} within {seconds:.0f} s")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def freeze(path: str) -> None:
    """Stop every process of the group; returns when they have. Blocks: call it in a thread."""
    if is_v2():
        group = folder(path, "")
        _write(group / "cgroup.freeze", "1")
        _await(group / "cgroup.events", "frozen 1", _FREEZE_SECONDS)
    else:
        state = folder(path, "freezer") / "freezer.state"
        _write(state, "FROZEN")
        _await(state, "FROZEN", _FREEZE_SECONDS)


def thaw(path: str) -> None:
    """Let a frozen group go on. Blocks: call it in a thread."""
    if is_v2():
        group = folder(path, "")
        _write(group / "cgroup.freeze", "0")
        _await(group / "cgroup.events", "frozen 0", _FREEZE_SECONDS)
    else:
        state = folder(path, "freezer") / "freezer.state"
        _write(state, "THAWED")
        _await(state, "THAWED", _FREEZE_SECONDS)


def oom_kills(path: str) -> int:
    """How many processes of the group the kernel killed for want of memory."""
    name = "memory.events" if is_v2() else "memory.oom_control"
    try:
        text = (folder(path, "memory") / name).read_text(encoding="ascii")
    except OSError:
        return 0
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "oom_kill":
            return int(value)
    return 0


def lift_pids_limit(path: str) -> None:
    """Let the group have any number of processes."""
    _write(folder(path, "pids") / "pids.max", "max")


def kill(path: str) -> None:
    """SIGKILL every process of the group and below."""
    for pid in processes(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def remove(path: str) -> None:
    """Remove the group everywhere, killing what is in it. Blocks while processes die.

    A group that is gone already is fine. Raises OSError when it can't be emptied in 10 s.
    """
    deadline = time.monotonic() + _REMOVE_SECONDS
    pause = 0.0005
    while left := [one for one in folders(path) if not _remove_tree(one)]:
        if time.monotonic() > deadline:
            raise OSError(f"cgroup {left[0]} is still in use")
        kill(path)
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def _remove_tree(top: str) -> bool:
    """rmdir `top`, and what is below it when that must go first; whether it's gone."""
    try:
        os.rmdir(top)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        pass
    if not is_v2() and os.stat(top).st_dev == os.stat(ROOT).st_dev:
        # the runtime takes the bare mount point of the hybrid layout for a hierarchy too
        shutil.rmtree(top, ignore_errors=True)
        return True
    for current, names, _ in os.walk(top, topdown=False):
        for name in names:
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(current, name))
    with contextlib.suppress(OSError):
        os.rmdir(top)
    return not os.path.isdir(top)
