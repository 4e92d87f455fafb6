"""The kernel's file, its modules and the initrd."""

from __future__ import annotations

import lzma
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from image_build import elf, initramfs, kernel
from image_build.elf import HEADER
from image_build.errors import BuildError
from image_build.tracing import (
    RELOCATION,
    SECTION,
    SHT_RELA,
    SHT_SYMTAB,
    SYMBOL,
    X86_64,
    drop_hooks,
)

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


def module_with_hooks(machine: int) -> bytes:
    """A relocatable ELF: `call __fentry__; ret`, its relocation, its hooks."""
    names = b"\0.text\0.rela.text\0.symtab\0.strtab\0__mcount_loc\0"
    strings = b"\0__fentry__\0"
    blank, wanted = SYMBOL.pack(0, 0, 0, 0, 0, 0), SYMBOL.pack(1, 16, 0, 0, 0, 0)
    parts = [
        (0, 0, b"", 0, 0),
        (1, 1, b"\xe8\0\0\0\0\xc3", 0, 0),
        (7, SHT_RELA, RELOCATION.pack(1, 1 << 32 | 4, -4), 3, 1),
        (18, SHT_SYMTAB, blank + wanted, 4, 0),
        (26, 3, strings, 0, 0),
        (34, 1, bytes(8), 0, 0),
        (0, 3, names, 0, 0),
    ]
    body, table = bytearray(HEADER.size), b""
    for name, kind, content, link, info in parts:
        table += SECTION.pack(name, kind, 0, 0, len(body), len(content), link, info, 1, 0)
        body += content
    magic = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = HEADER.pack(magic, 1, machine, 1, 0, 0, len(body), 0, 64, 0, 0, 64, len(parts), 6)
    return bytes(head + body[HEADER.size :] + table)


def test_a_module_loses_its_hooks_for_the_tracer() -> None:
    before = module_with_hooks(X86_64)
    after = drop_hooks(before)
    assert len(after) == len(before)
    assert b"\0__mcount_loc\0" not in after
    assert after[64:70] == b"\x0f\x1f\x44\x00\x00\xc3"
    assert after[70:94] == bytes(24), "R_X86_64_NONE"
    assert drop_hooks(after) == after


def test_other_machines_have_no_calls_to_drop() -> None:
    after = drop_hooks(module_with_hooks(183))
    assert b"__mcount_loc\0" not in after and after[64:70] == b"\xe8\0\0\0\0\xc3"
