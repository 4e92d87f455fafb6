"""Published ports: rules, refusals with their cause, relays for IPv6."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator

import pytest

from desktop.failure import Failure
from desktop.forward import holders, hostlink
from desktop.forward.ports import AddressAbsent, Forwards, Place, parse_rules
from desktop.forward.relay import TcpRelay, UdpRelay


class FakeMonitor:
    """Remembers QEMU's rules as `info usernet` would list them."""

    def __init__(self) -> None:
        self.rules: dict[str, str] = {"tcp:127.0.0.1:40022": "22"}
        self.refuse = 0

    async def __call__(self, line: str) -> str:
        words = line.split()
        if words[0] == "hostfwd_add":
            if self.refuse:
                self.refuse -= 1
                return f"Could not set up host forwarding rule '{words[2]}'\r\n"
            here, _, there = words[2].partition("-")
            self.rules[here] = there.rpartition(":")[2]
            return ""
        if words[0] == "hostfwd_remove":
            gone = self.rules.pop(words[2], None)
            return f"host forwarding rule for {words[2]} {'removed' if gone else 'not found'}\r\n"
        lines = ["  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ"]
        for here, guest in self.rules.items():
            protocol, host, port = here.split(":")
            host = "*" if host == "0.0.0.0" else host
            state = f"{protocol.upper()}[HOST_FORWARD]"
            lines.append(f"  {state}  12  {host} {port}  10.0.2.15 {guest}  0  0")
        return "\r\n".join(lines) + "\r\n"


@pytest.fixture
def monitor() -> FakeMonitor:
    return FakeMonitor()


@pytest.fixture
async def forwards(monitor: FakeMonitor) -> AsyncIterator[Forwards]:
    made = Forwards(monitor)
    yield made
    await made.reset()


def free_port() -> int:
    return holders.bind_test("tcp", "127.0.0.1", 0)


async def test_publish_and_withdraw(forwards: Forwards, monitor: FakeMonitor) -> None:
    port = free_port()
    assert await forwards.publish("tcp", "127.0.0.1", port, 8080) == port
    assert monitor.rules[f"tcp:127.0.0.1:{port}"] == "8080"
    assert forwards.places == [Place("tcp", "127.0.0.1", port)]
    await forwards.withdraw("tcp", "127.0.0.1", port)
    await forwards.withdraw("tcp", "127.0.0.1", port)
    assert list(monitor.rules.values()) == ["22"]


async def test_port_zero_takes_a_free_one(forwards: Forwards, monitor: FakeMonitor) -> None:
    monitor.refuse = 2  # somebody was quicker, twice
    first = await forwards.publish("udp", "", 0, 53)
    assert monitor.rules == {"tcp:127.0.0.1:40022": "22", f"udp:0.0.0.0:{first}": "53"}


async def test_a_taken_port_names_its_holder(forwards: Forwards) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(Failure, match=f"already in use by .*pid {os.getpid()}"):
            await forwards.publish("tcp", "127.0.0.1", port, 80)
    assert forwards.places == []


async def test_a_taken_udp_port(forwards: Forwards) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with pytest.raises(Failure, match=f"pid {os.getpid()}"):
            await forwards.publish("udp", "127.0.0.1", server.getsockname()[1], 80)


async def test_the_same_place_twice_is_refused(forwards: Forwards) -> None:
    port = await forwards.publish("tcp", "127.0.0.1", 0, 80)
    with pytest.raises(Failure, match="already published"):
        await forwards.publish("tcp", "127.0.0.1", port, 81)


@pytest.mark.parametrize(
    "protocol, host, told",
    [
        ("sctp", "127.0.0.1", "Only tcp and udp"),
        ("tcp", "198.51.100.7", "no address 198.51.100.7"),
        ("tcp", "127.0.0.1 -x", "no address"),
        ("tcp", "name", "no address"),
    ],
)
async def test_what_cant_be_published(
    forwards: Forwards, protocol: str, host: str, told: str
) -> None:
    with pytest.raises(Failure, match=told):
        await forwards.publish(protocol, host, 45999, 80)


