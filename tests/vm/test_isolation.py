"""Attempts to get out of a container of the default profile, and to take the VM down from one."""

from __future__ import annotations

import io
import json
import platform
import re
import tarfile
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.vm.conftest import VM, wait_for
from tests.vm.syscalls import TEXT, program

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
IMAGE = "cove/welcome"
EPERM, ENOSYS = 1, 38
NEW_USER, NEW_MOUNTS = 0x10000000, 0x20000
# name: (number on x86-64, on aarch64, arguments, text at TEXT)
CALLS: dict[str, tuple[int, int, tuple[int, ...], bytes]] = {
    "acct": (163, 89, (0,), b""),
    "add_key": (248, 217, (TEXT, TEXT, TEXT, 1, -3), b"user\0"),
    "bpf": (321, 280, (0, TEXT, 48), bytes(48)),
    "clone_user": (56, 220, (NEW_USER | 17, 0, 0, 0, 0), b""),
    "clone3": (435, 435, (TEXT, 64), bytes(64)),
    "fanotify_init": (300, 262, (0, 0), b""),
    "finit_module": (313, 273, (0, TEXT, 0), b"\0"),
    "fsopen": (430, 430, (TEXT, 0), b"tmpfs\0"),
    "init_module": (175, 105, (TEXT, 1, TEXT), b"\0"),
    "io_uring_setup": (425, 425, (1, TEXT), bytes(128)),
    "kexec_load": (246, 104, (0, 0, 0, 0), b""),
    "keyctl": (250, 219, (0, -3, 1), b""),
    "mount": (165, 40, (TEXT, TEXT + 6, TEXT, 0, 0), b"tmpfs\0/mnt\0"),
    "mount_setattr": (442, 442, (-100, TEXT, 0, TEXT, 32), b"/\0" + bytes(40)),
    "open_by_handle_at": (304, 265, (-100, TEXT, 0), b"\x08\0\0\0\x01" + bytes(20)),
    "open_tree": (428, 428, (-100, TEXT, 1), b"/\0"),
    "perf_event_open": (298, 241, (TEXT, 0, -1, -1, 0), bytes(128)),
    "pivot_root": (155, 41, (TEXT, TEXT), b"/\0"),
    "quotactl": (179, 60, (0, TEXT, 0, 0), b"/\0"),
    "reboot": (169, 142, (0xFEE1DEAD, 672274793, 0x89ABCDEF, 0), b""),
    "request_key": (249, 218, (TEXT, TEXT, 0, -3), b"user\0"),
    "setns": (308, 268, (0, 0), b""),
    "settimeofday": (164, 170, (TEXT, 0), bytes(16)),
    "swapon": (167, 224, (TEXT, 0), b"/x\0"),
    "syslog": (103, 116, (3, TEXT, 8), bytes(8)),
    "umount": (166, 39, (TEXT, 2), b"/proc/kcore\0"),
    "unshare_mounts": (272, 97, (NEW_MOUNTS,), b""),
    "unshare_user": (272, 97, (NEW_USER,), b""),
    "unshare_user_mounts": (272, 97, (NEW_USER | NEW_MOUNTS,), b""),
    "userfaultfd": (323, 282, (0,), b""),
    "vsock": (41, 198, (40, 1, 0), b""),
}
ALLOWED = {"getuid": (102, 174, (), b""), "sched_yield": (24, 124, (), b"")}

