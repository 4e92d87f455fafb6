"""From what a container wants to its OCI config: a pure function of its inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.linux.devices import Device
from engine.linux.mounts import Mount
from engine.runtime.resources import Resources
from engine.runtime.users import User

PRIVATE = "private"
HOST = "host"


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
    user_namespace: str = HOST
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
    raise RuntimeError
