"""What a container gets of the runtime and the engine that start its programs."""

from __future__ import annotations

import time

import pytest

from tests.vm.conftest import VM, wait_for
from tests.vm.isolation.conftest import IMAGE, KINDS, Box, new_name

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
LIST = ("sh", "-c", "ls /proc/$$/fd; true")
STREAMS = ["0", "1", "2"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_inherits_only_its_streams(running: VM, kind: str) -> None:
    option = ("--security-opt", f"cove.isolation={kind}")
    assert running.docker("run", "--rm", *option, IMAGE, *LIST).stdout.split() == STREAMS
    shown = running.docker("run", "--rm", "-i", *option, IMAGE, *LIST, input="").stdout
    assert shown.split() == STREAMS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flags", [(), ("-t",), ("-i", "-u", "1000")], ids=str)
def test_an_exec_inherits_only_its_streams(
    boxes: dict[str, Box], kind: str, flags: tuple[str, ...]
) -> None:
    assert boxes[kind].vm.docker("exec", *flags, boxes[kind].name, *LIST).stdout.split() == STREAMS


def test_a_health_check_inherits_only_its_streams(running: VM) -> None:
    name = new_name()
    check = ("--health-cmd", "ls /proc/$$/fd; true", "--health-interval", "200ms")
    running.docker("run", "-d", "--name", name, *check, IMAGE, "sleep", "600")
    try:
        form = "{{range .State.Health.Log}}{{.Output}}|{{end}}"
        wait_for(lambda: running.docker("inspect", "-f", form, name).stdout.strip() != "")
        shown = running.docker("inspect", "-f", form, name).stdout
        assert shown.split("|")[0].split() == STREAMS
    finally:
        running.docker("rm", "-f", name)


def test_the_runtime_is_not_overwritten_through_proc_self_exe(
    running: VM, boxes: dict[str, Box]
) -> None:
    """A program that the OCI runtime becomes itself must not get hold of the runtime's file."""
    look = "sha256sum /usr/bin/crun /usr/bin/conmon; grep -c ' / erofs ro,' /proc/mounts"
    before = running.shell(look)
    assert before.endswith("\n1\n")
    grab = (
        "end=$(($(date +%s) + 3)); while [ $(date +%s) -lt $end ]; do"
        " for exe in /proc/[0-9]*/exe; do"
        "  case $(readlink $exe) in */busybox) ;; *) echo x >> $exe && echo wrote $exe;; esac;"
        " done 2>/dev/null; done > /tmp/grabbed; echo done >> /tmp/grabbed"
    )
    for box in boxes.values():
        box.sh("printf '#!/proc/self/exe\\n' > /bin/evil; chmod +x /bin/evil")
        running.docker("exec", "-d", box.name, "sh", "-c", grab)
    for box in boxes.values():
        running.docker("exec", box.name, "/bin/evil", check=False)
        running.docker("exec", box.name, "true")
    for box in boxes.values():
        wait_for(lambda box=box: "done" in box.sh("cat /tmp/grabbed"))
        assert box.sh("cat /tmp/grabbed") == "done\n"
    assert running.shell(look) == before


@pytest.mark.parametrize("kind", KINDS)
def test_an_exec_has_the_filter(boxes: dict[str, Box], kind: str) -> None:
    command = ("grep", "-c", "Seccomp:.2", "/proc/self/status")
    for flags in (("-t",), ("--privileged",)):
        shown = boxes[kind].vm.docker("exec", *flags, boxes[kind].name, *command).stdout
        assert shown.strip() == "1"


def test_containers_are_killed_before_the_engine(running: VM, box: Box) -> None:
    """When the VM runs out of memory the kernel chooses by these."""
    own = box.sh("cat /proc/1/oom_score_adj /proc/self/oom_score_adj")
    script = (
        "for p in /proc/[0-9]*; do case $(tr '\\0' ' ' < $p/cmdline) in"
        " /usr/bin/python*' -m engine '*|/usr/bin/conmon*) cat $p/oom_score_adj;; esac; done"
    )
    scores = running.shell(script).split()
    assert own == "0\n0\n"
    assert len(scores) >= 2 and all(int(score) <= -500 for score in scores)


def test_a_disk_of_the_vm_is_neither_read_nor_written(box: Box) -> None:
    script = (
        "for disk in /sys/block/vd*; do IFS=: read major minor < $disk/dev;"
        " mknod /disk b $major $minor; head -c 512 /disk | wc -c; echo x > /disk; rm /disk; done"
    )
    shown = box.sh(script).splitlines()
    assert [line for line in shown if line.isdigit()] == ["0", "0"]
    assert sum("Operation not permitted" in line for line in shown) == 4


def test_security_options(running: VM) -> None:
    """The words of --security-opt, as on a kernel without AppArmor and SELinux."""
    status = ("grep", "-E", "Seccomp:|NoNewPrivs:", "/proc/self/status")
    for options, wanted in (
        (("seccomp=unconfined",), ["0", "0"]),
        (("seccomp=builtin",), ["0", "2"]),
        (("no-new-privileges",), ["1", "2"]),
        (("no-new-privileges=false",), ["0", "2"]),
        (("label=disable", "label=type:x", "apparmor=unconfined"), ["0", "2"]),
    ):
        flags = [word for option in options for word in ("--security-opt", option)]
        shown = running.docker("run", "--rm", *flags, IMAGE, *status).stdout.split()
        assert shown[1::2] == wanted, options
    flags = ["--security-opt", "systempaths=unconfined"]
    shown = running.docker(
        "run", "--rm", *flags, IMAGE, "grep", "-c", " /proc/", "/proc/mounts", check=False
    )
    assert shown.stdout == "0\n"
    flags = ["--security-opt", "nonsense=1"]
    done = running.docker("run", "--rm", *flags, IMAGE, "true", check=False)
    assert done.returncode == 125 and 'invalid --security-opt 2: "nonsense=1"' in done.stderr


def test_time_is_not_lost(running: VM) -> None:
    """The clock of the VM is where it was: nobody set it."""
    assert abs(float(running.shell("date +%s")) - time.time()) < 30
