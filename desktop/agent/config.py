"""Changing settings: checked against the host, the disk that exists, and what is shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from desktop import settings
from desktop.paths import Home
from desktop.settings import Settings, SettingsError
from desktop.vm import disk, prepare


def change(home: Home, changes: Mapping[str, Any]) -> Settings:
    """Change and save settings, all or none; raises Failure naming the one that can't be."""
    now = settings.load(home.settings_file)
    for key, value in changes.items():
        now = settings.changed(now, key, value)
    size = disk.size_gib(home.disk)
    if "disk" in changes and size is not None and now.disk_gib < size:
        raise SettingsError(
            f"The setting disk can't be {now.disk_gib}G.",
            f"The disk has {size}G, and a disk can only grow.",
            f"Choose {size}G or more; only what is used takes room on this computer.",
        )
    if "shares" in changes:
        prepare.plan_shares(now.shares)
    home.create()
    settings.save(home.settings_file, now)
    return now


def pending(home: Home, in_force: Settings | None) -> dict[str, Any]:
    """The settings of the file that a restart would bring into force."""
    if in_force is None:
        return {}
    try:
        wanted = settings.load(home.settings_file).to_record()
    except SettingsError:
        return {}
    now = in_force.to_record()
    return {key: value for key, value in wanted.items() if value != now[key]}
