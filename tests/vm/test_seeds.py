"""What a container is made of, in the VM: union mount, CPU, namespaces, memory, isolation."""

from __future__ import annotations

import io
import json
import re
import tarfile
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]

WELCOME = "cove/welcome:latest"


@pytest.fixture
def name(vm: Any) -> Iterator[str]:
    """A container name that is free now and removed afterwards."""
    chosen = f"seed-{uuid.uuid4().hex[:8]}"
    yield chosen
    vm.docker("rm", "-fv", chosen, check=False)


def inspect(vm: Any, name: str, template: str) -> Any:
    return json.loads(vm.docker("inspect", "--format", "{{json " + template + "}}", name).stdout)


# ---- the union mount -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def layered(shared_vm: Any) -> Iterator[str]:
    """An image with the files 1, 2 (saying 2a) and 4 in its one layer, beside a busybox."""
    tag = f"seed/union:{uuid.uuid4().hex[:8]}"
    if shared_vm.status()["state"] != "running":
        shared_vm.cove("start", "--headless")
    base = f"seed-base-{uuid.uuid4().hex[:8]}"
    script = "mkdir /u && echo one >/u/1 && echo 2a >/u/2 && echo four >/u/4"
    shared_vm.docker("run", "--name", base, WELCOME, "sh", "-c", script)
    flat = shared_vm.home / "union.tar"
    shared_vm.docker("export", "-o", str(flat), base)
    shared_vm.docker("rm", base)
    shared_vm.docker("import", str(flat), tag)
    yield tag
    shared_vm.docker("rmi", "-f", tag, check=False)


def test_union_mount_keeps_overrides_adds_and_deletes(vm: Any, layered: str, name: str) -> None:
    script = "echo 2b >/u/2; echo three >/u/3; rm /u/4; ls /u; cat /u/1 /u/2 /u/3"
    seen = vm.docker("run", "--name", name, layered, "sh", "-c", script).stdout.split()
    assert seen == ["1", "2", "3", "one", "2b", "three"]

    driver = inspect(vm, name, ".GraphDriver.Data")
    upper, lower = driver["UpperDir"], driver["LowerDir"].split(":")[-1]
    listed = vm.shell(f"ls -l {upper}/u").splitlines()
    kinds = {line.split()[-1]: line[0] for line in listed if line[0] in "-cd"}
    assert kinds == {"2": "-", "3": "-", "4": "c"}, "4 is hidden by a whiteout, 1 isn't copied"
    assert re.search(r"\b0,\s+0\b", next(line for line in listed if line.endswith(" 4")))
    untouched = vm.shell(f"cat {lower}/u/1 {lower}/u/2 {lower}/u/4; ls {lower}/u").split()
    assert untouched == ["one", "2a", "four", "1", "2", "4"]


# ---- CPU -----------------------------------------------------------------------------------


def test_thirty_percent_of_a_cpu_is_thirty_percent(vm: Any, name: str) -> None:
    loop = "while :; do :; done"
    vm.docker("run", "-d", "--name", name, "--cpus", "0.3", WELCOME, "sh", "-c", loop)
    time.sleep(3)
    usage = "cat /sys/fs/cgroup/cpu.stat; cat /proc/uptime; cat /proc/1/stat"

    def reading() -> tuple[float, float, float]:
        """CPU seconds by cgroup, the guest's seconds, CPU seconds of PID 1 by /proc."""
        text = vm.docker("exec", name, "sh", "-c", usage).stdout
        micro = re.search(r"usage_usec (\d+)", text)
        assert micro
        uptime, stat = text.splitlines()[-2:]
        ticks = sum(map(int, stat.rsplit(")", 1)[1].split()[11:13]))
        return int(micro[1]) / 1e6, float(uptime.split()[0]), ticks / 100

    # Never more than the share; as much as it only when this machine has nothing else to do,
    # so a starved first measurement is taken again.
    for _ in range(3):
        before = reading()
        time.sleep(10)
        after = reading()
        differences = [late - early for late, early in zip(after, before, strict=True)]
        cgroup, clock, process = differences
        assert process / clock <= 0.33, f"PID 1 used {process / clock:.1%}"
        assert cgroup / clock <= 0.33, f"the cgroup used {cgroup / clock:.1%}"
        if process / clock >= 0.27 and cgroup / clock >= 0.27:
            break
    assert process / clock >= 0.27, f"PID 1 used {process / clock:.1%}"
    assert cgroup / clock >= 0.27, f"the cgroup used {cgroup / clock:.1%}"
    shown = vm.docker("stats", "--no-stream", "--format", "{{.CPUPerc}}", name).stdout
    assert 24 <= float(shown.strip().rstrip("%")) <= 36


# ---- namespaces ----------------------------------------------------------------------------


def test_pid_1_sees_its_own_processes_only(vm: Any) -> None:
    listed = vm.docker("run", "--rm", WELCOME, "sh", "-c", "ls -d /proc/[0-9]*; echo $$").stdout
    *folders, own = listed.split()
    assert own == "1"
    assert set(folders) <= {"/proc/1", "/proc/2", "/proc/3"} and "/proc/1" in folders


def test_it_has_its_own_host_name_interfaces_and_mounts(vm: Any) -> None:
    script = "hostname; ls /sys/class/net; cut -d' ' -f2 /proc/self/mounts"
    words = vm.docker("run", "--rm", "-h", "inside", WELCOME, "sh", "-c", script).stdout.split()
    assert words[0] == "inside"
    assert set(words[1:3]) == {"eth0", "lo"}
    assert "/" in words and not any(word.startswith("/var/lib/cove") for word in words)
    assert vm.shell("hostname").strip() != "inside"


