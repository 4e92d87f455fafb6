"""A small SSH server in this process, with OpenSSH's streamlocal channels, for the tests.

What a stream does is said by the first line that comes over it: `echo`, `send N` (N bytes, then
an end), `sink` (reads to the end, then answers how much came), `hang` (nothing, ever).
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

import paramiko


class _Rules(paramiko.ServerInterface):
    def __init__(self, user: paramiko.PKey) -> None:
        self._user = user

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "root" and key.asbytes() == self._user.asbytes()
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        if kind == "direct-streamlocal@openssh.com":
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED


class Sshd:
    """Listens on a port of 127.0.0.1; `deaf` makes it answer nothing more, like a stopped one."""

    def __init__(self, host_key: Path, user_key: Path) -> None:
        self._host = paramiko.Ed25519Key(filename=str(host_key))
        self._user = paramiko.Ed25519Key(filename=str(user_key))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.transports: list[paramiko.Transport] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self.drop()

    def drop(self) -> None:
        """End every connection, as a killed sshd does."""
        dropped, self.transports = self.transports, []
        for transport in dropped:
            transport.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.daemon = True
            transport.add_server_key(self._host)
            self.transports.append(transport)
            threading.Thread(target=self._serve, args=(transport,), daemon=True).start()

    def _serve(self, transport: paramiko.Transport) -> None:
        try:
            transport.start_server(server=_Rules(self._user))
        except (paramiko.SSHException, EOFError, OSError):
            return
        while transport.is_active():
            channel = transport.accept(0.5)
            if channel is not None:
                threading.Thread(target=_behave, args=(channel,), daemon=True).start()


def _behave(channel: paramiko.Channel) -> None:
    try:
        _play(channel)
    except (OSError, EOFError, paramiko.SSHException):
        with suppress(OSError, EOFError, paramiko.SSHException):
            channel.close()


def _play(channel: paramiko.Channel) -> None:
    line = b""
    while not line.endswith(b"\n"):
        byte = channel.recv(1)
        if not byte:
            channel.close()
            return
        line += byte
    what, _, amount = line.decode().strip().partition(" ")
    if what == "send":
        channel.sendall(bytes(int(amount)))
    elif what == "sink":
        count = 0
        while data := channel.recv(1 << 16):
            count += len(data)
        channel.sendall(str(count).encode())
    elif what == "echo":
        while data := channel.recv(1 << 16):
            channel.sendall(data)
    elif what == "hang":
        return
    channel.shutdown_write()
    channel.close()
