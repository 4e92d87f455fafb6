"""What has to be there before QEMU starts: program, image, keys, disk, folders to share."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from desktop.failure import ExitCode, Failure
from desktop.paths import Home, architecture, image_folder
from desktop.settings import Settings
from desktop.vm import disk, image, keys, qemu, spec

HOSTNAME = "cove"


@dataclass(frozen=True)
class Prepared:
    """All that a boot needs, checked and on disk."""

    program: str
    qemu_version: str
    image: image.Image
    settings: Settings
    shares: tuple[spec.Share, ...]
    blobs: Mapping[str, Path]
    disk_made: bool


def prepare(home: Home, settings: Settings) -> Prepared:
    """Check and make everything; raises Failure with what is missing. Blocks for file reads."""
    home.create()
    arch = architecture()
    program = qemu.find_program(arch)
    checked = image.find(image_folder(), arch, home.path / "image.json")
    shares = plan_shares(settings.shares)
    pair = keys.prepare(home.host_key, home.user_key)
    made = disk.prepare(home.disk, settings.disk_gib)
    machine = home.run / "guest.json"
    try:
        blob = spec.machine_blob(HOSTNAME, shares, time.time(), settings.isolation)
        machine.write_text(blob, encoding="utf-8")
    except OSError as error:
        raise Failure(
            f"{machine} can't be written.", f"{error.strerror}.", "Make room on the disk."
        ) from error
    blobs = {
        "opt/cove/machine": machine,
        "opt/cove/host_key": pair.host,
        "opt/cove/authorized_keys": pair.user_public,
    }
    return Prepared(program, qemu.version(program), checked, settings, shares, blobs, made)


def plan_shares(folders: tuple[str, ...]) -> tuple[spec.Share, ...]:
    """The shares, without those below another; raises Failure for a folder that isn't there."""
    shares: list[spec.Share] = []
    for folder in sorted(folders, key=lambda path: path.rstrip("/") + "/"):
        if any(_within(folder, share.path) for share in shares):
            continue
        why = ""
        if not os.path.isdir(folder):
            why = "It isn't a folder." if os.path.exists(folder) else "It doesn't exist."
        elif not os.access(folder, os.R_OK | os.X_OK):
            why = "You have no right to read it."
        if why:
            raise Failure(
                f"The folder {folder} can't be shared with the VM.",
                why,
                "Make it, or name the folders to share with `cove config set shares PATH,...`.",
                ExitCode.SETTING,
            )
        shares.append(spec.Share(f"share{len(shares)}", folder))
    return tuple(shares)


def _within(path: str, folder: str) -> bool:
    return folder == "/" or path == folder or path.startswith(folder.rstrip("/") + "/")
