"""From settings to QEMU's arguments: a pure function."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from desktop.settings import Settings
from desktop.vm.accel import Accel
from desktop.vm.image import Image

NETWORK = "n0"
GUEST_ADDRESS = "10.0.2.15"
# A start up to the engine's answer translates 125 MB of code. What doesn't fit is thrown away and
# translated again: with 32 MB that happened 17 times and doubled the processor time of a start.
# QEMU takes the memory as it fills it.
TCG = "tcg,thread=multi,tb-size=256"
# Both promise that moving bytes one by one ("rep movsb") is quick; emulated, it's the slowest way.
# Without them a start takes 200 million instructions less of 1800.
TCG_CPU = "max,-erms,-fsrm"
_CONSOLES = {"x86_64": "ttyS0", "aarch64": "ttyAMA0"}


@dataclass(frozen=True)
class Share:
    """A folder of the host that the VM sees; `tag` is its mount tag."""

    tag: str
    path: str
    kind: str = "9p"


@dataclass(frozen=True)
class Plan:
    """Everything that QEMU's command line says.

    `monitor_fd` and `guest_agent_fd` are listening unix sockets that QEMU inherits: the paths
    exist before QEMU does, so nobody polls for them, and an agent started later finds them.
    `blobs`: fw_cfg name to file.
    """

    program: str
    accel: Accel
    image: Image
    settings: Settings
    disk: Path
    console_log: Path
    monitor_fd: int
    guest_agent_fd: int
    blobs: Mapping[str, Path]
    shares: tuple[Share, ...] = ()
    name: str = "cove"


def arguments(plan: Plan) -> list[str]:
    """The command line, program first."""
    return [
        plan.program,
        *("-name", escape(plan.name)),
        *_machine(plan),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *_boot(plan),
        *_channels(plan),
        *_drive("root", plan.image.root, "readonly=on,file.locking=off"),
        *_drive("data", plan.disk, "discard=unmap,detect-zeroes=unmap"),
        # Port 0: QEMU takes a free one and says which; choosing one here would be a race.
        *("-netdev", f"user,id={NETWORK},hostfwd=tcp:127.0.0.1:0-{GUEST_ADDRESS}:22"),
        *("-device", f"virtio-net-pci,netdev={NETWORK},romfile="),
        *("-device", "virtio-rng-pci"),
        *("-device", "virtio-balloon-pci,id=balloon0,free-page-reporting=on"),
        *_shares(plan),
    ]


def _machine(plan: Plan) -> list[str]:
    machine = "virt" if plan.image.architecture == "aarch64" else "q35,hpet=off"
    accel, cpu = {
        Accel.TCG: (TCG, TCG_CPU),
        Accel.KVM: ("kvm", "host"),
        Accel.HVF: ("hvf", "host"),
    }[plan.accel]
    if plan.accel is Accel.TCG and plan.image.architecture == "aarch64":
        cpu = "max,pauth-impdef=on"  # QEMU's own pointer authentication is slow to emulate
    return [
        *("-machine", machine, "-accel", accel, "-cpu", cpu),
        *("-smp", str(plan.settings.cpus), "-m", f"{plan.settings.memory_mib}M"),
    ]


def _boot(plan: Plan) -> list[str]:
    console = _CONSOLES[plan.image.architecture]
    words = f"{plan.image.cmdline} console={console}".strip()
    if plan.accel is Accel.TCG:
        words += " mitigations=off"  # an emulated processor doesn't speculate
    blobs = [
        word
        for name, path in sorted(plan.blobs.items())
        for word in ("-fw_cfg", f"name={name},file={escape(str(path))}")
    ]
    return [
        *("-kernel", str(plan.image.kernel), "-initrd", str(plan.image.initrd)),
        *("-append", words),
        *blobs,
    ]


def _channels(plan: Plan) -> list[str]:
    log = escape(str(plan.console_log))
    return [
        *("-chardev", f"file,id=console,path={log},append=off", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=monitor,fd={plan.monitor_fd},server=on,wait=off"),
        *("-mon", "chardev=monitor,mode=control"),
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=qga0,fd={plan.guest_agent_fd},server=on,wait=off"),
        *("-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"),
    ]


def _drive(name: str, path: Path, options: str) -> list[str]:
    return [
        *("-drive", f"if=none,id={name},file={escape(str(path))},format=raw,{options}"),
        *("-device", f"virtio-blk-pci,drive={name},serial={name}"),
    ]


def _shares(plan: Plan) -> list[str]:
    words: list[str] = []
    for share in plan.shares:
        # security_model=none: files have the user's own owner and mode on the host. The mapped
        # models leave 0600 files with attributes, which is wrong for somebody's projects.
        words += [
            *("-fsdev", f"local,id={share.tag},path={escape(share.path)}"),
            *("-device", f"virtio-9p-pci,fsdev={share.tag},mount_tag={share.tag}"),
        ]
        words[-3] += ",security_model=none,multidevs=remap"
    return words


def escape(text: str) -> str:
    """A value inside one of QEMU's comma lists: a comma is doubled."""
    return text.replace(",", ",,")


def machine_blob(
    hostname: str, shares: tuple[Share, ...], epoch: float, isolation: str = "standard"
) -> str:
    """`opt/cove/machine`: what the guest's init and engine read (contract with the VM image)."""
    record = {
        "hostname": hostname,
        "shares": [{"tag": s.tag, "path": s.path, "type": s.kind} for s in shares],
        "epoch": int(epoch),
        "isolation": isolation,
    }
    return json.dumps(record)
