"""From a container's record to the inputs of its OCI config."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.containers import limits
from engine.containers.container import Container
from engine.containers.neighbours import Settings
from engine.containers.record import Json, MountPoint, Record
from engine.containers.rootfs import pin_of, pinned
from engine.errors import Conflict, EngineError
from engine.linux import devices
from engine.linux.devices import Device
from engine.linux.mounts import Mount, mounted
from engine.linux.shared import is_shared
from engine.networks import Sandbox
from engine.runtime.spec import HOST, PRIVATE, Rlimit, SpecInputs
from engine.runtime.users import User

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_FALSE = frozenset("0 f F false FALSE False".split())
Find = Callable[[str], Container]


def environment(record: Record, home: str = "/root", linked: Iterable[str] = ()) -> tuple[str, ...]:
    """Docker's default variables and those of links, replaced or followed by the container's."""
    defaults = [PATH, f"HOSTNAME={record.config['Hostname']}"]
    if record.terminal:
        defaults.append("TERM=xterm")
    defaults += linked
    merged = {entry.partition("=")[0]: entry for entry in defaults}
    for entry in record.config.get("Env") or ():
        name, equals, _ = entry.partition("=")
        if equals:
            merged[name] = entry
        else:  # a bare name takes the variable away
            merged.pop(name, None)
    merged.setdefault("HOME", f"HOME={home}")
    return tuple(merged.values())


def _bind_options(point: MountPoint, source: str) -> tuple[str, ...]:
    recursive = not point.options.get("NonRecursive")
    words = ["rbind" if recursive else "bind", point.propagation or "rprivate"]
    if not point.writable:
        words.append("ro")
        # nothing lies below a file; and crun before 1.14.4 takes each "rro" source for a folder
        below = recursive and os.path.isdir(source)
        if below and not point.options.get("ReadOnlyNonRecursive"):
            words.append("rro")
    elif _is_read_only(source):
        words.append("ro")  # crun's remount would make it writable
    return tuple(words)


def _is_read_only(source: str) -> bool:
    """Whether the source's own mount is: a volume's with the option `ro`, or one of this machine.

    Only local disks are asked. Others (of the user's machine, of file servers) may take long to
    answer, and their own read-only state is nothing that a remount changes.
    """
    try:
        if is_shared(source) or not os.major(os.stat(source).st_dev):
            return False
        return bool(os.statvfs(source).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _tmpfs_options(words: list[str], *, writable: bool = True) -> tuple[str, ...]:
    chosen = ["noexec", "nosuid", "nodev"]
    opposites = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}
    for word in words:
        if word in opposites:
            chosen.remove(opposites[word])
        elif word and word not in chosen:
            chosen.append(word)
    return tuple([*chosen, *([] if writable else ["ro"])])


def _point_mount(point: MountPoint, source: str) -> Mount:
    if point.type == "tmpfs":
        options = _tmpfs_options(point.options.get("words") or [], writable=point.writable)
        return Mount("tmpfs", "tmpfs", point.destination, options)
    return Mount("bind", source, point.destination, _bind_options(point, source))


def _below(point: MountPoint, pin: str) -> Iterator[Mount]:
    """What is mounted below a pinned source: in a user namespace crun 1.8 leaves it out."""
    for one in mounted():
        if one.target.startswith(f"{pin}/"):
            target = point.destination + one.target.removeprefix(pin)
            yield Mount("bind", one.target, target, _bind_options(point, one.target))


def file_mounts(record: Record, folder: Path) -> Iterator[Mount]:
    """The mounts of /etc/hosts and the like, where no mount of the user's stands there."""
    targets = {point.destination for point in record.mounts}
    options = ("rbind", "rprivate", *(("ro",) if record.host_config["ReadonlyRootfs"] else ()))
    for name in ("resolv.conf", "hostname", "hosts"):
        if f"/etc/{name}" not in targets and (folder / name).exists():
            yield Mount("bind", str(folder / name), f"/etc/{name}", options)


def container_mounts(
    record: Record, folder: Path, shm: str, network: Path | None = None
) -> tuple[Mount, ...]:
    """All mounts of the container, parents before their children.

    `network` is the folder of the container whose network it joins: /etc/hosts and the like are
    the same files for both, as with Docker.
    """
    found = list(file_mounts(record, network or folder))
    for number, point in enumerate(record.mounts):
        source = str(pin_of(folder, number)) if pinned(record, point) else point.source
        found.append(_point_mount(point, source))
        if record.id_base and point.type == "bind" and not point.options.get("NonRecursive"):
            found += _below(point, source)
    for target, words in (record.host_config.get("Tmpfs") or {}).items():
        found.append(Mount("tmpfs", "tmpfs", target, _tmpfs_options(words.split(","))))
    if shm:
        options = ("rbind", "rprivate", "nosuid", "nodev", "noexec")
        found.append(Mount("bind", shm, "/dev/shm", options))
    return tuple(sorted(found, key=lambda mount: mount.target.rstrip("/").count("/")))


def joined(mode: str, find: Find, what: str) -> Container:
    """The running container of `container:X`. Raises NotFound or Conflict."""
    other = find(mode.partition(":")[2])
    if not other.live or other.running is None:
        raise Conflict(f"cannot join {what} of a non running container: {other.id}")
    return other


def _namespace(mode: str, kind: str, what: str, find: Find) -> str:
    if mode == "host":
        return HOST
    if mode.startswith("container:"):
        other = joined(mode, find, what)
        assert other.running is not None
        return f"/proc/{other.running.pid}/ns/{kind}"
    return PRIVATE


def _ipc(host: Json, find: Find) -> str:
    mode = host["IpcMode"]
    if mode == "none":
        return "none"
    if mode.startswith("container:"):
        other = joined(mode, find, "IPC")
        if other.record.host_config["IpcMode"] not in ("shareable", "host"):
            raise EngineError(
                f"can't join IPC of container {other.id}: non-shareable IPC "
                "(hint: use IpcMode:shareable for the donor container)"
            )
    return _namespace(mode, "ipc", "IPC", find)


def _devices(host: Json) -> Iterator[Device]:
    if host["Privileged"]:
        yield from devices.walk()
        return
    for entry in host.get("Devices") or ():
        source = entry.get("PathOnHost") or ""
        try:
            yield from devices.resolve(
                source,
                entry.get("PathInContainer") or source,
                entry.get("CgroupPermissions") or "rwm",
            )
        except (OSError, ValueError) as error:
            why = (error.strerror or "").lower() if isinstance(error, OSError) else "not a device"
            raise EngineError(
                f'error gathering device information while adding custom device "{source}": {why}'
            ) from error


def _security(host: Json) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in host.get("SecurityOpt") or ():
        key, separator, value = option.partition("=")
        if not separator:
            key, _, value = option.partition(":")
        if key == "seccomp":
            found["seccomp"] = None if value in ("", "builtin") else value
        elif key == "no-new-privileges":
            found["no_new_privileges"] = value not in _FALSE
        elif key == "writable-cgroups":
            found["writable_cgroups"] = value not in _FALSE
    return found


def _rlimits(host: Json) -> tuple[Rlimit, ...]:
    return tuple(
        Rlimit(
            str(one.get("Name") or "").lower(), int(one.get("Soft") or 0), int(one.get("Hard") or 0)
        )
        for one in host.get("Ulimits") or ()
    )


def _paths(host: Json, key: str) -> tuple[str, ...] | None:
    value = host.get(key)
    return None if value is None else tuple(value)


def _init_path(host: Json, settings: Settings) -> str:
    if not host.get("Init"):
        return ""
    if not settings.init_path or not os.path.exists(settings.init_path):
        raise EngineError(
            'exec: "docker-init": executable file not found in $PATH: install catatonit'
        )
    return settings.init_path


def spec_inputs(
    container: Container,
    sandbox: Sandbox,
    user: User,
    settings: Settings,
    find: Find,
    shm: str = "",
    linked: Iterable[str] = (),
) -> SpecInputs:
    """Everything that shapes the container's OCI config.

    `find` gives the containers whose namespaces are joined. Raises EngineError for what isn't
    there at this moment: a device, a namespace's owner, a subpath.
    """
    record = container.record
    config, host = record.config, record.host_config
    folder = settings.folder / record.id
    mode = host["NetworkMode"]
    joins_network = mode.startswith("container:")
    size = host.get("ConsoleSize") or [0, 0]
    return SpecInputs(
        id=record.id,
        rootfs=str(folder / "rootfs"),
        args=(record.path, *record.args),
        env=environment(record, user.home, linked),
        cwd=config["WorkingDir"] or "/",
        user=user,
        terminal=record.terminal,
        console_size=(size[0], size[1]) if record.terminal and all(size) else None,
        hostname="" if host["UTSMode"] == "host" else config["Hostname"],
        domainname=config["Domainname"],
        mounts=container_mounts(
            record,
            folder,
            shm,
            settings.folder / joined(mode, find, "network").id if joins_network else None,
        ),
        readonly_rootfs=host["ReadonlyRootfs"],
        shm_size=host["ShmSize"],
        privileged=host["Privileged"],
        cap_add=tuple(host["CapAdd"] or ()),
        cap_drop=tuple(host["CapDrop"] or ()),
        masked_paths=_paths(host, "MaskedPaths"),
        readonly_paths=_paths(host, "ReadonlyPaths"),
        devices=tuple(_devices(host)),
        device_cgroup_rules=tuple(host["DeviceCgroupRules"] or ()),
        network=_namespace(mode, "net", "network", find)
        if joins_network
        else (str(sandbox.netns) if sandbox.netns else HOST),
        ipc=_ipc(host, find),
        pid=_namespace(host["PidMode"], "pid", "PID", find),
        uts=HOST if host["UTSMode"] == "host" else PRIVATE,
        cgroup=HOST if host["CgroupnsMode"] == "host" else PRIVATE,
        sysctls=host.get("Sysctls") or {},
        rlimits=_rlimits(host),
        resources=limits.resources(host, settings.machine),
        oom_score_adj=host["OomScoreAdj"],
        init_path=_init_path(host, settings),
        cgroup_parent=host["CgroupParent"],
        cgroup_v2=settings.machine.cgroup_v2,
        annotations=host.get("Annotations") or {},
        **_security(host),
    )
