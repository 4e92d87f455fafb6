"""QEMU's command line, from settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from desktop.settings import Settings
from desktop.vm import spec
from desktop.vm.accel import Accel
from desktop.vm.image import Image

IMAGE = Image(Path("/img"), "x86_64", "quiet panic=-1", "6.12")
PLAN = spec.Plan(
    program="/usr/bin/qemu-system-x86_64",
    accel=Accel.TCG,
    image=IMAGE,
    settings=Settings(cpus=2, memory_mib=1536),
    disk=Path("/h/disk/data.raw"),
    console_log=Path("/h/logs/console.log"),
    monitor_fd=7,
    guest_agent_fd=8,
    blobs={"opt/cove/machine": Path("/h/run/guest.json")},
)


def values(argv: list[str], option: str) -> list[str]:
    return [value for name, value in zip(argv, argv[1:], strict=False) if name == option]


def test_the_machine_is_as_measured() -> None:
    argv = spec.arguments(PLAN)
    assert argv[0] == PLAN.program
    assert values(argv, "-machine") == ["q35,hpet=off"]
    assert values(argv, "-accel") == ["tcg,thread=multi,tb-size=256"]
    assert values(argv, "-cpu") == ["max,-erms,-fsrm"]
    assert values(argv, "-smp") == ["2"]
    assert values(argv, "-m") == ["1536M"]
    assert {"-no-reboot", "-nodefaults", "-no-user-config"} <= set(argv)
    assert values(argv, "-append") == ["quiet panic=-1 console=ttyS0 mitigations=off"]
    assert values(argv, "-fw_cfg") == ["name=opt/cove/machine,file=/h/run/guest.json"]


def test_devices_are_virtio_alone() -> None:
    devices = values(spec.arguments(PLAN), "-device")
    assert all(each.startswith(("virtio-", "virtserialport,")) for each in devices)
    assert "virtio-balloon-pci,id=balloon0,free-page-reporting=on" in devices
    assert "virtio-blk-pci,drive=data,serial=data" in devices


def test_the_data_disk_gives_room_back_and_the_root_cant_be_written() -> None:
    root, data = values(spec.arguments(PLAN), "-drive")
    assert "file=/img/rootfs.erofs" in root and "readonly=on" in root
    assert "discard=unmap,detect-zeroes=unmap" in data and "format=raw" in data


def test_monitor_and_guest_agent_are_inherited_sockets() -> None:
    chardevs = values(spec.arguments(PLAN), "-chardev")
    assert "socket,id=monitor,fd=7,server=on,wait=off" in chardevs
    assert "socket,id=qga0,fd=8,server=on,wait=off" in chardevs


def test_qemu_chooses_the_port_to_sshd() -> None:
    assert values(spec.arguments(PLAN), "-netdev") == [
        "user,id=n0,hostfwd=tcp:127.0.0.1:0-10.0.2.15:22"
    ]


@pytest.mark.parametrize(
    "accel, arch, machine, cpu, console",
    [
        (Accel.KVM, "x86_64", "q35,hpet=off", "host", "ttyS0"),
        (Accel.HVF, "aarch64", "virt", "host", "ttyAMA0"),
        (Accel.TCG, "aarch64", "virt", "max,pauth-impdef=on", "ttyAMA0"),
    ],
)
def test_other_hosts(accel: Accel, arch: str, machine: str, cpu: str, console: str) -> None:
    argv = spec.arguments(replace(PLAN, accel=accel, image=replace(IMAGE, architecture=arch)))
    assert values(argv, "-machine") == [machine]
    assert values(argv, "-cpu") == [cpu]
    words = values(argv, "-append")[0].split()
    assert f"console={console}" in words
    assert ("mitigations=off" in words) is (accel is Accel.TCG)


def test_shares_become_9p_devices_and_commas_survive() -> None:
    argv = spec.arguments(replace(PLAN, shares=(spec.Share("share0", "/home/a,b"),)))
    assert values(argv, "-fsdev") == [
        "local,id=share0,path=/home/a,,b,security_model=none,multidevs=remap"
    ]
    assert "virtio-9p-pci,fsdev=share0,mount_tag=share0" in values(argv, "-device")


def test_the_guest_reads_its_shares_from_the_blob() -> None:
    blob = spec.machine_blob("cove", (spec.Share("share0", "/root"),), 1.9, "enhanced")
    assert json.loads(blob) == {
        "hostname": "cove",
        "shares": [{"tag": "share0", "path": "/root", "type": "9p"}],
        "epoch": 1,
        "isolation": "enhanced",
    }
