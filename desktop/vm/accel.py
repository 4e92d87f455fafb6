"""Which accelerator runs the VM: HVF, KVM or QEMU's own emulation (TCG).

A `/dev/kvm` that opens proves little: on nested clouds small programs run in it and a kernel
doesn't. So KVM is refused early where its CPUID lacks what each 64-bit CPU has, and otherwise by
the first boot's verdict, which is remembered for this host kernel and QEMU.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from desktop.failure import ExitCode, Failure

VARIABLE = "COVE_ACCEL"
KVM_GET_API_VERSION = 0xAE00
KVM_GET_SUPPORTED_CPUID = 0xC008AE05  # _IOWR(0xAE, 5, struct kvm_cpuid2), linux/kvm.h
_CPUID_ENTRY = struct.Struct("=10I")
_CPUID_ENTRIES = 256
_ECX_OF_EVERY_CPU = {"SSE3": 0, "SSSE3": 9, "SSE4.1": 19, "SSE4.2": 20, "POPCNT": 23}


class Accel(StrEnum):
    """QEMU's names of the accelerators."""

    HVF = "hvf"
    KVM = "kvm"
    TCG = "tcg"


@dataclass(frozen=True)
class Choice:
    """The accelerator, why, and whether that is news to be told to the user once.

    `certain`: a boot proved it or the user asked for it, so a silent boot isn't held against it.
    """

    accel: Accel
    reason: str
    news: bool = False
    certain: bool = True


def choose(
    qemu_version: str,
    verdict_file: Path,
    *,
    environment: str | None = None,
    system: str = sys.platform,
    probe: Callable[[], str] | None = None,
    hypervisor: Callable[[], bool] | None = None,
) -> Choice:
    """The accelerator for this host; raises Failure on an unknown COVE_ACCEL.

    `probe` answers why KVM is unusable, or "".
    """
    wanted = os.environ.get(VARIABLE, "") if environment is None else environment
    if wanted:
        if wanted not in list(Accel):
            raise Failure(
                f"{VARIABLE} can't be {wanted!r}.",
                "",
                f"Set it to {', '.join(Accel)}, or unset it.",
                ExitCode.SETTING,
            )
        return Choice(Accel(wanted), f"{VARIABLE}={wanted} asks for it")
    if system == "darwin":
        return _choose_on_macos(hypervisor)
    verdict = recall(verdict_file, qemu_version)
    if verdict is not None and not verdict:
        return Choice(Accel.KVM, "KVM ran the VM before")
    why = (probe or probe_kvm)()
    if why:
        known = verdict == why
        if not known:
            remember(verdict_file, qemu_version, why)
        return Choice(Accel.TCG, why, news=not known)
    if verdict:
        return Choice(Accel.TCG, verdict)
    return Choice(Accel.KVM, "KVM is there", certain=False)


def _choose_on_macos(hypervisor: Callable[[], bool] | None) -> Choice:
    if hypervisor is None:
        from desktop import macos

        hypervisor = macos.hypervisor
    if hypervisor():
        return Choice(Accel.HVF, "Hypervisor.framework is there")
    return Choice(Accel.TCG, "this Mac offers no Hypervisor.framework", news=True)


def probe_kvm(device: Path = Path("/dev/kvm")) -> str:
    """Why KVM can't be used, "" when nothing speaks against it; takes about 1 ms."""
    import fcntl

    try:
        handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return f"there is no {device}"
    except PermissionError:
        return f"you may not open {device} (add yourself to the group kvm)"
    except OSError as error:
        return f"{device} doesn't open: {error.strerror}"
    try:
        if fcntl.ioctl(handle, KVM_GET_API_VERSION) != 12:
            return f"{device} speaks another version of its interface"
        if platform.machine() not in ("x86_64", "AMD64"):
            return ""
        answer = bytearray(struct.pack("=II", _CPUID_ENTRIES, 0))
        answer += bytes(_CPUID_ENTRY.size * _CPUID_ENTRIES)
        fcntl.ioctl(handle, KVM_GET_SUPPORTED_CPUID, answer)
        return judge_cpuid(bytes(answer))
    except OSError as error:
        return f"{device} doesn't answer: {error.strerror}"
    finally:
        os.close(handle)


def judge_cpuid(answer: bytes) -> str:
    """What `struct kvm_cpuid2` says against KVM: leaf 1 without what every host CPU has."""
    (count,) = struct.unpack_from("=I", answer)
    for number in range(min(count, _CPUID_ENTRIES)):
        entry = _CPUID_ENTRY.unpack_from(answer, 8 + number * _CPUID_ENTRY.size)
        function, ecx = entry[0], entry[5]
        if function == 1:
            missing = [name for name, bit in _ECX_OF_EVERY_CPU.items() if not ecx >> bit & 1]
            return f"KVM here offers a CPU without {', '.join(missing)}" if missing else ""
    return "KVM here offers no CPU features"


def recall(path: Path, qemu_version: str) -> str | None:
    """The verdict on KVM of this kernel and QEMU: "" it works, a reason, or None: unknown."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        record = json.loads(path.read_text(encoding="utf-8"))
        until = record.get("until")
        if until is not None and time.time() > until:
            return None
        if record.get("kernel") == platform.release() and record.get("qemu") == qemu_version:
            verdict = record.get("kvm")
            return verdict if isinstance(verdict, str) else None
    return None


def remember(path: Path, qemu_version: str, verdict: str, *, seconds: float | None = None) -> None:
    """Keep a verdict on KVM: "" that it works, else why not, for good or for some seconds.

    Failing to write is no failure.
    """
    until = None if seconds is None else time.time() + seconds
    record = {"kernel": platform.release(), "qemu": qemu_version, "kvm": verdict, "until": until}
    with suppress(OSError):
        path.write_text(json.dumps(record) + "\n", encoding="utf-8")
