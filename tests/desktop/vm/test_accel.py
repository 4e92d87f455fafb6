"""Which accelerator is chosen, and what a host with a broken KVM is told."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from desktop.failure import Failure
from desktop.vm import accel
from desktop.vm.accel import Accel


def choose(path: Path, why: str = "", **more: object) -> accel.Choice:
    words = {"environment": "", "system": "linux", "probe": lambda: why} | more
    return accel.choose("qemu 7", path, **words)  # type: ignore[arg-type]


def test_the_user_decides(tmp_path: Path) -> None:
    choice = choose(tmp_path / "v", environment="kvm", probe=lambda: "broken")
    assert (choice.accel, choice.certain) == (Accel.KVM, True)
    with pytest.raises(Failure, match="COVE_ACCEL"):
        choose(tmp_path / "v", environment="turbo")


def test_kvm_is_doubted_until_it_has_booted(tmp_path: Path) -> None:
    path = tmp_path / "v"
    first = choose(path)
    assert (first.accel, first.certain) == (Accel.KVM, False)
    accel.remember(path, "qemu 7", "")
    assert choose(path).certain


def test_a_verdict_is_told_once_and_ends_with_another_qemu(tmp_path: Path) -> None:
    path = tmp_path / "v"
    accel.remember(path, "qemu 7", "KVM ran nothing")
    again = choose(path)
    assert (again.accel, again.reason, again.news) == (Accel.TCG, "KVM ran nothing", False)
    assert accel.choose("qemu 8", path, environment="", system="linux", probe=str).accel == "kvm"


def test_a_failed_probe_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "v"
    assert choose(path, "there is no /dev/kvm").news
    second = choose(path, "there is no /dev/kvm")
    assert (second.accel, second.news) == (Accel.TCG, False)
    assert choose(path).accel is Accel.TCG  # the verdict stands for this kernel


def test_a_damaged_verdict_is_no_verdict(tmp_path: Path) -> None:
    path = tmp_path / "v"
    for text in ("{", "[]", '{"kvm": 5}', json.dumps({"kernel": 1})):
        path.write_text(text)
        assert accel.recall(path, "qemu 7") is None


def test_macos(tmp_path: Path) -> None:
    assert choose(tmp_path / "v", system="darwin", hypervisor=lambda: True).accel is Accel.HVF
    none = choose(tmp_path / "v", system="darwin", hypervisor=lambda: False)
    assert (none.accel, none.news) == (Accel.TCG, True)


def cpuid(*entries: tuple[int, int]) -> bytes:
    body = b"".join(struct.pack("=10I", leaf, 0, 0, 0, 0, ecx, 0, 0, 0, 0) for leaf, ecx in entries)
    return struct.pack("=II", len(entries), 0) + body


def test_a_cpu_without_what_all_have_betrays_a_broken_kvm() -> None:
    sound = 1 | 1 << 9 | 1 << 19 | 1 << 20 | 1 << 23
    assert accel.judge_cpuid(cpuid((0, 0), (1, sound))) == ""
    assert "SSE3, SSSE3" in accel.judge_cpuid(cpuid((1, 0x81202000)))
    assert "no CPU features" in accel.judge_cpuid(cpuid())


def test_a_device_that_isnt_kvm(tmp_path: Path) -> None:
    assert "there is no" in accel.probe_kvm(tmp_path / "none")
    (tmp_path / "file").write_text("")
    assert "doesn't answer" in accel.probe_kvm(tmp_path / "file")


def test_a_verdict_from_silence_ends_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "v"
    accel.remember(path, "qemu 7", "silent", seconds=60)
    assert accel.recall(path, "qemu 7") == "silent"
    accel.remember(path, "qemu 7", "silent", seconds=-1)
    assert accel.recall(path, "qemu 7") is None
