"""Facts of the machine that the engine runs on."""

import functools
import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from engine.linux import cgroups
from engine.values import dataclass

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le"}


@dataclass(frozen=True)
class Limits:
    """Which limits the kernel can enforce."""

    memory: bool
    swap: bool
    cpu_quota: bool
    cpu_shares: bool
    cpuset: bool
    pids: bool
    oom_kill_disable: bool


@dataclass(frozen=True)
class Machine:
    """Read once at start; memory in bytes, architecture as uname and as Go name it."""

    hostname: str
    kernel: str
    operating_system: str
    os_version: str
    architecture: str
    go_architecture: str
    cpus: int
    memory: int
    cgroup_version: int
    limits: Limits
    security: Sequence[str]


@functools.cache
def machine() -> Machine:
    """This machine."""
    names = os.uname()
    release = _os_release()
    v2 = cgroups.is_v2()
    return Machine(
        hostname=names.nodename,
        kernel=names.release,
        operating_system=release.get("PRETTY_NAME") or "Linux",
        os_version=release.get("VERSION_ID", ""),
        architecture=names.machine,
        go_architecture=_ARCHITECTURES.get(names.machine, names.machine),
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cgroup_version=2 if v2 else 1,
        limits=_limits_v2() if v2 else _limits_v1(),
        security=tuple(_security(v2)),
    )


def tool_version(program: str) -> tuple[str, str]:
    """(version, commit) as the program's --version tells; "" for what it doesn't. Blocks."""
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return "", ""
    version = commit = ""
    for line in answer.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1] == "version" and not version:
            version = words[2]
        elif len(words) == 2 and words[0] == "commit:" and words[1] != "unknown":
            commit = words[1]
    return version, commit


def backing_file_system(folder: Path) -> str:
    """The type of the file system that holds the folder, in dockerd's word for ext4."""
    best, kind = -1, ""
    wanted = f"{os.path.realpath(folder)}/"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            words = line.split()
            target = words[4].rstrip("/") + "/"
            if wanted.startswith(target) and len(target) >= best:
                best, kind = len(target), words[words.index("-") + 1]
    return "extfs" if kind in ("ext2", "ext3", "ext4") else kind


def forwarding(family: str) -> bool:
    """Whether the kernel forwards packets: family is "ipv4" or "ipv6"."""
    name = "ip_forward" if family == "ipv4" else "conf/all/forwarding"
    try:
        return Path(f"/proc/sys/net/{family}/{name}").read_text().strip() == "1"
    except OSError:
        return False


def _os_release() -> dict[str, str]:
    for place in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            text = Path(place).read_text(encoding="utf-8")
        except OSError:
            continue
        found = {}
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if equals and not key.startswith("#"):
                found[key] = "".join(shlex.split(value))
        return found
    return {}


def _limits_v2() -> Limits:
    available = (cgroups.ROOT / "cgroup.controllers").read_text().split()
    memory, cpu = "memory" in available, "cpu" in available
    return Limits(
        memory=memory,
        swap=memory,
        cpu_quota=cpu,
        cpu_shares=cpu,
        cpuset="cpuset" in available,
        pids="pids" in available,
        oom_kill_disable=False,
    )


def _limits_v1() -> Limits:
    def has(controller: str, file: str) -> bool:
        return (cgroups.ROOT / controller / file).exists()

    return Limits(
        memory=has("memory", "memory.limit_in_bytes"),
        swap=has("memory", "memory.memsw.limit_in_bytes"),
        cpu_quota=has("cpu", "cpu.cfs_quota_us"),
        cpu_shares=has("cpu", "cpu.shares"),
        cpuset=has("cpuset", "cpuset.cpus"),
        pids=(cgroups.ROOT / "pids").is_dir(),
        oom_kill_disable=has("memory", "memory.oom_control"),
    )


def _security(v2: bool) -> list[str]:
    found = []
    if _reads("/sys/module/apparmor/parameters/enabled", "Y"):
        found.append("name=apparmor")
    if Path("/proc/sys/kernel/seccomp/actions_avail").exists():
        found.append("name=seccomp,profile=builtin")
    if v2:
        found.append("name=cgroupns")
    return found


def _reads(path: str, word: str) -> bool:
    try:
        return Path(path).read_text().strip() == word
    except OSError:
        return False
