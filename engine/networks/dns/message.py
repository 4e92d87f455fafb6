"""DNS messages as far as the engine answers them itself (RFC 1035, EDNS of RFC 6891)."""

import ipaddress
import struct
from collections.abc import Sequence

from engine.values import dataclass

A = 1
PTR = 12
AAAA = 28
ANY = 255
_OPT = 41
_IN = 1
_HEADER = struct.Struct(">HHHHHH")
_RESPONSE = 0x8000
_OPCODE = 0x7800
_TRUNCATED = 0x0200
_DESIRED = 0x0100
_AVAILABLE = 0x0080
OK = 0
SERVER_FAILURE = 2
NO_SUCH_NAME = 3
# Seconds that a client may keep an answer: containers come and go.
_TTL = 10
_PLAIN_SIZE = 512
_OWN_SIZE = 1232
_MAX_TCP = 65535


@dataclass(frozen=True, slots=True)
class Question:
    """A query with one question. `name` is in lower case without the dot at its end."""

    id: int
    flags: int
    name: str
    type: int
    # the question's bytes, to be repeated in the answer
    section: bytes
    edns: bool
    # what the client takes by UDP
    size: int


def parse(data: bytes) -> Question | None:
    """The question of a query; None for what is no plain query (or broken)."""
    if len(data) < 17:
        return None
    ident, flags, questions, _, _, additional = _HEADER.unpack_from(data)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    labels = []
    offset = 12
    try:
        while length := data[offset]:
            if length > 63:
                return None
            label = data[offset + 1 : offset + 1 + length]
            if len(label) != length:
                return None
            labels.append(label)
            offset += 1 + length
        kind, domain = struct.unpack_from(">HH", data, offset + 1)
    except (IndexError, struct.error):
        return None
    end = offset + 5
    if domain != _IN:
        return None
    name = b".".join(labels).decode("ascii", "replace").lower()
    size = _edns_size(data, end) if additional else 0
    return Question(ident, flags, name, kind, data[12:end], bool(size), max(size, _PLAIN_SIZE))


def _edns_size(data: bytes, offset: int) -> int:
    """The size in an OPT record right after the question (where clients put it), else 0."""
    if len(data) < offset + 11 or data[offset] != 0:
        return 0
    kind, size = struct.unpack_from(">HH", data, offset + 1)
    return int(size) or _PLAIN_SIZE if kind == _OPT else 0


def address_record(address: str) -> tuple[int, bytes]:
    """An A or AAAA record for the name in question."""
    packed = ipaddress.ip_address(address).packed
    return (A if len(packed) == 4 else AAAA), packed


def pointer_record(name: str) -> tuple[int, bytes]:
    """A PTR record."""
    parts = [part.encode("ascii", "replace")[:63] for part in name.split(".") if part]
    return PTR, b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


def answer(
    question: Question,
    records: Sequence[tuple[int, bytes]] = (),
    code: int = OK,
    *,
    tcp: bool = False,
) -> bytes:
    """The answer; cut off and marked so when it is longer than the client takes."""
    flags = _RESPONSE | _AVAILABLE | (question.flags & _DESIRED) | code
    tail = struct.pack(">BHHIH", 0, _OPT, _OWN_SIZE, 0, 0) if question.edns else b""
    limit = _MAX_TCP if tcp else min(question.size, 4096)
    body = bytearray(question.section)
    count = 0
    for kind, data in records:
        record = struct.pack(">HHHIH", 0xC00C, kind, _IN, _TTL, len(data)) + data
        if 12 + len(body) + len(record) + len(tail) > limit:
            flags |= _TRUNCATED
            break
        body += record
        count += 1
    header = _HEADER.pack(question.id, flags, 1, count, 0, 1 if tail else 0)
    return header + bytes(body) + tail


def response_code(data: bytes) -> int:
    """The code in another server's answer."""
    return data[3] & 0xF if len(data) >= 12 else SERVER_FAILURE


def reverse_address(name: str) -> str:
    """The address in the name of a PTR question, "" when it holds none."""
    labels = name.split(".")
    try:
        if name.endswith(".in-addr.arpa") and len(labels) == 6:
            return str(ipaddress.IPv4Address(".".join(reversed(labels[:4]))))
        if name.endswith(".ip6.arpa") and len(labels) == 34:
            return str(ipaddress.IPv6Address(int("".join(reversed(labels[:32])), 16)))
    except ValueError:
        return ""
    return ""