# attempt: (what a shell in the container does, what it must say)
ATTEMPTS = {
    "mount": ("mount -t tmpfs none /mnt", "permission denied"),
    "mount proc": ("mkdir /p; mount -t proc none /p", "permission denied"),
    "remount": ("mount -o remount,rw /sys", "permission denied"),
    "nsenter": ("nsenter -t 1 -m true", "Operation not permitted"),
    "unshare": ("unshare -Urm true", "Operation not permitted"),
    "core_pattern": ("echo '|/x' > /proc/sys/kernel/core_pattern", "Read-only file system"),
    "sysctl": ("echo 1 > /proc/sys/kernel/panic", "Read-only file system"),
    "sysrq": ("echo b > /proc/sysrq-trigger", "Read-only file system"),
    "proc irq": ("echo 1 > /proc/irq/default_smp_affinity", "Read-only file system"),
    "sys": ("echo 1 > /sys/kernel/mm/ksm/run", "Read-only file system"),
    "uevent_helper": ("echo /x > /sys/kernel/uevent_helper", "Read-only file system|nonexistent"),
    "cgroup": ("mkdir /sys/fs/cgroup/x", "Read-only file system"),
    "cgroup limit": ("echo max > /sys/fs/cgroup/pids.max", "Read-only file system"),
    "release_agent": ("echo /x > /sys/fs/cgroup/release_agent", "Read-only file system"),
    "dmesg": ("dmesg", "Operation not permitted"),
    "date": ("date -s 2001-01-01", "Operation not permitted"),
    "host name": ("hostname other", "Operation not permitted"),
    "module": ("insmod /bin/busybox", "Operation not permitted"),
    "mem": ("mknod /m c 1 1; head -c 1 /m", "Operation not permitted"),
    "kmsg": ("mknod /k c 1 11; head -c 1 /k", "Operation not permitted"),
    "firmware": ("ls -A /sys/firmware | wc -l", "^0$"),
    "kcore": ("head -c 1 /proc/kcore | wc -c", "^0$"),
    "keys": ("head -c 1 /proc/keys | wc -c", "^0$"),
    "net admin": ("ip link add d0 type dummy", "Operation not permitted"),
    "other processes": ("ls /proc | grep -c '^[0-9]'", "^[1-9]$"),
    "sockets of the engine": ("find / -xdev -type s | wc -l", "^0$"),
    "capabilities": ("grep CapEff /proc/self/status", "00000000a80425fb"),
    "filter": ("grep Seccomp: /proc/self/status", "Seccomp:\\t2"),
    "descriptors": ("ls /proc/1/fd | tr '\\n' ' '", "^0 1 2 $"),
}


@pytest.fixture
def box(vm: VM) -> Iterator[str]:
    """A container that sleeps."""
    name = f"iso-{uuid.uuid4().hex[:10]}"
    vm.docker("run", "-d", "--name", name, IMAGE, "sleep", "3600")
    yield name
    vm.docker("rm", "-f", name)


@pytest.fixture
def programs() -> bytes:
    """A tar of one program for each call."""
    architecture = "aarch64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, (here, there, arguments, text) in {**CALLS, **ALLOWED}.items():
            number = here if architecture == "x86_64" else there
            content = program(architecture, number, arguments, text)
            info = tarfile.TarInfo(f"calls/{name}")
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_system_calls_are_refused(vm: VM, box: str, programs: bytes) -> None:
    vm.docker("cp", "-", f"{box}:/tmp", input=programs, text=False)
    script = "for call in /tmp/calls/*; do $call; echo ${call##*/} $?; done"
    shown = vm.docker("exec", box, "sh", "-c", script).stdout
    results = {name: int(code) for name, code in map(str.split, shown.splitlines())}
    assert results.keys() == CALLS.keys() | ALLOWED.keys()
    assert {name: results[name] for name in ALLOWED} == dict.fromkeys(ALLOWED, 0)
    got_through = {name for name in CALLS if results[name] not in (EPERM, ENOSYS)}
    assert got_through == set(), results


def test_attempts_from_a_shell(vm: VM, box: str) -> None:
    script = "".join(
        f"echo '@@{name}'; sh -c {quoted(command)} 2>&1; "
        for name, (command, _) in ATTEMPTS.items()
    )
    shown = vm.docker("exec", "-i", box, "sh", input=script).stdout
    said = dict(part.split("\n", 1) for part in shown.split("@@")[1:])
    failed = {
        name: said[name]
        for name, (_, wanted) in ATTEMPTS.items()
        if not re.search(wanted, said[name])
    }
    assert failed == {}


def quoted(command: str) -> str:
    return "'" + command.replace("'", "'\\''") + "'"


def test_disks_of_the_vm_are_out_of_reach(vm: VM, box: str) -> None:
    script = (
        "for disk in /sys/block/vd*; do IFS=: read major minor < $disk/dev;"
        " mknod /disk b $major $minor; head -c 512 /disk | wc -c; echo x > /disk; rm /disk; done"
    )
    shown = vm.docker("exec", box, "sh", "-c", f"{{ {script}; }} 2>&1").stdout.splitlines()
    assert [line for line in shown if line.isdigit()] == ["0", "0"]
    assert sum("Operation not permitted" in line for line in shown) == 4


