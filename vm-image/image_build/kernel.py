"""The kernel: as the form that boots fastest, and the modules chosen by the recipe."""

from __future__ import annotations

import fnmatch
import lzma
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from image_build.elf import HEADER, PT_LOAD, PT_NOTE, SEGMENT, Segment, segments
from image_build.errors import BuildError
from image_build.run import run
from image_build.tracing import drop_hooks

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SIGNATURE_MARK = b"~Module signature appended~\n"
PAGE = 4096


def is_bzimage(image: bytes) -> bool:
    """Whether this is an x86 kernel with its own unpacker in front (boot protocol, "HdrS")."""
    return image[0x202:0x206] == b"HdrS"


def unpack_bzimage(image: bytes) -> bytes:
    """The ELF `vmlinux` inside an x86 kernel file: QEMU starts it by its PVH entry.

    That saves the kernel's unpacking of itself, which costs most under emulation.
    Fields: Documentation/arch/x86/boot.rst of Linux (setup_sects, payload_offset, payload_length).
    """
    setup_sectors = image[0x1F1] or 4
    start, length = struct.unpack_from("<II", image, 0x248)
    begin = (setup_sectors + 1) * 512 + start
    payload = image[begin : begin + length]
    if payload.startswith(ZSTD_MAGIC):
        # the last four bytes are the unpacked size, for the kernel's own unpacker
        return run(["zstd", "-dcq", "--no-check", "-"], input=payload[:-4])
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(payload[:-4])
    raise BuildError("the kernel is compressed in a way that this build doesn't know (zstd and xz)")


def compact(image: bytes) -> bytes:
    """The same kernel without section table, alignment gaps and stored zeros."""
    fields = list(HEADER.unpack_from(image))
    parts = segments(image)
    place = HEADER.size + SEGMENT.size * len(parts)
    body = bytearray()
    moved: dict[int, Segment] = {}
    for number, part in enumerate(parts):
        if part.type != PT_LOAD:
            continue
        content = image[part.offset : part.offset + part.file_size].rstrip(b"\0")
        body += b"\0" * (-(place + len(body)) % PAGE)
        moved[number] = replace(part, place + len(body), len(content))
        body += content
    for number, part in enumerate(parts):
        if part.type == PT_NOTE:
            moved[number] = follow(part, parts, moved)
    fields[5], fields[6] = HEADER.size, 0  # program headers follow at once, no section table
    fields[11:14] = [0, 0, 0]
    table = b"".join(pack(moved.get(number, part)) for number, part in enumerate(parts))
    return HEADER.pack(*fields) + table + bytes(body)


def replace(part: Segment, offset: int, file_size: int) -> Segment:
    """A segment at another place of the file; alignment is told by the offset alone."""
    return Segment(
        part.type,
        part.flags,
        offset,
        part.virtual,
        part.physical,
        file_size,
        part.memory_size,
        PAGE,
    )


def follow(part: Segment, parts: Sequence[Segment], moved: Mapping[int, Segment]) -> Segment:
    """The notes lie inside a loaded segment; keep pointing at them."""
    for number, new in moved.items():
        old = parts[number]
        if old.offset <= part.offset < old.offset + old.file_size:
            offset = part.offset - old.offset + new.offset
            return Segment(
                part.type, part.flags, offset, part.virtual, part.physical,
                part.file_size, part.memory_size, part.align,
            )  # fmt: skip
    return part


def pack(part: Segment) -> bytes:
    """A program header as it stands in the file."""
    return SEGMENT.pack(
        part.type, part.flags, part.offset, part.virtual, part.physical,
        part.file_size, part.memory_size, part.align,
    )  # fmt: skip


def module_name(path: str) -> str:
    """`kernel/net/9p/9pnet-virtio.ko.xz` -> `9pnet_virtio`, as the kernel knows it."""
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def parse_dependencies(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """modules.dep -> module name: (its path, the paths it needs, in depmod's order)."""
    table = {}
    for line in text.splitlines():
        path, _, rest = line.partition(":")
        table[module_name(path)] = (path, tuple(rest.split()))
    return table


def choose(
    dependencies: Mapping[str, tuple[str, tuple[str, ...]]],
    patterns: Iterable[str],
    drop: Iterable[str] = (),
) -> dict[str, str]:
    """Modules by pattern, with all that they need: name -> path."""
    unwanted = [pattern.replace("-", "_") for pattern in drop]
    chosen: dict[str, str] = {}
    for pattern in patterns:
        for name in fnmatch.filter(dependencies, pattern.replace("-", "_")):
            if any(fnmatch.fnmatch(name, other) for other in unwanted):
                continue
            path, needs = dependencies[name]
            for one in (path, *needs):
                chosen[module_name(one)] = one
    return chosen


def load_order(
    dependencies: Mapping[str, tuple[str, tuple[str, ...]]], names: Iterable[str]
) -> list[str]:
    """Paths in the order to insert them: what a module needs goes first. Built-in ones fall out."""
    order: list[str] = []
    for name in names:
        if name.replace("-", "_") not in dependencies:
            continue
        path, needs = dependencies[name.replace("-", "_")]
        order += [one for one in (*reversed(needs), path) if one not in order]
    return order


def strip_signature(module: bytes) -> bytes:
    """Debian signs each module; checking that costs more than loading it, under emulation.

    The image's own digest vouches for it. Layout: include/linux/module_signature.h.
    """
    if not module.endswith(SIGNATURE_MARK):
        return module
    end = len(module) - len(SIGNATURE_MARK)
    (length,) = struct.unpack(">I", module[end - 4 : end])
    return module[: end - 12 - length]


def read_module(path: Path) -> bytes:
    """A module unpacked, unsigned and without the tracer's hooks: the form that loads fastest."""
    content = path.read_bytes()
    if path.suffix == ".xz":
        content = lzma.decompress(content)
    elif path.suffix == ".zst":
        content = run(["zstd", "-dcq", "-"], input=content)
    return drop_hooks(strip_signature(content))