def test_each_namespace_is_another_than_the_vms(vm: Any) -> None:
    kinds = ("pid", "mnt", "uts", "ipc", "net", "cgroup")
    script = "; ".join(f"readlink /proc/self/ns/{kind}" for kind in kinds)
    inside = vm.docker("run", "--rm", WELCOME, "sh", "-c", script).stdout.split()
    outside = vm.shell(script).split()
    assert len(inside) == len(outside) == len(kinds)
    assert not set(inside) & set(outside)


# ---- memory, processes ---------------------------------------------------------------------


def test_out_of_memory_is_told(vm: Any, name: str) -> None:
    # busybox sort keeps what it reads: PID 1 itself grows over its limit
    grow = ("-m", "24m", "--memory-swap", "24m", WELCOME, "sort", "/dev/zero")
    done = vm.docker("run", "--name", name, *grow, check=False)
    assert done.returncode == 137
    state = inspect(vm, name, ".State")
    assert state["OOMKilled"] is True and state["ExitCode"] == 137
    # the VM and its engine go on
    assert vm.docker("run", "--rm", WELCOME, "echo", "on").stdout == "on\n"


def test_a_pids_limit_holds(vm: Any) -> None:
    fork = "for i in 1 2 3 4 5 6 7 8 9; do sleep 2 & done; wait"
    done = vm.docker("run", "--rm", "--pids-limit", "4", WELCOME, "sh", "-c", fork, check=False)
    assert "can't fork" in done.stderr


# ---- what stays out of reach ---------------------------------------------------------------


@pytest.mark.parametrize(
    "attempt",
    [
        "echo h >/proc/sysrq-trigger",
        "echo x >/proc/sys/kernel/hostname",
        "echo 1 >/proc/sys/kernel/core_pattern",
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /sys",
        "unshare -m true",
        "nsenter -t 1 -m -n true",
        "mkdir /sys/fs/cgroup/mine",
        "insmod /nothing.ko",
        "echo 1 >/sys/kernel/mm/ksm/run",
        "head -c 1 /proc/kcore | grep -q .",
        "echo 1 >/proc/irq/default_smp_affinity",
    ],
)
def test_the_kernel_refuses(vm: Any, attempt: str) -> None:
    script = f"if ({attempt}) 2>/dev/null; then echo escaped; else echo refused; fi"
    assert vm.docker("run", "--rm", WELCOME, "sh", "-c", script).stdout == "refused\n"


def test_no_device_of_the_machine_can_be_opened(vm: Any) -> None:
    numbers = vm.shell("cat /sys/block/vda/dev /sys/block/vdb/dev").split()
    assert len(numbers) == 2
    for number in numbers:
        major, minor = number.split(":")
        script = f"mknod /disk b {major} {minor}; dd if=/disk of=/dev/null count=1 2>&1; ls /dev"
        seen = vm.docker("run", "--rm", WELCOME, "sh", "-c", script).stdout
        assert "Operation not permitted" in seen
        assert "vda" not in seen.split() and "kmsg" not in seen.split()


def test_other_containers_files_are_out_of_reach(vm: Any, name: str) -> None:
    secret = uuid.uuid4().hex
    hold = f"echo {secret} >/secret; sleep 300"
    vm.docker("run", "-d", "--name", name, WELCOME, "sh", "-c", hold)
    look = f"grep -rl {secret} / --exclude-dir=proc --exclude-dir=sys 2>/dev/null; ls /proc"
    seen = vm.docker("run", "--rm", WELCOME, "sh", "-c", look, check=False).stdout
    assert "secret" not in seen
    assert vm.docker("exec", name, "cat", "/secret").stdout.strip() == secret


def test_only_standard_streams_are_open(vm: Any) -> None:
    seen = vm.docker("run", "--rm", WELCOME, "sh", "-c", "ls /proc/1/fd; true").stdout.split()
    assert set(seen) <= {"0", "1", "2", "10"} and {"0", "1", "2"} <= set(seen)


def test_no_new_privileges_capabilities_and_filter(vm: Any) -> None:
    script = "grep -E 'CapEff|CapBnd|Seccomp:|NoNewPrivs' /proc/self/status"
    run = ("run", "--rm", "--security-opt", "no-new-privileges", WELCOME, "sh", "-c", script)
    facts = dict(re.findall(r"(\w+):\s*(\w+)", vm.docker(*run).stdout))
    assert facts["CapEff"] == facts["CapBnd"] == "00000000a80425fb", "Docker's fourteen"
    assert facts["Seccomp"] == "2" and facts["NoNewPrivs"] == "1"


# ---- a hostile layer -----------------------------------------------------------------------


def test_a_layer_cannot_write_outside_its_root(vm: Any) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, link in (("out", "/var/lib/cove"), ("../../up", None), ("out/planted", None)):
            member = tarfile.TarInfo(path)
            if link:
                member.type, member.linkname = tarfile.SYMTYPE, link
                archive.addfile(member)
            else:
                member.size = 4
                archive.addfile(member, io.BytesIO(b"evil"))
    hostile = vm.home / "hostile.tar"
    hostile.write_bytes(buffer.getvalue())
    vm.docker("import", str(hostile), "seed/hostile", check=False)
    found = vm.shell("ls /var/lib/cove; find /var/lib/cove -maxdepth 5 -name up").split()
    assert "planted" not in found and not any(path.endswith("/up") for path in found)
    vm.docker("rmi", "-f", "seed/hostile", check=False)
