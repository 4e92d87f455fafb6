"""From what a container wants to its OCI config: a pure function of its inputs.

The defaults are Docker's; the document's shape is the OCI runtime spec, version 1.0.
"""

import posixpath
from collections.abc import Mapping
from typing import Any

from engine.errors import BadRequest
from engine.linux.devices import Device
from engine.linux.mounts import Mount
from engine.runtime import capabilities, defaults, seccomp
from engine.runtime.process import oci_user
from engine.runtime.resources import Resources
from engine.runtime.resources import to_oci as oci_resources
from engine.runtime.users import User
from engine.values import dataclass, field

PRIVATE = "private"
HOST = "host"
NONE = "none"
INIT_PATH = "/sbin/docker-init"


@dataclass(frozen=True)
class Rlimit:
    """One resource limit: name without RLIMIT_ ("nofile"), -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class SpecInputs:
    """Everything that shapes an OCI config; nothing else does.

    Namespaces are PRIVATE, HOST or the path of one (/proc/PID/ns/net of another container,
    a bound netns). `mounts` come after the default ones and replace those with their target;
    type "bind" with options such as rbind, ro, rslave; type "tmpfs"; Docker's --tmpfs too.
    `seccomp` is None (default profile), "unconfined" or a profile's JSON text.
    `devices` are resolved (`linux.devices.resolve`); for privileged: `list(linux.devices.walk())`.
    """

    id: str
    rootfs: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = field(default_factory=User)
    terminal: bool = False
    console_size: tuple[int, int] | None = None  # height, width
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    readonly_rootfs: bool = False
    rootfs_propagation: str = ""
    shm_size: int = 64 << 20
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    seccomp: str | None = None
    no_new_privileges: bool = False
    writable_cgroups: bool = False
    apparmor: str = ""
    masked_paths: tuple[str, ...] | None = None  # None: Docker's; () with systempaths=unconfined
    readonly_paths: tuple[str, ...] | None = None
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()  # "c 1:3 rwm"
    network: str = PRIVATE
    ipc: str = PRIVATE  # "none": a private one without /dev/shm
    pid: str = PRIVATE
    uts: str = PRIVATE
    cgroup: str = ""  # "": private on cgroup v2, host on v1
    user_namespace: str = HOST  # or the path of one that exists
    sysctls: Mapping[str, str] = field(default_factory=dict)
    rlimits: tuple[Rlimit, ...] = ()
    resources: Resources = field(default_factory=Resources)
    oom_score_adj: int = 0
    init_path: str = ""  # catatonit's path on the host: wraps args as /sbin/docker-init
    cgroup_parent: str = ""  # "": /cove
    cgroup_v2: bool = True
    annotations: Mapping[str, str] = field(default_factory=dict)


def build(inputs: SpecInputs) -> dict[str, Any]:
    """The OCI config.json of `inputs` (OCI runtime spec 1.0).

    Raises BadRequest on unknown capabilities, malformed device rules or seccomp profiles.
    """
    granted = capabilities.effective(
        privileged=inputs.privileged, add=inputs.cap_add, drop=inputs.cap_drop
    )
    config: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(inputs, granted),
        "root": {"path": inputs.rootfs, "readonly": inputs.readonly_rootfs},
        "mounts": [mount.to_oci() for mount in _mounts(inputs)],
        "linux": _linux(inputs, granted),
    }
    if inputs.uts != HOST and inputs.hostname:
        config["hostname"] = inputs.hostname
    if inputs.uts != HOST and inputs.domainname and _mapped(inputs):
        config["domainname"] = inputs.domainname  # its sysctl belongs to the machine's root
    if inputs.annotations:
        config["annotations"] = dict(inputs.annotations)
    return config


def _mapped(inputs: SpecInputs) -> bool:
    return inputs.user_namespace != HOST


def _process(inputs: SpecInputs, granted: tuple[str, ...]) -> dict[str, Any]:
    args = list(inputs.args)
    if inputs.init_path:
        args = [INIT_PATH, "--", *args]
    found: dict[str, Any] = {
        "terminal": inputs.terminal,
        "user": oci_user(inputs.user),
        "args": args,
        "env": list(inputs.env),
        "cwd": inputs.cwd or "/",
        "capabilities": capabilities.to_oci(granted, inputs.user.uid),
        "noNewPrivileges": inputs.no_new_privileges,
        "oomScoreAdj": inputs.oom_score_adj,
    }
    if inputs.console_size and inputs.terminal:
        height, width = inputs.console_size
        found["consoleSize"] = {"height": height, "width": width}
    if inputs.rlimits:
        found["rlimits"] = [_rlimit(limit) for limit in inputs.rlimits]
    if inputs.apparmor:
        found["apparmorProfile"] = inputs.apparmor
    return found


def _rlimit(limit: Rlimit) -> dict[str, Any]:
    name = f"RLIMIT_{limit.name.upper()}"
    if name not in defaults.RLIMITS:
        raise BadRequest(f"invalid ulimit type: {limit.name}")
    unlimited = (1 << 64) - 1
    return {
        "type": name,
        "soft": unlimited if limit.soft < 0 else limit.soft,
        "hard": unlimited if limit.hard < 0 else limit.hard,
    }


def _mounts(inputs: SpecInputs) -> list[Mount]:
    found = {mount.target: mount for mount in defaults.MOUNTS}
    found["/dev/shm"] = defaults.shared_memory(inputs.shm_size)
    if inputs.privileged:
        found["/sys"] = defaults.writable(found["/sys"])
    if inputs.privileged or inputs.writable_cgroups:
        found["/sys/fs/cgroup"] = defaults.writable(found["/sys/fs/cgroup"])
    if inputs.ipc == NONE:
        del found["/dev/shm"]
    elif inputs.ipc == HOST:
        # /dev/mqueue stays: mounted in the machine's IPC namespace it shows the machine's queues
        options = ("rbind", "nosuid", "noexec", "nodev")
        found["/dev/shm"] = Mount("bind", "/dev/shm", "/dev/shm", options)
        if _mapped(inputs):
            del found["/dev/mqueue"]  # that namespace isn't its own to mount
    if inputs.init_path:
        found[INIT_PATH] = Mount("bind", inputs.init_path, INIT_PATH, ("bind", "ro"))
    if _mapped(inputs):  # nobody makes nodes in a user namespace
        for device in inputs.devices:
            found[device.path] = Mount("bind", device.source, device.path, ("bind", "rprivate"))
    own = {mount.target: mount for mount in inputs.mounts}
    first = [own.pop(target, mount) for target, mount in found.items()]
    # a parent before what is mounted inside it, whatever order they were asked in
    return first + sorted(own.values(), key=lambda mount: mount.target.rstrip("/").count("/"))


def _namespaces(inputs: SpecInputs) -> list[dict[str, str]]:
    cgroup = inputs.cgroup or (PRIVATE if inputs.cgroup_v2 else HOST)
    ipc = PRIVATE if inputs.ipc == NONE else inputs.ipc
    found = [{"type": "mount"}]
    if _mapped(inputs):
        found.insert(0, {"type": "user", "path": inputs.user_namespace})
    for kind, word in (
        ("network", inputs.network),
        ("ipc", ipc),
        ("pid", inputs.pid),
        ("uts", inputs.uts),
        ("cgroup", cgroup),
    ):
        if word == PRIVATE:
            found.append({"type": kind})
        elif word.startswith("/"):
            found.append({"type": kind, "path": word})
        elif word != HOST:
            raise BadRequest(f"invalid {kind} mode: {word}")
    return found


def _sysctls(inputs: SpecInputs) -> dict[str, str]:
    found: dict[str, str] = {}
    mapped = _mapped(inputs)
    if inputs.network != HOST:
        # ping and low ports without privileges, as Docker since 20.10
        found |= {
            "net.ipv4.ip_unprivileged_port_start": "0",
            # in a user namespace the groups must be some of its own
            "net.ipv4.ping_group_range": "0 65535" if mapped else "0 2147483647",
        }
    if inputs.domainname and inputs.uts != HOST and not mapped:
        found["kernel.domainname"] = inputs.domainname
    return found | dict(inputs.sysctls)


def _device_rules(inputs: SpecInputs) -> list[dict[str, Any]]:
    if inputs.privileged:
        return [{"allow": True, "access": "rwm"}]
    rules = [*defaults.DEVICE_RULES]
    rules += [
        {
            "allow": True,
            "type": device.type,
            "major": device.major,
            "minor": device.minor,
            "access": device.permissions,
        }
        for device in inputs.devices
    ]
    return rules + [parse_device_rule(rule) for rule in inputs.device_cgroup_rules]


def parse_device_rule(text: str) -> dict[str, Any]:
    """The rule that "c 1:3 rwm" says (* is any number). Raises BadRequest."""
    words = text.split()
    numbers = words[1].split(":") if len(words) == 3 else []
    valid = (
        len(numbers) == 2
        and words[0] in ("a", "b", "c")
        and set(words[2]) <= set("rwm")
        and all(number == "*" or number.isdigit() for number in numbers)
    )
    if not valid:
        raise BadRequest(f"invalid device cgroup rule format: '{text}'")
    rule: dict[str, Any] = {"allow": True, "type": words[0], "access": words[2]}
    for key, number in zip(("major", "minor"), numbers, strict=True):
        if number != "*":
            rule[key] = int(number)
    return rule


def _cgroup_parent(inputs: SpecInputs) -> str:
    """The group that was asked for; never one outside of the cgroups, which `..` would name."""
    parent = inputs.cgroup_parent
    if ".." in parent.split("/"):
        parent = posixpath.normpath(f"/{parent.lstrip('/')}")
    return parent.rstrip("/") or "/cove"


def _linux(inputs: SpecInputs, granted: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "namespaces": _namespaces(inputs),
        "cgroupsPath": f"{_cgroup_parent(inputs)}/{inputs.id}",
        "resources": {"devices": _device_rules(inputs), **oci_resources(inputs.resources)},
        "sysctl": _sysctls(inputs),
        "devices": [] if _mapped(inputs) else [_device(device) for device in inputs.devices],
    }
    if inputs.rootfs_propagation:
        found["rootfsPropagation"] = inputs.rootfs_propagation
    for key, asked, usual in (
        ("maskedPaths", inputs.masked_paths, defaults.MASKED_PATHS),
        ("readonlyPaths", inputs.readonly_paths, defaults.READONLY_PATHS),
    ):
        if asked is not None or not inputs.privileged:
            found[key] = list(usual if asked is None else asked)
    profile = _seccomp(inputs, granted)
    if profile is not None:
        found["seccomp"] = profile
    return found


def _seccomp(inputs: SpecInputs, granted: tuple[str, ...]) -> dict[str, Any] | None:
    if inputs.seccomp == seccomp.UNCONFINED:
        return None
    if inputs.seccomp:
        return seccomp.custom(inputs.seccomp, granted)
    return None if inputs.privileged else seccomp.default(granted)


def _device(device: Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": device.type,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }
