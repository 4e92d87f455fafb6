"""System calls that reach for the kernel or for what is outside, made from a container.

Each program makes one call and tells its errno. The default profile refuses with EPERM what needs
a capability that containers don't have, and what Docker refuses to everybody. clone3 isn't there:
no filter can read its flags, and the C library then takes clone.
"""

from __future__ import annotations

import io
import platform
import struct
import tarfile

import pytest

from tests.vm.isolation.conftest import KINDS, Box
from tests.vm.isolation.programs import TEXT, program

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
NEW_USER, NEW_MOUNTS, NEW_NETWORK = 0x10000000, 0x20000, 0x40000000
EPERM, ESRCH, ENOSYS = 1, 3, 38
OUTSIDE = 99  # a process of the VM, in no container's pid namespace
PIECE = struct.pack("<QQ", TEXT, 8)  # struct iovec

# name: (number on x86-64, on aarch64, arguments, text at TEXT)
Call = tuple[int, int, tuple[int, ...], bytes]
CALLS: dict[str, Call] = {
    "acct": (163, 89, (0,), b""),
    "add_key": (248, 217, (TEXT, TEXT, TEXT, 1, -3), b"user\0"),
    "bpf": (321, 280, (0, TEXT, 48), bytes(48)),
    "clock_settime": (227, 112, (0, TEXT), bytes(16)),
    "clone_of_a_user_namespace": (56, 220, (NEW_USER | 17, 0, 0, 0, 0), b""),
    "clone3": (435, 435, (TEXT, 64), bytes(64)),
    "delete_module": (176, 106, (TEXT, 0), b"ext4\0"),
    "fanotify_init": (300, 262, (0, 0), b""),
    "finit_module": (313, 273, (0, TEXT, 0), b"\0"),
    "fsopen": (430, 430, (TEXT, 0), b"tmpfs\0"),
    "fspick": (433, 433, (-100, TEXT, 0), b"/\0"),
    "init_module": (175, 105, (TEXT, 1, TEXT), b"\0"),
    "io_uring_setup": (425, 425, (1, TEXT), bytes(128)),
    "kexec_file_load": (320, 294, (0, 0, 1, TEXT, 0), b"\0"),
    "kexec_load": (246, 104, (0, 0, 0, 0), b""),
    "keyctl": (250, 219, (0, -3, 1), b""),
    "mount": (165, 40, (TEXT, TEXT + 6, TEXT, 0, 0), b"tmpfs\0/mnt\0"),
    "mount_setattr": (442, 442, (-100, TEXT, 0, TEXT, 32), b"/\0" + bytes(40)),
    "move_mount": (429, 429, (-100, TEXT, -100, TEXT, 0), b"/\0"),
    "open_by_handle_at": (304, 265, (-100, TEXT, 0), b"\x08\0\0\0\x01" + bytes(20)),
    "open_tree": (428, 428, (-100, TEXT, 1), b"/\0"),
    "perf_event_open": (298, 241, (TEXT, 0, -1, -1, 0), bytes(128)),
    "pivot_root": (155, 41, (TEXT, TEXT), b"/\0"),
    "quotactl": (179, 60, (0, TEXT, 0, 0), b"/\0"),
    "reboot": (169, 142, (0xFEE1DEAD, 672274793, 0x89ABCDEF, 0), b""),
    "request_key": (249, 218, (TEXT, TEXT, 0, -3), b"user\0"),
    "setdomainname": (171, 162, (TEXT, 1), b"x\0"),
    "sethostname": (170, 161, (TEXT, 1), b"x\0"),
    "setns": (308, 268, (0, 0), b""),
    "settimeofday": (164, 170, (TEXT, 0), bytes(16)),
    "swapoff": (168, 225, (TEXT,), b"/x\0"),
    "swapon": (167, 224, (TEXT, 0), b"/x\0"),
    "syslog": (103, 116, (3, TEXT, 8), bytes(8)),
    "umount": (166, 39, (TEXT, 2), b"/proc/kcore\0"),
    "unshare_of_mounts": (272, 97, (NEW_MOUNTS,), b""),
    "unshare_of_the_network": (272, 97, (NEW_NETWORK,), b""),
    "unshare_of_users": (272, 97, (NEW_USER,), b""),
    "unshare_of_users_and_mounts": (272, 97, (NEW_USER | NEW_MOUNTS,), b""),
    "userfaultfd": (323, 282, (0,), b""),
    "vhangup": (153, 58, (), b""),
    "vsock": (41, 198, (40, 1, 0), b""),
}
# calls that are allowed, but find nobody outside
OUTSIDERS: dict[str, Call] = {
    "kill_outside": (62, 129, (OUTSIDE, 9), b""),
    "pidfd_open_outside": (434, 434, (OUTSIDE, 0), b""),
    "process_vm_readv_outside": (310, 270, (OUTSIDE, TEXT, 1, TEXT, 1, 0), PIECE),
    "process_vm_writev_outside": (311, 271, (OUTSIDE, TEXT, 1, TEXT, 1, 0), PIECE),
    "ptrace_attach_outside": (101, 117, (16, OUTSIDE, 0, 0), b""),
    "ptrace_seize_outside": (101, 117, (0x4206, OUTSIDE, 0, 0), b""),
}
# what shows that the programs do as they should
ALLOWED: dict[str, Call] = {"getuid": (102, 174, (), b""), "sched_yield": (24, 124, (), b"")}


def programs() -> bytes:
    """A tar of one program for each call."""
    architecture = "aarch64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, (here, there, arguments, text) in {**CALLS, **OUTSIDERS, **ALLOWED}.items():
            number = here if architecture == "x86_64" else there
            content = program(architecture, number, arguments, text)
            info = tarfile.TarInfo(f"calls/{name}")
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture(scope="module")
def errnos(boxes: dict[str, Box]) -> dict[str, dict[str, int]]:
    """What each call got, by the kind of isolation."""
    found = {}
    for kind, box in boxes.items():
        box.vm.docker("cp", "-", f"{box.name}:/tmp", input=programs(), text=False)
        shown = box.sh("for call in /tmp/calls/*; do $call; echo ${call##*/} $?; done")
        found[kind] = {name: int(code) for name, code in map(str.split, shown.splitlines())}
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_refused(errnos: dict[str, dict[str, int]], kind: str, name: str) -> None:
    assert errnos[kind][name] == (ENOSYS if name == "clone3" else EPERM)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OUTSIDERS)
def test_a_call_finds_nobody(errnos: dict[str, dict[str, int]], kind: str, name: str) -> None:
    assert errnos[kind][name] == ESRCH


@pytest.mark.parametrize("kind", KINDS)
def test_the_programs_work(errnos: dict[str, dict[str, int]], kind: str) -> None:
    assert errnos[kind].keys() == CALLS.keys() | OUTSIDERS.keys() | ALLOWED.keys()
    assert {name: errnos[kind][name] for name in ALLOWED} == dict.fromkeys(ALLOWED, 0)