async def test_qemus_own_refusal_is_passed_on(forwards: Forwards, monitor: FakeMonitor) -> None:
    monitor.refuse = 1
    with pytest.raises(Failure, match="Could not set up"):
        await forwards.publish("tcp", "127.0.0.1", free_port(), 80)


async def test_sweep_leaves_the_way_to_sshd(forwards: Forwards, monitor: FakeMonitor) -> None:
    monitor.rules |= {"tcp:0.0.0.0:8080": "80", "udp:127.0.0.1:53": "53"}
    await forwards.sweep()
    assert monitor.rules == {"tcp:127.0.0.1:40022": "22"}


async def test_ipv6_goes_through_a_relay(forwards: Forwards, monitor: FakeMonitor) -> None:
    port = await forwards.publish("tcp", "::1", 0, 8080)
    (rule,) = [each for each, guest in monitor.rules.items() if guest == "8080"]
    assert re.fullmatch(r"tcp:127\.0\.0\.1:\d+", rule)
    inner = int(rule.rpartition(":")[2])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())
        writer.write_eof()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", inner):
        reader, writer = await asyncio.open_connection("::1", port)
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"got hello"
        writer.close()
    await forwards.withdraw("tcp", "::1", port)
    assert list(monitor.rules.values()) == ["22"]


async def test_an_address_that_is_absent_is_told_as_such(forwards: Forwards) -> None:
    with pytest.raises(AddressAbsent, match="no address 192.0.2.1"):
        await forwards.publish("tcp", "192.0.2.1", 0, 8080)


async def test_a_relay_whose_far_end_is_gone_ends_the_client() -> None:
    relay = TcpRelay(free_port())
    port = holders.bind_test("tcp", "::1", 0)
    await relay.open("::1", port)
    reader, writer = await asyncio.open_connection("::1", port)
    assert await reader.read() == b""
    writer.close()
    await relay.close()


async def test_udp_answers_find_their_peer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.setblocking(False)
        relay = UdpRelay(far.getsockname()[1])
        port = holders.bind_test("udp", "::1", 0)
        await relay.open("::1", port)
        loop = asyncio.get_running_loop()
        clients = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
        for number, client in enumerate(clients):
            client.setblocking(False)
            client.connect(("::1", port))
            client.send(b"%d" % number)
        for _ in clients:
            data, peer = await asyncio.wait_for(loop.sock_recvfrom(far, 100), 5)
            far.sendto(b"re " + data, peer)
        for number, client in enumerate(clients):
            answer = await asyncio.wait_for(loop.sock_recv(client, 100), 5)
            assert answer == b"re %d" % number
            client.close()
        await relay.close()


def test_rules_are_read_from_qemus_table() -> None:
    text = (
        "Hub -1 (n0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port\r\n"
        "  TCP[HOST_FORWARD]  13       127.0.0.1 38031       10.0.2.15    22     0     0\r\n"
        "  UDP[HOST_FORWARD]  14               *  5353       10.0.2.15    53     0     0\r\n"
        "  TCP[ESTABLISHED]   15       127.0.0.1 38031       10.0.2.15    22     0     0\r\n"
    )
    assert parse_rules(text) == [
        ("tcp", "127.0.0.1", 38031, 22),
        ("udp", "0.0.0.0", 5353, 53),
    ]


def test_nobody_holds_a_free_port() -> None:
    assert holders.find("tcp", free_port()) == ""


def test_requests_of_the_engine() -> None:
    request = {"id": 1, "op": "publish", "protocol": "tcp", "host_port": 80, "guest_port": 80}
    assert hostlink.parse_request(request) == ("tcp", "", 80, 80)
    for broken in ({}, {"protocol": "tcp"}, {"protocol": "tcp", "host_port": "x"}):
        with pytest.raises(Failure, match="can't be understood"):
            hostlink.parse_request(broken)
