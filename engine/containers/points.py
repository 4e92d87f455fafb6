"""Mount points of a container, from -v, --mount, --tmpfs, --volumes-from and the image.

Pure but for the look at bind sources: nothing is created here.
"""

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.containers.record import Json, MountPoint, Record
from engine.containers.shares import Shares
from engine.errors import BadRequest, EngineError

_VOLUME_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")
_PROPAGATIONS = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})
_CONSISTENCY = frozenset({"consistent", "cached", "delegated", "default", ""})
_ACCESS = frozenset({"ro", "rw"})
_LABELS = frozenset({"z", "Z"})


def clean_target(target: str, shown: str, kind: str = "volume") -> str:
    """The normalised destination. Raises BadRequest for a relative one and for `/`."""
    prefix = f"invalid volume specification: '{shown}': invalid mount config for type \"{kind}\": "
    if not target.startswith("/"):
        raise EngineError(f"{prefix}invalid mount path: '{target}' mount path must be absolute")
    clean = "/" + posixpath.normpath(target).lstrip("/")
    if clean == "/":
        raise EngineError(f"{prefix}invalid specification: destination can't be '/'")
    return clean


def _parse_mode(mode: str, shown: str, *, bind: bool) -> tuple[bool, str, bool]:
    """(writable, propagation, copy from the image) of a mode such as `ro,rslave`."""
    kind, other = ("bind", "Volume") if bind else ("volume", "Bind")
    misplaced = {"nocopy"} if bind else _PROPAGATIONS
    if misplaced & set(mode.split(",")):
        raise EngineError(
            f"invalid volume specification: '{shown}': invalid mount config for type \"{kind}\": "
            f"field {other}Options must not be specified"
        )
    writable, propagation, copy = True, "", True
    seen: set[str] = set()
    for word in mode.split(",") if mode else ():
        if word in _ACCESS:
            group, writable = "access", word == "rw"
        elif word in _PROPAGATIONS and bind:
            group, propagation = "propagation", word
        elif word == "nocopy" and not bind:
            group, copy = "copy", False
        elif word in _LABELS:
            group = "label"
        elif word in _CONSISTENCY and word:
            group = "consistency"
        else:
            group = ""
        if not group or group in seen:
            raise EngineError(f"invalid mode: {mode}")
        seen.add(group)
    return writable, propagation, copy


def _volume_name(name: str) -> str:
    if len(name) == 1:
        raise BadRequest(
            f"create {name}: volume name is too short, "
            "names should be at least two alphanumeric characters"
        )
    if not _VOLUME_NAME.match(name):
        raise BadRequest(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
            "use absolute path"
        )
    return name


