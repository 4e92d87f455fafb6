"""Streams that the docker CLI doesn't ask for: attaching by WebSocket, details of logs."""

from __future__ import annotations

import base64
import os
import socket
import struct
from contextlib import closing

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


class WebSocket:
    """A client of RFC 6455, as small as the test."""

    def __init__(self, path: str, url: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {url} HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline() != b"\r\n":
            pass

    def send(self, payload: bytes, opcode: int = 1) -> None:
        mask = b"\x07\x08\x09\x0a"
        hidden = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.socket.sendall(bytes((0x80 | opcode, 0x80 | len(payload))) + mask + hidden)

    def receive(self) -> tuple[int, bytes]:
        first, length = self.file.read(2)
        if length == 126:
            (length,) = struct.unpack(">H", self.file.read(2))
        return first & 15, self.file.read(length)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def test_attach_by_websocket(native_engine: NativeEngine) -> None:
    with closing(native_engine.client()) as client:
        script = "echo first; while read l; do echo got $l; [ $l = end ] && exit 3; done"
        container = client.containers.create("busybox", ["sh", "-c", script], stdin_open=True)
        query = "logs=1&stream=1&stdin=1&stdout=1&stderr=1"
        url = f"/v1.51/containers/{container.id}/attach/ws?{query}"
        with closing(WebSocket(str(native_engine.socket), url)) as peer:
            assert peer.status == 101
            container.start()
            assert peer.receive() == (2, b"first\n")
            peer.send(b"?", 9)
            assert peer.receive() == (10, b"?")
            peer.send(b"one\n")
            assert peer.receive() == (2, b"got one\n")
            peer.send(b"end\n")
            assert peer.receive() == (2, b"got end\n")
            assert peer.receive() == (8, b"\x03\xe8")
        assert container.wait()["StatusCode"] == 3
        container.remove()


def test_details_of_logs(native_engine: NativeEngine) -> None:
    with closing(native_engine.client()) as client:
        options = {"labels": "role", "env": "STAGE", "tag": "{{.Name}}"}
        container = client.containers.run(
            "busybox",
            "echo hello",
            detach=True,
            labels={"role": "a b"},
            environment={"STAGE": "1"},
            log_config={"Type": "json-file", "Config": options},
        )
        container.wait()
        parameters = {"stdout": 1, "details": 1}
        told = client.api._get(
            client.api._url("/containers/{0}/logs", container.id), params=parameters
        )
        assert told.content[8:].decode() == f"STAGE=1,role=a+b,tag={container.name} hello\n"
        container.remove()
