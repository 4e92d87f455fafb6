"""Reads ELF files: which libraries a program needs, and how a kernel is laid out.

Own reader, as the build runs on machines without binutils and for architectures not its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from image_build.errors import BuildError

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
DT_NEEDED, DT_STRTAB, DT_RUNPATH = 1, 5, 29
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")


@dataclass(frozen=True)
class Segment:
    """A program header; sizes and offsets in bytes."""

    type: int
    flags: int
    offset: int
    virtual: int
    physical: int
    file_size: int
    memory_size: int
    align: int


def is_elf(path: Path) -> bool:
    """Whether the file is a 64-bit little-endian ELF."""
    with path.open("rb") as file:
        return file.read(6) == b"\x7fELF\x02\x01"


def segments(image: bytes) -> list[Segment]:
    """The program headers of a 64-bit little-endian ELF."""
    fields = HEADER.unpack_from(image)
    offset, size, count = fields[5], fields[9], fields[10]
    return [Segment(*SEGMENT.unpack_from(image, offset + size * n)) for n in range(count)]


def needed(image: bytes) -> list[str]:
    """DT_NEEDED: the shared libraries by name, as the dynamic loader looks them up."""
    parts = segments(image)
    dynamic = next((part for part in parts if part.type == PT_DYNAMIC), None)
    if dynamic is None:
        return []
    entries = []
    for at in range(dynamic.offset, dynamic.offset + dynamic.file_size, 16):
        entries.append(struct.unpack_from("<qQ", image, at))
    strings = next((value for tag, value in entries if tag == DT_STRTAB), 0)
    table = file_offset(parts, strings)
    return [text_at(image, table + value) for tag, value in entries if tag == DT_NEEDED]


def file_offset(parts: Iterable[Segment], address: int) -> int:
    """Where in the file the byte at a virtual address stands."""
    for part in parts:
        if part.type == PT_LOAD and part.virtual <= address < part.virtual + part.file_size:
            return address - part.virtual + part.offset
    raise BuildError(f"damaged ELF file: no segment holds the address {address:#x}")


def text_at(image: bytes, offset: int) -> str:
    """The zero-terminated string at an offset."""
    return image[offset : image.index(b"\0", offset)].decode()


def library_closure(programs: Iterable[Path], folders: Iterable[Path]) -> set[Path]:
    """The shared libraries that programs need, and that those need, found in `folders`."""
    places = list(folders)
    waiting = list(programs)
    found: set[Path] = set()
    while waiting:
        program = waiting.pop()
        for name in needed(program.read_bytes()):
            path = next((folder / name for folder in places if (folder / name).exists()), None)
            if path is None:
                raise BuildError(f"{program} needs {name}, which none of the packages brings")
            if path not in found:
                found.add(path)
                waiting.append(path)
    return found
