"""What is kept about a running VM, so that an agent started later can take it over."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from desktop.settings import Settings
from desktop.vm.accel import Accel, Choice
from desktop.vm.qemu import Identity
from desktop.vm.spec import Share


@dataclass(frozen=True)
class Running:
    """A VM that was started: which process, how, with what."""

    identity: Identity
    choice: Choice
    settings: Settings
    shares: tuple[Share, ...]
    started_at: float
    boot_seconds: float | None


def save(path: Path, running: Running) -> None:
    """Write the record, whole or not at all; raises OSError."""
    words = {
        "pid": running.identity.pid,
        "began": running.identity.began,
        "accel": running.choice.accel,
        "reason": running.choice.reason,
        "cpus": running.settings.cpus,
        "memory_mib": running.settings.memory_mib,
        "disk_gib": running.settings.disk_gib,
        "share_paths": running.settings.shares,
        "isolation": running.settings.isolation,
        "shares": [(each.tag, each.path, each.kind) for each in running.shares],
        "started_at": running.started_at,
        "boot_seconds": running.boot_seconds,
    }
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    scratch.write_text(json.dumps(words) + "\n", encoding="utf-8")
    scratch.replace(path)


def load(path: Path) -> Running | None:
    """The record of a machine that runs or ran; None when there is none to be understood."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        words = json.loads(path.read_text(encoding="utf-8"))
        seconds = words["boot_seconds"]
        return Running(
            Identity(int(words["pid"]), str(words["began"])),
            Choice(Accel(words["accel"]), str(words["reason"])),
            Settings(
                cpus=int(words["cpus"]),
                memory_mib=int(words["memory_mib"]),
                disk_gib=int(words["disk_gib"]),
                shares=tuple(str(each) for each in words["share_paths"]),
                isolation=str(words.get("isolation", "standard")),
            ),
            tuple(Share(*map(str, each)) for each in words["shares"]),
            float(words["started_at"]),
            None if seconds is None else float(seconds),
        )
    return None


def orphan(path: Path) -> int:
    """The pid of the recorded VM if that process still lives, 0 else."""
    running = load(path)
    return running.identity.pid if running is not None and running.identity.alive() else 0
