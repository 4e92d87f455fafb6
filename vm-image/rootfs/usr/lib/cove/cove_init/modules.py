"""Kernel modules: the build wrote down which to insert, in which order."""

from __future__ import annotations

from cove_init.console import failed
from cove_init.system import insert_module, read

LISTS = "/usr/lib/cove/modules."


def listed(stage: str) -> list[str]:
    """The modules' files for a stage of the start ("early", "late", "shares", "idle")."""
    return read(LISTS + stage).decode().split()


def insert(path: str) -> None:
    """Load one; what can't be loaded is told and left out."""
    try:
        insert_module(path)
    except OSError as error:
        # a driver without its device (virtio_mem, button) says ENODEV; that is no failure
        if error.errno != 19:
            name = path.rsplit("/", 1)[-1]
            failed("module", f"{name}: {error.strerror}", "the image is damaged: rebuild it")


def insert_all(stage: str) -> None:
    """All of a stage's modules."""
    for path in listed(stage):
        insert(path)
