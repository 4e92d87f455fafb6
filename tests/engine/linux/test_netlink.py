"""Netlink messages as bytes, and a socket that asks the real kernel (reading needs no root)."""

import errno
import ipaddress
import struct

import pytest

from engine.linux import netlink
from engine.linux.netlink.message import (
    Message,
    attribute,
    attribute_list,
    attributes,
    nested,
    replies,
    text,
    u32,
)


def test_attributes_are_padded_and_read_back() -> None:
    data = text(3, "eth0") + u32(4, 1500) + nested(18, attribute(1, b"x"))
    assert len(data) % 4 == 0
    found = attributes(data)
    assert found[3] == b"eth0\0"
    assert struct.unpack("=I", found[4]) == (1500,)
    assert attributes(found[18]) == {1: b"x"}


def test_attributes_that_lie_about_their_length_end_the_list() -> None:
    assert list(attribute_list(struct.pack("=HH", 2, 1) + b"rest")) == []
    assert list(attribute_list(b"\x08")) == []


def test_messages_in_one_datagram() -> None:
    data = Message(16, 1, b"abc").encode(7) + Message(17, 0, b"").encode(8)
    first, second = replies(data)
    assert (first.kind, first.sequence, first.body) == (16, 7, b"abc")
    assert (second.kind, second.sequence) == (17, 8)


def test_the_kernel_lists_the_loopback() -> None:
    with netlink.Channel() as channel:
        loopback = netlink.find_link(channel, "lo")
        assert loopback is not None
        assert loopback.index == 1
        assert loopback.name in {link.name for link in netlink.links(channel)}
        assert netlink.find_link(channel, "no-such-link") is None
        assert ipaddress.ip_interface("127.0.0.1/8") in {
            address.interface for address in netlink.addresses(channel)
        }
        assert all(one.prefixlen for one in netlink.routed_networks(channel))


def test_a_refusal_says_what_failed_and_others_of_the_batch_go_on() -> None:
    with netlink.Channel() as channel:
        doomed = [netlink.delete_link("no-such-a"), netlink.delete_link("no-such-b")]
        results = channel.attempt(doomed)
        assert [error and error.errno in (errno.ENODEV, errno.EPERM) for error in results] == [
            True,
            True,
        ]
        with pytest.raises(netlink.NetlinkError, match="remove interface no-such-a: "):
            channel.run(doomed)


def test_hardware_addresses_in_both_spellings() -> None:
    assert netlink.mac_bytes("02:42:ac:11:00:02") == netlink.mac_bytes("02-42-AC-11-00-02")
    with pytest.raises(ValueError, match="fromhex"):
        netlink.mac_bytes("nonsense")
