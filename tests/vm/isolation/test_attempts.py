"""What a shell in a container of the default profile tries, and what it's told.

All attempts of a container run in one exec, so that each can be a test of its own.
"""

from __future__ import annotations

import re

import pytest

from tests.vm.isolation.conftest import KINDS, Box

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
READ_ONLY = "Read-only file system"
NOT_ALLOWED = "Operation not permitted"
DENIED = "permission denied|Permission denied"
GONE = "No such file|nonexistent"

# attempt: (what the shell does, what it must hear)
ATTEMPTS = {
    # mounts and namespaces
    "mount a tmpfs": ("mount -t tmpfs none /mnt", DENIED),
    "mount proc again": ("mkdir /p; mount -t proc none /p", DENIED),
    "mount the machine's devices": ("mount -t devtmpfs none /mnt", DENIED),
    "mount a cgroup hierarchy": ("mount -t cgroup -o memory none /mnt", DENIED),
    "mount cgroup2": ("mount -t cgroup2 none /mnt", DENIED),
    "mount debugfs": ("mount -t debugfs none /mnt", DENIED),
    "mount the data disk": (
        "mknod /vdb b 254 16; mount -t ext4 /vdb /mnt",
        f"{DENIED}|{NOT_ALLOWED}",
    ),
    "mount a shared folder": ("mount -t 9p -o trans=virtio share0 /mnt", DENIED),
    "bind a folder over another": ("mount --bind /etc /mnt", DENIED),
    "make sysfs writable": ("mount -o remount,rw /sys", DENIED),
    "make /proc/sys writable": ("mount -o remount,rw /proc/sys", DENIED),
    "unmount a mask": ("umount /proc/kcore", f"{NOT_ALLOWED}|Invalid argument"),
    "enter namespaces of process 1": ("nsenter -t 1 -m true", NOT_ALLOWED),
    "unshare users and mounts": ("unshare -Urm true", NOT_ALLOWED),
    "change the root": ("mkdir /r; pivot_root / /r", NOT_ALLOWED),
    # the kernel's settings
    "write core_pattern": ("echo '|/x' > /proc/sys/kernel/core_pattern", READ_ONLY),
    "write the path of modprobe": ("echo /x > /proc/sys/kernel/modprobe", READ_ONLY),
    "write kernel.panic": ("echo 1 > /proc/sys/kernel/panic", READ_ONLY),
    "write the host name's sysctl": ("echo x > /proc/sys/kernel/hostname", READ_ONLY),
    "write vm.overcommit_memory": ("echo 1 > /proc/sys/vm/overcommit_memory", READ_ONLY),
    "register a binary format": (
        "echo x > /proc/sys/fs/binfmt_misc/register",
        f"{READ_ONLY}|{GONE}",
    ),
    "press SysRq": ("echo b > /proc/sysrq-trigger", READ_ONLY),
    "steer interrupts": ("echo 1 > /proc/irq/default_smp_affinity", READ_ONLY),
    "write to /proc/fs": ("mkdir /proc/fs/x", f"{READ_ONLY}|{GONE}"),
    "write to /sys/kernel": ("echo 1 > /sys/kernel/mm/ksm/run", READ_ONLY),
    "write to a module's settings": ("echo 1 > /sys/module/overlay/parameters/index", READ_ONLY),
    "write uevent_helper": ("echo /x > /sys/kernel/uevent_helper", f"{READ_ONLY}|{GONE}"),
    "send a uevent": ("echo add > /sys/class/net/lo/uevent", READ_ONLY),
    "take a disk away": ("echo 1 > /sys/block/vda/device/remove", f"{READ_ONLY}|{GONE}"),
    "load a module": ("insmod /bin/busybox", NOT_ALLOWED),
    "set the clock": ("date -s 2001-01-01", NOT_ALLOWED),
    "set the host name": ("hostname other", NOT_ALLOWED),
    # control groups
    "make a cgroup": ("mkdir /sys/fs/cgroup/x", READ_ONLY),
    "lift the limit of processes": ("echo max > /sys/fs/cgroup/pids.max", READ_ONLY),
    "leave the cgroup": ("echo 1 > /sys/fs/cgroup/cgroup.procs", READ_ONLY),
    "write release_agent": ("echo /x > /sys/fs/cgroup/release_agent", READ_ONLY),
    "see other cgroups": ("cat /proc/self/cgroup", "^0::/\n$"),
    "be spared when memory runs out": ("echo -999 > /proc/self/oom_score_adj", "Permission denied"),
    # what others have
    "read the kernel's log": ("dmesg", NOT_ALLOWED),
    "read /dev/kmsg": ("mknod /k c 1 11; head -c 1 /k", NOT_ALLOWED),
    "read the kernel's memory": ("head -c 1 /proc/kcore | wc -c", "^0$"),
    "read /dev/mem": ("mknod /m c 1 1; head -c 1 /m", NOT_ALLOWED),
    "write to the console": ("mknod /c c 4 64; echo x > /c", NOT_ALLOWED),
    "control loop devices": ("mknod /l c 10 237; head -c 1 /l", NOT_ALLOWED),
    "open fuse": ("mknod /f c 10 229; head -c 1 /f", NOT_ALLOWED),
    "open kvm": ("mknod /v c 10 232; head -c 1 /v", NOT_ALLOWED),
    "read the keys of the VM": (
        "cat /sys/firmware/qemu_fw_cfg/by_name/opt/cove/host_key/raw",
        GONE,
    ),
    "see firmware": ("ls -A /sys/firmware | wc -l", "^0$"),
    "see keys": ("head -c 1 /proc/keys | wc -c", "^0$"),
    "see timers": ("head -c 1 /proc/timer_list | wc -c", "^0$"),
    "see other processes": ("ls /proc | grep -c '^[0-9]'", "^[1-9]$"),
    "see the engine's files through process 1": ("ls /proc/1/root/var/lib/cove", GONE),
    "see shared folders": ("ls -A /host_mnt", GONE),
    "find the engine's sockets": ("find / -xdev -type s | wc -l", "^0$"),
    "find them in the kernel's list": ("grep -c '/.*sock' /proc/net/unix", "^0$"),
    "make an interface": ("ip link add d0 type dummy", NOT_ALLOWED),
    "have more capabilities": ("grep CapEff /proc/self/status", "00000000a80425fb"),
    "have no filter": ("grep Seccomp: /proc/self/status", "Seccomp:\\t2"),
    "inherit descriptors": ("ls /proc/1/fd | tr '\\n' ' '", "^0 1 2 $"),
}
# with a user namespace of its own a container may not even make a node; what the kernel hides from
# others is told by the mode of the file before the mount's is
MAPPED = {
    name: (command, f"{said}|{NOT_ALLOWED}|Permission denied" if said == READ_ONLY else said)
    for name, (command, said) in ATTEMPTS.items()
}


@pytest.fixture(scope="module")
def answers(boxes: dict[str, Box]) -> dict[str, dict[str, str]]:
    """What each attempt was told, by the kind of isolation."""
    found = {}
    for kind, box in boxes.items():
        lines = [f'echo "@@{name}"; ( {command} )' for name, (command, _) in ATTEMPTS.items()]
        shown = box.sh("\n".join(lines))
        found[kind] = dict(part.split("\n", 1) for part in shown.split("@@")[1:])
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_to(answers: dict[str, dict[str, str]], kind: str, name: str) -> None:
    _, wanted = (ATTEMPTS if kind == "standard" else MAPPED)[name]
    assert re.search(wanted, answers[kind][name]), answers[kind][name]


def test_root_inside_is_nobody_outside(boxes: dict[str, Box]) -> None:
    box = boxes["enhanced"]
    pid = box.vm.docker("inspect", "-f", "{{.State.Pid}}", box.name).stdout.strip()
    owner = box.vm.shell(f"stat -c %u /proc/{pid}").strip()
    assert int(owner) >= 0x70000000
    assert box.sh("id -u; cat /proc/self/uid_map").split() == ["0", "0", owner, "65536"]
