"""The build cache seen from outside: rows for `docker system df`, and its pruning."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import times
from engine.builder.records import Entry, Kind
from engine.builder.workshop import Workshop
from engine.errors import BadRequest
from engine.filters import Filters

# the cache may have a tenth of the disk, and 2 GiB in any case
_SHARE, _LEAST = 10, 2 << 30
_MOST_STEPS = 10_000
_ALLOWED = frozenset(
    {"id", "parent", "type", "description", "inuse", "shared", "private", "until", "unused-for"}
)


def rows(shop: Workshop) -> list[dict[str, Any]]:
    """One row an entry that takes space; blocks."""
    shared = _shared(shop)
    parents = {entry.key for entry in shop.records}
    found = []
    for entry in shop.records:
        if entry.kind is Kind.STEP:
            continue
        row: dict[str, Any] = {
            "ID": identity(entry.key),
            "Type": entry.kind.value,
            "Description": entry.description,
            "InUse": in_use(shop, entry),
            "Shared": entry.chain_id in shared,
            "Size": _size(shop, entry),
            "CreatedAt": entry.created,
            "LastUsedAt": entry.last_used or None,
            "UsageCount": entry.uses,
        }
        if entry.parent in parents:
            row["Parents"] = [identity(entry.parent)]
        found.append(row)
    return found


def identity(key: str) -> str:
    """A key as people see it."""
    return key[:25]


def in_use(shop: Workshop, entry: Entry) -> bool:
    """Whether a build is working with it."""
    if entry.kind is Kind.MOUNT:
        return shop.caches.busy(entry.key)
    return bool(entry.chain_id) and shop.images.leases.holds_layer(entry.chain_id)


def _shared(shop: Workshop) -> set[str]:
    """The layers that some image has, too."""
    return {chain_id for image in shop.images.catalogue for chain_id in image.chain_ids}


def _size(shop: Workshop, entry: Entry) -> int:
    if entry.kind is not Kind.MOUNT:
        return entry.size
    return _measure(shop.caches.folder(entry.key))


def _measure(folder: Path) -> int:
    """Bytes of the plain files below a folder, however deep it is."""
    size = 0
    pending = [str(folder)]
    while pending:
        # a step that runs took it away, or it's deeper than a path can name
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(OSError):
                        size += entry.stat(follow_symlinks=False).st_size
    return size


async def prune(
    shop: Workshop, filters: Filters, *, everything: bool, keep: int
) -> tuple[list[str], int]:
    """Forget entries by filters, those unused for longest first, and delete their files.

    everything: layers that images share, too (they stay on the disk). keep: bytes that may stay.
    """
    filters.check(_ALLOWED)
    shared = _shared(shop)
    sizes = await asyncio.to_thread(
        lambda: {entry.key: _size(shop, entry) for entry in list(shop.records)}
    )
    total = sum(size for key, size in sizes.items() if _is_own(shop, key, shared))
    doomed: list[Entry] = []
    for entry in sorted(shop.records, key=lambda entry: entry.last_used or entry.created):
        if keep and total <= keep:
            break
        if in_use(shop, entry) or entry.chain_id in shared and not everything:
            continue
        if entry.kind is Kind.STEP and not everything:
            continue
        if _chosen(entry, filters, shared):
            doomed.append(entry)
            total -= sizes[entry.key] if entry.chain_id not in shared else 0
    await shop.records.drop([entry.key for entry in doomed])
    freed = await _delete(shop, doomed, sizes)
    told = [identity(entry.key) for entry in doomed if entry.kind is not Kind.STEP]
    return told, freed


async def collect(shop: Workshop) -> None:
    """Keep the cache within its share of the disk, and its small records within a number."""
    limit = max(_LEAST, shutil.disk_usage(shop.folders.root).total // _SHARE)
    await prune(shop, Filters(), everything=False, keep=limit)
    steps = [entry for entry in shop.records if entry.kind is Kind.STEP]
    if len(steps) > _MOST_STEPS:
        steps.sort(key=lambda entry: entry.last_used or entry.created)
        await shop.records.drop([entry.key for entry in steps[: -_MOST_STEPS // 2]])


def _is_own(shop: Workshop, key: str, shared: set[str]) -> bool:
    """Whether an entry takes space that no image takes anyway."""
    entry = shop.records.get(key)
    return entry is not None and entry.chain_id not in shared


async def _delete(shop: Workshop, doomed: list[Entry], sizes: Mapping[str, int]) -> int:
    """Delete the files of forgotten entries; bytes given back."""
    freed = 0
    for entry in doomed:
        if entry.kind is Kind.MOUNT:
            await asyncio.to_thread(shop.caches.remove, entry.key)
            freed += sizes[entry.key]
        elif entry.chain_id:
            await shop.images.collect([entry.chain_id], [entry.blob])
            if shop.snapshots.layers.get(entry.chain_id) is None:
                freed += entry.size
    return freed


def _chosen(entry: Entry, filters: Filters, shared: set[str]) -> bool:
    """Whether all filters let the entry be removed."""
    words = {
        "id": identity(entry.key),
        "type": entry.kind.value,
        "description": entry.description,
        "parent": identity(entry.parent),
    }
    for name, value in words.items():
        wanted = filters.values(name)
        if wanted and not any(value.startswith(each) or value == each for each in wanted):
            return False
    for name in ("until", "unused-for"):
        for text in filters.values(name):
            if _moment(entry.last_used or entry.created) > times.parse_time(text):
                return False
    is_shared = entry.chain_id in shared
    for name, holds in (("shared", is_shared), ("private", not is_shared), ("inuse", False)):
        wanted = filters.values(name)
        if wanted and (wanted[-1].lower() not in ("0", "false")) != holds:
            return False
    return True


def _moment(text: str) -> int:
    try:
        return times.parse_time(text)
    except BadRequest:
        return 0
