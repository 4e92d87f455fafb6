"""Ports are held against containers and against other programs."""

import socket
from collections.abc import Iterator

import pytest

from engine.networks.ports import Ports, PortTaken


@pytest.fixture
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    ports.close()


@pytest.fixture
def free() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_port_is_given_once(ports: Ports, free: int) -> None:
    assert ports.take("tcp", "0.0.0.0", free, free) == free
    with pytest.raises(PortTaken, match=f"Bind for 0.0.0.0:{free} failed: port is already alloc"):
        ports.take("tcp", "0.0.0.0", free, free)
    with pytest.raises(PortTaken, match=f"Bind for 127.0.0.1:{free} failed: port is already"):
        ports.take("tcp", "127.0.0.1", free, free)
    ports.release("tcp", "0.0.0.0", free)
    ports.release("tcp", "0.0.0.0", free)
    assert ports.take("tcp", "127.0.0.1", free, free) == free


def test_protocols_and_addresses_are_apart(ports: Ports, free: int) -> None:
    ports.take("tcp", "127.0.0.1", free, free)
    assert ports.take("udp", "127.0.0.1", free, free) == free
    assert ports.take("tcp", "127.0.0.2", free, free) == free
    assert ports.take("sctp", "127.0.0.1", free, free) == free
    assert ports.take("tcp", "::1", free, free) == free


def test_a_port_of_another_program_is_told(ports: Ports) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            ports.take("tcp", "127.0.0.1", port, port)
    words = f"failed to bind host port 127.0.0.1:{port}/tcp: address already in use"
    assert caught.value.message == words


def test_a_held_port_is_taken_for_other_programs(ports: Ports, free: int) -> None:
    ports.take("tcp", "0.0.0.0", free, free)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", free))


def test_a_port_with_lingering_connections_can_be_taken(ports: Ports) -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()  # closed first here: TIME_WAIT stays at this port
    assert ports.take("tcp", "127.0.0.1", port, port) == port


def test_any_port_comes_from_the_machines_range_and_moves_on(ports: Ports) -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = map(int, file.read().split())
    first = ports.take("tcp", "127.0.0.1", 0, 0)
    second = ports.take("tcp", "127.0.0.1", 0, 0)
    assert low <= first < second <= high


def test_a_range_gives_its_first_free_port(ports: Ports, free: int) -> None:
    last = free + 2
    given = [ports.take("udp", "127.0.0.1", free, last) for _ in range(3)]
    assert given == sorted(set(given))
    with pytest.raises(PortTaken, match=f"127.0.0.1:{last} failed"):
        ports.take("udp", "127.0.0.1", free, last)


def test_adopting_what_somebody_else_has_meanwhile_still_counts(ports: Ports) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        ports.adopt("tcp", "127.0.0.1", port)
        with pytest.raises(PortTaken, match="already allocated"):
            ports.take("tcp", "127.0.0.1", port, port)
