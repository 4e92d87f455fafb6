"""Parts of nftables rules as bytes (linux/netfilter/nf_tables.h).

Registers: 1-4 hold 16 bytes each; 8-23 are the same memory in words of 4 bytes, for keys and data
that are joined from several fields.
"""

from engine.linux.netlink.message import attribute as raw
from engine.linux.netlink.message import be32, nested, text

IPV4 = 2
IPV6 = 10
ACCEPT = 1
DROP = 0
RETURN = 0xFFFFFFFB  # -5 as an unsigned word
WORD = 8
_VERDICT_REGISTER = 0

_LIST_ELEMENT = 1
_EXPRESSION_NAME = 1
_EXPRESSION_DATA = 2
_DATA_VALUE = 1
_DATA_VERDICT = 2
_VERDICT_CODE = 1

META_IIFNAME = 6
META_OIFNAME = 7
META_NFPROTO = 15
META_L4PROTO = 16
CT_STATE = 0
CT_STATUS = 2
CT_ESTABLISHED = 0x2
CT_RELATED = 0x4
CT_DESTINATION_CHANGED = 0x20
NETWORK_HEADER = 1
TRANSPORT_HEADER = 2
RTN_LOCAL = 2


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(
        _LIST_ELEMENT, text(_EXPRESSION_NAME, name), nested(_EXPRESSION_DATA, *attributes)
    )


def value(kind: int, payload: bytes) -> bytes:
    """A data attribute that holds bytes."""
    return nested(kind, raw(_DATA_VALUE, payload))


def verdict_value(kind: int, code: int) -> bytes:
    """A data attribute that holds a verdict."""
    return nested(kind, nested(_DATA_VERDICT, be32(_VERDICT_CODE, code)))


def meta(key: int, register: int) -> bytes:
    """Load a fact about the packet."""
    return _expression("meta", be32(1, register), be32(2, key))


def conntrack(key: int, register: int) -> bytes:
    """Load a fact about the packet's connection."""
    return _expression("ct", be32(1, register), be32(2, key))


def payload(base: int, offset: int, length: int, register: int) -> bytes:
    """Load bytes of the packet."""
    return _expression(
        "payload", be32(1, register), be32(2, base), be32(3, offset), be32(4, length)
    )


def destination_type(register: int) -> bytes:
    """Load what kind of address the destination is (RTN_LOCAL...)."""
    return _expression("fib", be32(1, register), be32(2, 3), be32(3, 2))


def source_type(register: int) -> bytes:
    """Load what kind of address the source is (RTN_LOCAL...)."""
    return _expression("fib", be32(1, register), be32(2, 3), be32(3, 1))


def equal(register: int, data: bytes, negate: bool = False) -> bytes:
    """Go on when the register holds these bytes (or doesn't)."""
    return _expression("cmp", be32(1, register), be32(2, int(negate)), value(3, data))


def masked(register: int, mask: bytes) -> bytes:
    """Keep the bits of `mask`."""
    zero = bytes(len(mask))
    length = be32(3, len(mask))
    return _expression(
        "bitwise", be32(1, register), be32(2, register), length, value(4, mask), value(5, zero)
    )


def member(set_name: str, register: int, negate: bool = False) -> bytes:
    """Go on when the set holds the register (or doesn't)."""
    return _expression("lookup", text(1, set_name), be32(2, register), be32(5, int(negate)))


def mapped(map_name: str, register: int, target: int) -> bytes:
    """Go on when the map has the key in `register`; its data lands in `target`."""
    return _expression("lookup", text(1, map_name), be32(2, register), be32(3, target))


def verdict_of(map_name: str, register: int) -> bytes:
    """Do what the map says for the key in `register`; go on when it says nothing."""
    return mapped(map_name, register, _VERDICT_REGISTER)


def verdict(code: int) -> bytes:
    """Accept, drop or return."""
    return _expression("immediate", be32(1, _VERDICT_REGISTER), verdict_value(2, code))


def constant(register: int, data: bytes) -> bytes:
    """Load bytes that are known beforehand."""
    return _expression("immediate", be32(1, register), value(2, data))


def destination_nat(family: int, address_register: int, port_register: int) -> bytes:
    """Send the connection to the address and port in the registers."""
    return _expression(
        "nat",
        be32(1, 1),
        be32(2, family),
        be32(3, address_register),
        be32(5, port_register),
    )


def masquerade() -> bytes:
    """Give the connection the address of the interface that it leaves by."""
    return _expression("masq")