def test_every_exec_and_start_has_the_filter(vm: VM, box: str) -> None:
    command = ("grep", "-c", "Seccomp:.2", "/proc/self/status")
    assert vm.docker("exec", box, *command).stdout == "1\n"
    assert vm.docker("exec", "-t", box, *command).stdout.strip() == "1"
    assert vm.docker("run", "--rm", IMAGE, *command).stdout == "1\n"


def test_the_runtime_cannot_be_overwritten(vm: VM, box: str) -> None:
    """A program that the OCI runtime becomes itself must not get hold of the runtime's file."""
    before = vm.shell("sha256sum /usr/bin/crun")
    script = "printf '#!/proc/self/exe\n' > /bin/evil; chmod +x /bin/evil"
    vm.docker("exec", box, "sh", "-c", script)
    vm.docker("exec", box, "/bin/evil", check=False)
    grab = "for fd in /proc/[0-9]*/exe; do echo x 2>/dev/null >> $fd; done; true"
    vm.docker("exec", box, "sh", "-c", grab)
    assert vm.shell("sha256sum /usr/bin/crun") == before
    assert " / erofs ro," in vm.shell("cat /proc/mounts")


def test_a_fork_bomb_stays_in_its_limit(vm: VM) -> None:
    name = f"iso-{uuid.uuid4().hex[:10]}"
    vm.docker("run", "-d", "--name", name, "--pids-limit", "40", IMAGE, "sleep", "3600")
    try:
        bomb = "b() { b | b & sleep 60; }; b & b & while :; do sleep 60 & done"
        done = vm.docker("exec", name, "sh", "-c", f"({bomb}) >/dev/null </dev/null", check=False)
        assert "can't fork: Resource temporarily unavailable" in done.stderr
        assert vm.docker("run", "--rm", IMAGE, "echo", "others go on").stdout == "others go on\n"
        stats = vm.docker("stats", "--no-stream", "--format", "{{.PIDs}}", name).stdout
        assert 20 <= int(stats) <= 40
    finally:
        vm.docker("rm", "-f", name)


def test_a_memory_bomb_stays_in_its_limit(vm: VM) -> None:
    name = f"iso-{uuid.uuid4().hex[:10]}"
    bomb = "x=0123456789abcdef; while :; do x=$x$x; done"
    done = vm.docker("run", "--name", name, "-m", "32m", IMAGE, "sh", "-c", bomb, check=False)
    state = json.loads(vm.docker("inspect", name).stdout)[0]["State"]
    vm.docker("rm", "-f", name)
    assert done.returncode == 137
    assert state["OOMKilled"] is True
    assert vm.docker("run", "--rm", IMAGE, "echo", "others go on").stdout == "others go on\n"


def test_containers_are_killed_before_the_engine(vm: VM, box: str) -> None:
    """Without a limit the VM itself runs out of memory: the kernel then chooses by these."""
    own = vm.docker("exec", box, "cat", "/proc/1/oom_score_adj", "/proc/self/oom_score_adj").stdout
    script = (
        "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' < $p/cmdline) in"
        " /usr/bin/python*' -m engine '*|conmon*) cat $p/oom_score_adj;; esac; done"
    )
    scores = vm.shell(script).split()
    assert own == "0\n0\n"
    assert len(scores) >= 2 and all(int(score) <= -500 for score in scores)


def test_a_log_bomb_stays_in_its_limit(vm: VM) -> None:
    name = f"iso-{uuid.uuid4().hex[:10]}"
    limits = ("--log-opt", "max-size=100k", "--log-opt", "max-file=2")
    vm.docker("run", "-d", "--name", name, *limits, IMAGE, "yes", "a" * 200)
    try:
        wait_for(lambda: log_size(vm, name) > 0)
        time.sleep(3)
        # between two looks at the log a container may write more than the limit
        assert log_size(vm, name) < 64 << 10
        assert len(vm.docker("logs", "--tail", "2", name).stdout.splitlines()) == 2
    finally:
        vm.docker("rm", "-f", name)


def log_size(vm: VM, name: str) -> int:
    """KiB that the logs of a container take on the VM's disk."""
    id = vm.docker("inspect", "-f", "{{.Id}}", name).stdout.strip()
    return int(
        vm.shell(f"du -ck /var/lib/cove/engine/containers/{id}/*log* | tail -n 1").split()[0]
    )
