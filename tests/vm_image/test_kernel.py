"""The kernel's file, its modules and the initrd."""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from image_build import elf, initramfs, kernel
from image_build.errors import BuildError

DEPENDENCIES = kernel.parse_dependencies(
    "kernel/fs/erofs/erofs.ko.xz: kernel/fs/netfs/netfs.ko.xz kernel/lib/libcrc32c.ko.xz\n"
    "kernel/fs/netfs/netfs.ko.xz:\n"
    "kernel/lib/libcrc32c.ko.xz:\n"
    "kernel/net/9p/9pnet-virtio.ko.xz: kernel/net/9p/9pnet.ko.xz\n"
    "kernel/net/9p/9pnet.ko.xz:\n"
    "kernel/net/netfilter/xt_LED.ko.xz:\n"
    "kernel/net/netfilter/xt_mark.ko.xz:\n"
)


def tiny_elf() -> bytes:
    """A program with a gap, stored zeros and a note inside its first segment."""
    loaded = b"CODE" * 3 + b"NOTE" + b"\0" * 500
    header = list(elf.HEADER.unpack(bytes(elf.HEADER.size)))
    header[0], header[5], header[9], header[10] = b"\x7fELF\x02\x01".ljust(16, b"\0"), 64, 56, 2
    load = elf.SEGMENT.pack(elf.PT_LOAD, 5, 0x200000, 0x1000, 0x1000, 516, 600, 0x200000)
    note = elf.SEGMENT.pack(elf.PT_NOTE, 4, 0x200000 + 12, 0x100C, 0x100C, 4, 4, 4)
    head = elf.HEADER.pack(*header) + load + note
    return head.ljust(0x200000, b"\0") + loaded


def test_a_compact_kernel_loads_the_same_bytes_to_the_same_place() -> None:
    small = kernel.compact(tiny_elf())
    load, note = elf.segments(small)
    assert len(small) < 8192
    assert (load.virtual, load.physical, load.memory_size) == (0x1000, 0x1000, 600)
    assert small[load.offset :][: load.file_size] == b"CODE" * 3 + b"NOTE"
    assert small[note.offset :][: note.file_size] == b"NOTE"


def test_the_kernel_is_taken_out_of_a_bzimage() -> None:
    payload = lzma.compress(b"vmlinux itself") + b"\x0e\0\0\0"
    image = bytearray(512 * 3) + b"?" * 16 + payload
    image[0x1F1], image[0x202:0x206] = 2, b"HdrS"
    image[0x248:0x250] = struct.pack("<II", 16, len(payload))
    assert kernel.is_bzimage(bytes(image))
    assert kernel.unpack_bzimage(bytes(image)) == b"vmlinux itself"
    image[512 * 3 + 16] = 0
    with pytest.raises(BuildError, match="zstd and xz"):
        kernel.unpack_bzimage(bytes(image))


def test_modules_come_with_what_they_need() -> None:
    chosen = kernel.choose(DEPENDENCIES, ["erofs", "9pnet-virtio", "xt_*"], drop=["xt_LED"])
    assert set(chosen) == {"erofs", "netfs", "libcrc32c", "9pnet_virtio", "9pnet", "xt_mark"}


def test_what_a_module_needs_is_loaded_first_and_builtin_ones_fall_out() -> None:
    order = kernel.load_order(DEPENDENCIES, ["virtio_pci", "erofs", "9pnet_virtio"])
    names = [kernel.module_name(path) for path in order]
    assert names == ["libcrc32c", "netfs", "erofs", "9pnet", "9pnet_virtio"]


def test_a_signature_is_cut_off_and_nothing_else() -> None:
    signature = b"s" * 40
    tail = struct.pack(">8BI", 0, 0, 2, 0, 0, 0, 0, 0, len(signature))
    assert kernel.strip_signature(b"module" + signature + tail + kernel.SIGNATURE_MARK) == b"module"
    assert kernel.strip_signature(b"module") == b"module"


def test_cpio_reads_the_initrd_back(tmp_path: Path) -> None:
    cpio = shutil.which("cpio") or shutil.which("busybox")
    assert cpio, "busybox-static is among the packages that the tests need"
    content = initramfs.pack(
        [
            initramfs.folder("bin"),
            initramfs.program("bin/a", b"12345"),
            initramfs.link("bin/sh", "a"),
        ]
    )
    argv = [cpio, "-i"] if cpio.endswith("cpio") else [cpio, "cpio", "-i"]
    subprocess.run(argv, input=content, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "bin/a").read_bytes() == b"12345"
    assert (tmp_path / "bin/sh").readlink() == Path("a")
