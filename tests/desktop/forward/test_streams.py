"""Streams from a unix socket through real SSH, both keys pinned, and what ends them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest

from desktop.failure import Failure
from desktop.forward import ssh
from desktop.forward.sockets import Listener, StreamChannel
from desktop.forward.ssh import Connection
from desktop.vm import keys
from tests.desktop.forward.sshd import Sshd

MB = 1 << 20


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> keys.Keys:
    folder = tmp_path_factory.mktemp("keys")
    return keys.prepare(folder / "host", folder / "user")


@pytest.fixture
def sshd(pair: keys.Keys) -> Iterator[Sshd]:
    server = Sshd(pair.host, pair.user)
    yield server
    server.close()


@pytest.fixture
def connection(sshd: Sshd, pair: keys.Keys) -> Iterator[Connection]:
    made = Connection(pair.host, pair.user)
    made.open(sshd.port)
    yield made
    made.close()


class Front:
    """The socket that clients use."""

    def __init__(self, path: Path, connection: Connection) -> None:
        self.path = path
        self.admitted: Callable[[], None] = lambda: None
        self.listener = Listener(path, "/engine.sock", connection, lambda: self.admitted())
        self.listener.open()

    def connect(self, first: bytes = b"") -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(str(self.path))
        client.sendall(first)
        return client


@pytest.fixture
def front(tmp_path: Path, connection: Connection) -> Iterator[Front]:
    made = Front(tmp_path / "docker.sock", connection)
    yield made
    made.listener.close()


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(1 << 16), b""))


def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.01)


def test_the_socket_is_private(front: Front) -> None:
    assert front.path.stat().st_mode & 0o777 == 0o600


def test_gcm_is_what_both_ends_use(connection: Connection) -> None:
    transport = connection._transport
    assert transport is not None
    assert "gcm" in transport.remote_cipher and "gcm" in transport.local_cipher


def test_bytes_go_both_ways(front: Front) -> None:
    with front.connect(b"echo\nhello") as client:
        assert client.recv(100) == b"hello"
        client.sendall(b"again")
        assert client.recv(100) == b"again"


def test_the_clients_half_close_reaches_the_guest_and_the_answer_still_comes(
    front: Front,
) -> None:
    with front.connect(b"sink\n") as client:
        client.sendall(bytes(3 * MB))
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == str(3 * MB).encode()


def test_the_guests_end_reaches_a_client_that_goes_on_sending(front: Front) -> None:
    with front.connect(b"send 10\n") as client:
        assert read_all(client) == bytes(10)


def test_a_client_that_reads_slowly_gets_everything(front: Front) -> None:
    size = 6 * MB
    with front.connect(f"send {size}\n".encode()) as client:
        time.sleep(0.3)  # long enough to fill every buffer on the way
        assert read_all(client) == bytes(size)


def test_many_at_once(front: Front) -> None:
    clients = [front.connect(b"echo\n%d" % number) for number in range(50)]
    try:
        for number, client in enumerate(clients):
            assert client.recv(100) == b"%d" % number
        assert front.listener.connections == 50
    finally:
        for client in clients:
            client.close()
    until(lambda: front.listener.connections == 0)


def test_a_stalled_client_doesnt_hold_up_the_others(front: Front) -> None:
    with front.connect(f"send {20 * MB}\n".encode()), front.connect(b"echo\nx") as other:
        assert other.recv(1) == b"x"


def test_a_client_that_closes_ends_an_idle_stream(front: Front) -> None:
    front.connect(b"hang\n").close()
    until(lambda: front.listener.connections == 0)


def test_streams_end_with_the_connection_and_new_ones_find_the_next(
    front: Front, sshd: Sshd, connection: Connection
) -> None:
    with front.connect(b"echo\nx") as client:
        assert client.recv(1) == b"x"
        sshd.drop()
        assert client.recv(1) == b""
    with front.connect(b"echo\ny") as client:
        assert client.recv(1) == b"y"
    assert connection.reconnects == 1


def test_an_sshd_that_answers_nothing_is_left(
    front: Front, sshd: Sshd, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(ssh, "HEARTBEAT_LOST_SECONDS", 0.3)
    connection.rest(False)  # wakes the keeper, which waits with the old figures
    until(lambda: bool(sshd.transports))
    deaf = sshd.transports[0]
    lock = deaf.packetizer._Packetizer__write_lock  # nothing leaves the server any more
    with lock:
        until(lambda: connection.reconnects == 1)
        with front.connect(b"echo\nz") as client:
            assert client.recv(1) == b"z"


def test_a_paused_vm_isnt_taken_for_dead(
    sshd: Sshd, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(ssh, "HEARTBEAT_LOST_SECONDS", 0.1)
    until(lambda: bool(sshd.transports))
    connection.rest(True)
    with sshd.transports[0].packetizer._Packetizer__write_lock:
        time.sleep(0.5)
    connection.rest(False)
    time.sleep(0.2)
    assert connection.reconnects == 0


def test_another_host_key_is_refused(sshd: Sshd, pair: keys.Keys, tmp_path: Path) -> None:
    other = keys.prepare(tmp_path / "host", tmp_path / "user")
    with pytest.raises(Failure, match="isn't this VM's"):
        ssh.connect(sshd.port, other.host, pair.user)


def test_another_user_key_is_refused(sshd: Sshd, pair: keys.Keys, tmp_path: Path) -> None:
    other = keys.prepare(tmp_path / "host", tmp_path / "user")
    with pytest.raises(Failure, match="can't be reached"):
        ssh.connect(sshd.port, pair.host, other.user)


def test_a_port_where_nobody_listens(pair: keys.Keys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    with pytest.raises(Failure, match="refused"):
        Connection(pair.host, pair.user).open(port)


def test_clients_wait_until_they_are_admitted(front: Front) -> None:
    gate = threading.Event()
    front.admitted = lambda: gate.wait(5) and None
    with front.connect(b"echo\nx") as client:
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        gate.set()
        client.settimeout(5)
        assert client.recv(1) == b"x"


def test_who_isnt_admitted_hears_why_as_from_an_engine(front: Front) -> None:
    def refuse() -> None:
        raise Failure("The VM doesn't run.", "It is stopping.")

    front.admitted = refuse
    with front.connect(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n") as client:
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(body) == {"message": "The VM doesn't run. It is stopping."}


def test_closing_the_listener_ends_its_clients(front: Front) -> None:
    with front.connect(b"echo\nx") as client:
        assert client.recv(1) == b"x"
        front.listener.close()
        front.listener.close()
        assert client.recv(1) == b""
    assert not front.path.exists()


def test_a_closed_connection_offers_nothing(connection: Connection) -> None:
    connection.close()
    connection.close()
    with pytest.raises(Failure, match="isn't connected"):
        connection.channel("/x", lambda number: paramiko.Channel(number))


def test_a_stale_socket_is_replaced(tmp_path: Path, connection: Connection) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    listener = Listener(path, "/engine.sock", connection, lambda: None)
    listener.open()
    listener.close()


def test_streams_use_the_sockets_own_channels() -> None:
    left, right = socket.socketpair()
    with left, right:
        channel = StreamChannel(5, left)
        channel._feed(b"direct")
        assert right.recv(100) == b"direct"
        with channel.lock:
            channel._set_closed()
        assert right.recv(100) == b""
        assert channel.finished.is_set()