def parse_bind(text: str, shares: Shares, driver: str = "") -> MountPoint:
    """One `-v` of a HostConfig's Binds. Raises BadRequest in dockerd's words."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts[:2]):
        raise EngineError(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        target = clean_target(parts[0], text)
        return MountPoint(
            "volume", target, driver=driver or "local", mode="z", copy_up=True, anonymous=True
        )
    source, mode = parts[0], parts[2] if len(parts) == 3 else ""
    bind = source.startswith("/")
    if not parts[1].startswith("/") and parts[1] in _ACCESS:
        raise EngineError(f"invalid volume specification: '{text}'")
    target = clean_target(parts[1], text, "bind" if bind else "volume")
    writable, propagation, copy = _parse_mode(mode, text, bind=bind)
    if bind:
        clean = posixpath.normpath(source)
        return MountPoint(
            "bind",
            target,
            source=shares.locate(clean),
            shown_source=clean,
            mode=mode,
            writable=writable,
            propagation=propagation or "rprivate",
            create_source=True,
        )
    return MountPoint(
        "volume",
        target,
        name=_volume_name(source),
        driver=driver or "local",
        mode=mode or "z",
        writable=writable,
        copy_up=copy,
    )


def _refuse(kind: str, why: str) -> BadRequest:
    return BadRequest(f'invalid mount config for type "{kind}": {why}')


def parse_mount(mount: Mapping[str, Any], shares: Shares) -> MountPoint:
    """One `--mount` of a HostConfig's Mounts. Raises BadRequest in dockerd's words."""
    kind, target = mount.get("Type") or "", mount.get("Target") or ""
    if not target:
        raise _refuse(kind, "field Target must not be empty")
    if kind not in _KINDS:
        raise _refuse(kind, "mount type unknown")
    if not target.startswith("/"):
        raise _refuse(kind, f"invalid mount path: '{target}' mount path must be absolute")
    clean = "/" + posixpath.normpath(target).lstrip("/")
    if clean == "/":
        raise _refuse(kind, "invalid specification: destination can't be '/'")
    if mount.get("Consistency", "") not in _CONSISTENCY:
        raise _refuse(kind, f"invalid consistency: {mount['Consistency']}")
    if mount.get("ImageOptions") is not None and kind != "image":
        raise _refuse(kind, "field ImageOptions must not be specified")
    for owner in ("bind", "volume", "tmpfs", "cluster"):
        key = f"{owner.capitalize()}Options"
        if mount.get(key) is not None and kind != owner:
            raise BadRequest(f'{key} must not be specified on mount type "{kind}"')
    return _KINDS[kind](mount, clean, shares)


def _bind_mount(mount: Mapping[str, Any], target: str, shares: Shares) -> MountPoint:
    source, options = mount.get("Source") or "", mount.get("BindOptions") or {}
    if not source:
        raise _refuse("bind", "field Source must not be empty")
    if not source.startswith("/"):
        raise _refuse("bind", f"invalid mount path: '{source}' mount path must be absolute")
    propagation = options.get("Propagation") or "rprivate"
    if propagation not in _PROPAGATIONS:
        raise _refuse("bind", f"invalid propagation mode: {propagation}")
    located = shares.locate(source)
    create = bool(options.get("CreateMountpoint"))
    if not create and not os.path.lexists(located):
        raise _refuse("bind", f"bind source path does not exist: {source}")
    return MountPoint(
        "bind",
        target,
        source=located,
        shown_source=posixpath.normpath(source),
        writable=not mount.get("ReadOnly"),
        propagation=propagation,
        create_source=create,
        options={
            key: bool(options.get(key))
            for key in ("NonRecursive", "ReadOnlyNonRecursive", "ReadOnlyForceRecursive")
        },
    )


def _volume_mount(mount: Mapping[str, Any], target: str, shares: Shares) -> MountPoint:
    options = mount.get("VolumeOptions") or {}
    driver = options.get("DriverConfig") or {}
    name = mount.get("Source") or ""
    subpath = options.get("Subpath") or ""
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise _refuse("volume", "subpath must be a relative path within the volume")
    if subpath and not name:
        raise _refuse("volume", "must not set Subpath when using anonymous volumes")
    if mount.get("ReadOnly") and not name:
        raise _refuse("volume", "must not set ReadOnly mode when using anonymous volumes")
    return MountPoint(
        "volume",
        target,
        name=_volume_name(name) if name else "",
        driver=driver.get("Name") or "local",
        mode="z",
        writable=not mount.get("ReadOnly"),
        copy_up=not options.get("NoCopy") and not subpath,
        anonymous=not name,
        subpath=subpath,
        options={"labels": options.get("Labels") or {}, "driver": driver.get("Options") or {}},
    )


def _tmpfs_mount(mount: Mapping[str, Any], target: str, shares: Shares) -> MountPoint:
    if mount.get("Source"):
        raise _refuse("tmpfs", "field Source must not be specified")
    options = mount.get("TmpfsOptions") or {}
    words = []
    if options.get("SizeBytes"):
        words.append(f"size={int(options['SizeBytes'])}")
    if options.get("Mode"):
        words.append(f"mode={int(options['Mode']):o}")
    for pair in options.get("Options") or ():
        if not 1 <= len(pair) <= 2:
            raise _refuse("tmpfs", "invalid option array length")
        if len(pair) > 1 or pair[0] not in ("exec", "noexec"):
            raise _refuse("tmpfs", f"invalid option: {pair[0]}")
        words.append(pair[0])
    return MountPoint("tmpfs", target, writable=not mount.get("ReadOnly"), options={"words": words})


def _image_mount(mount: Mapping[str, Any], target: str, shares: Shares) -> MountPoint:
    name, options = mount.get("Source") or "", mount.get("ImageOptions") or {}
    if not name:
        raise _refuse("image", "field Source must not be empty")
    subpath = options.get("Subpath") or ""
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise _refuse("image", "subpath must be a relative path within the volume")
    return MountPoint(
        "image", target, name=name, writable=False, propagation="rprivate", subpath=subpath
    )


_KINDS = {
    "bind": _bind_mount,
    "image": _image_mount,
    "tmpfs": _tmpfs_mount,
    "volume": _volume_mount,
}


def _inherited(host: Json, find: Callable[[str], Record]) -> Iterable[MountPoint]:
    for entry in host.get("VolumesFrom") or ():
        if not entry:
            raise BadRequest("volumes-from specification cannot be an empty string")
        name, _, mode = entry.partition(":")
        if "nocopy" in mode.split(","):
            raise BadRequest(f"invalid mode: {mode}")
        try:
            writable, _, _ = _parse_mode(mode, entry, bind=False)
        except EngineError as error:
            raise BadRequest(error.message) from error
        for point in find(name).mounts:
            if point.type == "tmpfs":
                continue
            yield MountPoint(
                **{
                    **point.__dict__,
                    "writable": point.writable and writable,
                    "mode": mode or point.mode,
                    "copy_up": False,
                }
            )


def mount_points(
    config: Json, host: Json, shares: Shares, find: Callable[[str], Record]
) -> list[MountPoint]:
    """Every mount point that the two documents ask for; `find` gives --volumes-from's containers.

    Raises BadRequest (also on two mounts with one destination) or NotFound.
    """
    points = {point.destination: point for point in _inherited(host, find)}
    own: set[str] = set()

    def add(point: MountPoint) -> None:
        if point.destination in own:
            raise BadRequest(f"Duplicate mount point: {point.destination}")
        own.add(point.destination)
        points[point.destination] = point

    for text in host.get("Binds") or ():
        add(parse_bind(text, shares, host.get("VolumeDriver") or ""))
    for mount in host.get("Mounts") or ():
        add(parse_mount(mount, shares))
    for target in host.get("Tmpfs") or {}:
        if not target.startswith("/"):
            raise BadRequest(f"invalid mount path: '{target}' mount path must be absolute")
        clean = "/" + posixpath.normpath(target).lstrip("/")
        if clean == "/":
            raise BadRequest("invalid specification: destination can't be '/'")
        if clean in own:
            raise BadRequest(f"Duplicate mount point: {target}")
        own.add(clean)
    for target in config.get("Volumes") or {}:
        clean = clean_target(target, target)
        if clean not in points and clean not in own:
            points[clean] = MountPoint(
                "volume",
                clean,
                driver=host.get("VolumeDriver") or "local",
                copy_up=True,
                anonymous=True,
            )
    return list(points.values())
