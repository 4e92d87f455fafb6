"""Kernel modules without hooks for the function tracer.

For each function that could be traced the kernel looks up its symbol when it inserts a module, by a
walk over all of the module's symbols: 200 million instructions a start, more than all else that
modules cost. Kprobes and events work as before; only the tracer of functions knows no modules.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from image_build.elf import HEADER

X86_64 = 62
SHT_SYMTAB, SHT_RELA = 2, 4
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQq")
# where the kernel finds the hooks (FTRACE_CALLSITE_SECTION), on x86 and elsewhere
HOOKS = (b"__mcount_loc\0", b"__patchable_function_entries\0")
CALL, NOP = b"\xe8", b"\x0f\x1f\x44\x00\x00"


@dataclass(frozen=True)
class Section:
    """What of a section header is needed here; offset and size in bytes."""

    name: int
    type: int
    offset: int
    size: int
    link: int
    info: int


def drop_hooks(module: bytes) -> bytes:
    """The module with its hooks unlisted and, on x86, the calls to the tracer made no-ops."""
    image = bytearray(module)
    fields = HEADER.unpack_from(image)
    parts = [_section(image, fields[6] + fields[11] * n) for n in range(fields[12])]
    if fields[2] == X86_64:
        _drop_calls(image, parts)
    names = parts[fields[13]]
    for hook in HOOKS:
        # the tail of ".rela__mcount_loc" is the same text; relocations go by number, not by name
        at = image.find(hook, names.offset, names.offset + names.size)
        while at >= 0:
            image[at] = ord("-")
            at = image.find(hook, at, names.offset + names.size)
    return bytes(image)


def _section(image: bytearray, at: int) -> Section:
    name, type, _, _, offset, size, link, info, _, _ = SECTION.unpack_from(image, at)
    return Section(name, type, offset, size, link, info)


def _drop_calls(image: bytearray, parts: list[Section]) -> None:
    """Each relocation of a call to __fentry__ becomes R_X86_64_NONE, the call a no-op."""
    for part in parts:
        if part.type != SHT_RELA:
            continue
        wanted = _symbol(image, parts, part.link, "__fentry__")
        if wanted is None:
            continue
        code = parts[part.info].offset
        for at in range(part.offset, part.offset + part.size, RELOCATION.size):
            place, info, _ = RELOCATION.unpack_from(image, at)
            call = code + place - 1
            if info >> 32 == wanted and image[call : call + 1] == CALL:
                image[call : call + len(NOP)] = NOP
                RELOCATION.pack_into(image, at, 0, 0, 0)


def _symbol(image: bytearray, parts: list[Section], table: int, name: str) -> int | None:
    """The number of a symbol that the module takes from the kernel."""
    symbols = parts[table]
    if symbols.type != SHT_SYMTAB:
        return None
    strings, sought = parts[symbols.link].offset, name.encode() + b"\0"
    for number in range(symbols.size // SYMBOL.size):
        entry = SYMBOL.unpack_from(image, symbols.offset + number * SYMBOL.size)
        if entry[3] == 0 and image.startswith(sought, strings + entry[0]):
            return number
    return None
