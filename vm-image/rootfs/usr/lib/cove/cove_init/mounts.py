"""The file systems of a running system, control groups, kernel settings."""

from __future__ import annotations

import os

from cove_init.console import failed, say
from cove_init.system import (
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_REC,
    MS_SHARED,
    RLIM_INFINITY,
    RLIMIT_NOFILE,
    RLIMIT_NPROC,
    mount,
    read,
    set_limit,
    write,
)  # fmt: skip

KEPT = 96 << 20  # bytes of memory at least that are not for containers
SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC
CGROUP = "/sys/fs/cgroup"
# /dev and /sys come from the initrd; /proc is there since PID 1's first line.
TABLE = (
    ("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"),
    ("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"),
    ("root", "/root", "tmpfs", MS_NOSUID | MS_NODEV, "mode=700,size=64m"),
    ("host_mnt", "/host_mnt", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m"),
    # favordynmods: a process moves into a new cgroup without waiting for an RCU grace period,
    # which every start of a container pays otherwise (about 14 ms).
    ("cgroup", CGROUP, "cgroup2", SAFE, "nsdelegate,memory_recursiveprot,favordynmods"),
)
DEVICES = (
    ("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"),
    ("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"),
    ("mqueue", "/dev/mqueue", "mqueue", SAFE, ""),
)
LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
FOLDERS = ("/run/cove", "/run/cove/ssh", "/run/cove/engine", "/run/sshd", "/run/lock", "/run/log")
SETTINGS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/forwarding": "1",
    "net/core/somaxconn": "4096",
    "fs/inotify/max_user_watches": "1048576",
    "fs/inotify/max_user_instances": "8192",
    "fs/inotify/max_queued_events": "65536",
    "vm/overcommit_memory": "1",
    "vm/max_map_count": "1048576",
    "kernel/pid_max": "4194304",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/maxkeys": "20000",
    "kernel/keys/maxbytes": "400000",
    "kernel/ctrl-alt-del": "0",
    "kernel/printk": "4 4 1 4",
}


def attach(table: tuple[tuple[str, str, str, int, str], ...]) -> None:
    """Mount what a table says; one that fails is told and does not stop the start."""
    for source, target, type, flags, options in table:
        try:
            mount(source, target, type, flags, options)
        except OSError as error:
            failed("mount", f"{target}: {error.strerror}", "the kernel lacks it: rebuild the image")


def set_up() -> None:
    """File systems, device links, folders in /run."""
    attach(TABLE)
    for folder in ("/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/virtio-ports"):
        os.makedirs(folder, exist_ok=True)
    attach(DEVICES)
    for name, target in LINKS.items():
        if not os.path.lexists(name):
            os.symlink(target, name)
    for folder in FOLDERS:
        os.makedirs(folder, exist_ok=True)
    os.chmod("/run/cove/ssh", 0o700)
    # containers with rshared binds rely on it; systemd does the same
    mount("", "/", "", MS_REC | MS_SHARED)


def set_up_cgroups() -> None:
    """Every controller for every group below the root; a group each for the engine and the rest.

    Containers live in the group `cove`, as a whole with less memory than there is: when they run
    out of it the kernel ends one of them, and looks at nothing else.
    """
    controllers = read(f"{CGROUP}/cgroup.controllers").decode().split()
    for controller in controllers:
        try:
            write(f"{CGROUP}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            say(f"cgroup controller {controller} can't be used: {error.strerror}")
    for group in ("engine", "services", "cove"):
        os.makedirs(f"{CGROUP}/{group}", exist_ok=True)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        write(f"{CGROUP}/cove/memory.max", str(total - max(KEPT, total // 16)))
    except OSError as error:
        say(f"containers may take all memory: {error.strerror}")


def apply_settings() -> None:
    """sysctl values that containers expect; a missing one is no failure."""
    for name, value in SETTINGS.items():
        try:
            write(f"/proc/sys/{name}", value)
        except OSError:
            continue


def raise_limits() -> None:
    """Limits of this process, which the engine and each container start from."""
    set_limit(RLIMIT_NOFILE, 1048576)
    set_limit(RLIMIT_NPROC, RLIM_INFINITY)
