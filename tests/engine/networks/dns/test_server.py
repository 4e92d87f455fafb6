"""The resolver on real sockets, with a name server behind it that answers, refuses or is silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from engine.networks.dns.forwarder import Forwarder
from engine.networks.dns.names import Names, View
from engine.networks.dns.server import Server, open_sockets


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)


class Upstream:
    """A name server on 127.0.0.1: says 9.9.9.9, by UDP cut off for names with `long`."""

    def __init__(self) -> None:
        self.datagrams, self.streams = open_sockets("127.0.0.1", 0)
        self.port: int = self.datagrams.getsockname()[1]
        self.refuse = False
        for one in (self.datagrams, self.streams):
            one.setblocking(True)
            one.settimeout(5)
        for work in (self._udp, self._tcp):
            threading.Thread(target=work, daemon=True).start()

    def _answer(self, data: bytes, *, tcp: bool) -> bytes:
        if self.refuse:
            return data[:2] + b"\x81\x85" + data[4:]
        if b"long" in data and not tcp:
            return data[:2] + b"\x83\x80" + data[4:]
        record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x09\x09\x09\x09"
        return data[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + data[12:] + record

    def _udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, sender = self.datagrams.recvfrom(4096)
                if b"silent" not in data:
                    self.datagrams.sendto(self._answer(data, tcp=False), sender)

    def _tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.streams.accept()
                with connection:
                    found = self._answer(connection.recv(4096)[2:], tcp=True)
                    connection.sendall(struct.pack(">H", len(found)) + found)

    def close(self) -> None:
        for one in (self.datagrams, self.streams):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@dataclass
class Asker:
    """A client of the resolver under test."""

    port: int

    async def udp(self, data: bytes, limit: float = 2) -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", self.port))
            await loop.sock_sendall(client, data)
            return await asyncio.wait_for(loop.sock_recv(client, 4096), limit)

    async def tcp(self, *queries: bytes) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        found = []
        for data in queries:
            writer.write(struct.pack(">H", len(data)) + data)
            (length,) = struct.unpack(">H", await reader.readexactly(2))
            found.append(await reader.readexactly(length))
        writer.close()
        await writer.wait_closed()
        return found


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@dataclass
class Resolver:
    server: Server
    names: Names
    ask: Asker


@pytest.fixture
async def resolver(upstream: Upstream) -> AsyncIterator[Resolver]:
    names = Names()
    names.add("n", "net", "c1", ("web",), ("10.0.0.2",))
    server = Server(names, lambda: ("127.0.0.1",), Forwarder(upstream.port, patience=0.5))
    sockets = open_sockets("127.0.0.1", 0)
    server.serve("c1", sockets, View(("n",)))
    yield Resolver(server, names, Asker(sockets[0].getsockname()[1]))
    server.close()
    server.close()


async def test_own_names_by_udp_and_tcp(resolver: Resolver) -> None:
    assert (await resolver.ask.udp(query("web"))).endswith(bytes((10, 0, 0, 2)))
    first, second = await resolver.ask.tcp(query("web"), query("WEB.net"))
    assert first.endswith(bytes((10, 0, 0, 2)))
    assert second.endswith(bytes((10, 0, 0, 2)))


async def test_other_types_of_own_names_are_empty_and_not_asked_outside(
    resolver: Resolver,
) -> None:
    for kind in (28, 15, 65):
        found = await resolver.ask.udp(query("web", kind))
        assert (found[3] & 0xF, found[7]) == (0, 0)


async def test_pointers(resolver: Resolver) -> None:
    found = await resolver.ask.udp(query("2.0.0.10.in-addr.arpa", 12))
    assert found.endswith(b"\3web\3net\0")


async def test_other_names_are_asked_outside(resolver: Resolver) -> None:
    assert (await resolver.ask.udp(query("example.com"))).endswith(b"\x09\x09\x09\x09")
    cut = await resolver.ask.udp(query("long.example"))
    assert cut[2] & 0x02
    (whole,) = await resolver.ask.tcp(query("long.example"))
    assert whole.endswith(b"\x09\x09\x09\x09")


async def test_the_next_server_is_asked_when_one_is_silent(
    resolver: Resolver, upstream: Upstream
) -> None:
    view = View(("n",), servers=("127.0.0.77", "127.0.0.1"))
    resolver.server.see("c1", view)
    assert (await resolver.ask.udp(query("example.com"))).endswith(b"\x09\x09\x09\x09")
    assert (await resolver.ask.udp(query("silent.example")))[3] & 0xF == 2


async def test_a_refusal_is_passed_on_when_nobody_knows_better(
    resolver: Resolver, upstream: Upstream
) -> None:
    upstream.refuse = True
    assert (await resolver.ask.udp(query("example.com")))[3] & 0xF == 5


async def test_internal_networks_ask_nobody(resolver: Resolver) -> None:
    resolver.server.see("c1", View(("n",), outward=False))
    assert (await resolver.ask.udp(query("example.com")))[3] & 0xF == 2
    assert (await resolver.ask.udp(query("web")))[3] & 0xF == 0


async def test_a_name_of_a_container_that_left_ends_at_once(resolver: Resolver) -> None:
    resolver.names.remove("n", "c1")
    assert (await resolver.ask.udp(query("web"), limit=0.1))[3] & 0xF == 3


async def test_rubbish_and_half_messages_harm_nobody(resolver: Resolver) -> None:
    with pytest.raises(TimeoutError):
        await resolver.ask.udp(b"rubbish", limit=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", resolver.ask.port)
    writer.write(b"\0")
    writer.close()
    await writer.wait_closed()
    assert (await resolver.ask.udp(query("web")))[3] & 0xF == 0


async def test_many_at_once_are_all_answered(resolver: Resolver) -> None:
    found = await asyncio.gather(*(resolver.ask.udp(query(f"n{i}.example")) for i in range(50)))
    assert all(one.endswith(b"\x09\x09\x09\x09") for one in found)


async def test_a_server_in_the_container_may_use_the_port_on_all_addresses() -> None:
    datagrams, streams = open_sockets("127.0.0.1", 0)
    with datagrams, streams, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", datagrams.getsockname()[1]))
