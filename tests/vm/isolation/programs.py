"""Programs of a single system call, as static ELF files: containers in the VM have no compiler."""

from __future__ import annotations

import struct

_BASE = 0x400000
_HEADERS = 64 + 56
_X86_64, _AARCH64 = 62, 183
_REGISTERS = (b"\x48\xbf", b"\x48\xbe", b"\x48\xba", b"\x49\xba", b"\x49\xb8", b"\x49\xb9")
TEXT = _BASE + _HEADERS  # where the program's text lies: for arguments that point to it


def program(architecture: str, number: int, arguments: tuple[int, ...], text: bytes = b"") -> bytes:
    """An ELF that makes one call and exits with its errno (0 when it returned 0)."""
    machine = _X86_64 if architecture == "x86_64" else _AARCH64
    text = text + bytes(-len(text) % 16)
    code = (_x86_64 if machine == _X86_64 else _aarch64)(number, arguments)
    size = _HEADERS + len(text) + len(code)
    entry = TEXT + len(text)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 7, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + head + segment + text + code


def _x86_64(number: int, arguments: tuple[int, ...]) -> bytes:
    code = b""
    for register, value in zip(_REGISTERS, arguments, strict=False):
        code += register + struct.pack("<Q", value & (1 << 64) - 1)
    code += b"\xb8" + struct.pack("<I", number) + b"\x0f\x05"
    return code + b"\xf7\xd8\x89\xc7\xb8\x3c\x00\x00\x00\x0f\x05"  # exit(-result)


def _aarch64(number: int, arguments: tuple[int, ...]) -> bytes:
    words: list[int] = []
    for register, value in (*enumerate(arguments), (8, number)):
        for part in range(4):
            bits = (value & (1 << 64) - 1) >> 16 * part & 0xFFFF
            words.append((0xF2800000 if part else 0xD2800000) | part << 21 | bits << 5 | register)
    words += [0xD4000001, 0xCB0003E0, 0xD2800BA8, 0xD4000001]  # svc; neg x0; mov x8, 93; svc
    return struct.pack(f"<{len(words)}I", *words)
