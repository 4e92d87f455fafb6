"""Endless answers of the engine as iterators that another thread can close.

Each stream owns its connection. `close()` shuts the socket down, which wakes a reader that waits.
"""

from __future__ import annotations

import codecs
import json
import socket
import struct
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from desktop.client import parse
from desktop.client.engine import Engine
from desktop.client.rows import EngineEvent, LayerProgress, LogLine, PullProgress

_HEADER = struct.Struct(">BxxxL")


class Stream:
    """One answer that keeps coming: chunks of bytes until the engine or `close()` ends it."""

    def __init__(
        self,
        engine: Engine,
        path: str,
        params: dict[str, Any],
        *,
        method: str = "get",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._engine, self._path, self._params = engine, path, params
        self._method, self._headers = method, headers or {}
        self._lock = threading.Lock()
        self._response: Any = None
        self._client: Any = None
        self.closed = False

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives. Raises docker-py's errors when the engine refuses."""
        client = self._engine.connect(None)
        with self._lock:
            if self.closed:
                client.close()
                return
            self._client = client
        try:
            response = client.request(
                self._method,
                client._url(self._path),
                params=self._params,
                headers=self._headers,
                stream=True,
                timeout=None,
            )
            with self._lock:
                self._response = response
            client._raise_for_status(response)
            if not self.closed:
                yield from response.iter_content(None)
        except Exception:
            if not self.closed:
                raise
        finally:
            self._release()
            client.close()

    def _release(self) -> None:
        """Close what the stream holds; urllib3 leaves the socket of a streamed answer open."""
        with self._lock:
            response, self._response = self._response, None
        if response is not None:
            held = _socket_of(response)
            response.close()
            if held is not None:
                held.close()

    def close(self) -> None:
        """End the stream from any thread; closing twice is safe."""
        with self._lock:
            self.closed = True
            response = self._response
        held = _socket_of(response) if response is not None else None
        if held is not None:
            try:
                held.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def documents(self) -> Iterator[dict[str, Any]]:
        """The body as JSON values that follow each other."""
        decoder, text, utf8 = json.JSONDecoder(), "", codecs.getincrementaldecoder("utf-8")()
        for chunk in self.chunks():
            text = (text + utf8.decode(chunk)).lstrip()
            while text:
                try:
                    value, end = decoder.raw_decode(text)
                except ValueError:
                    break
                text = text[end:].lstrip()
                yield value


def _socket_of(response: Any) -> socket.socket | None:
    """The socket below a response of requests; None once it is gone."""
    reader = getattr(response.raw, "_fp", None)
    held = getattr(getattr(getattr(reader, "fp", None), "raw", None), "_sock", None)
    connection = getattr(response.raw, "connection", None)
    return held or getattr(connection, "sock", None)


class Events(Stream):
    """What happens in the engine from now on."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, "/events", {})

    def __iter__(self) -> Iterator[EngineEvent]:
        for item in self.documents():
            yield parse.event(item)


class Logs(Stream):
    """What a container wrote and writes: lists of lines, as they arrive together."""

    def __init__(self, engine: Engine, container: str, *, tty: bool, tail: int, since: float = 0):
        params: dict[str, Any] = {"stdout": 1, "stderr": 1, "follow": 1, "timestamps": 1}
        params["tail"] = str(tail) if tail >= 0 else "all"
        if since:
            params["since"] = f"{since:.9f}"
        super().__init__(engine, f"/containers/{container}/logs", params)
        self._tty = tty

    def __iter__(self) -> Iterator[list[LogLine]]:
        splitter = LineSplitter(self._tty)
        for chunk in self.chunks():
            lines = splitter.feed(chunk)
            if lines:
                yield lines
        rest = splitter.finish()
        if rest:
            yield rest


class LineSplitter:
    """Cuts a log answer into lines: 8-byte frame headers when there is no terminal."""

    def __init__(self, tty: bool) -> None:
        self._tty = tty
        self._buffer = bytearray()
        self._open: dict[int, bytes] = {}

    def feed(self, chunk: bytes) -> list[LogLine]:
        """The lines that `chunk` completes."""
        if self._tty:
            return self._lines(1, chunk)
        self._buffer += chunk
        lines: list[LogLine] = []
        at = 0
        while len(self._buffer) - at >= _HEADER.size:
            stream, length = _HEADER.unpack_from(self._buffer, at)
            end = at + _HEADER.size + length
            if len(self._buffer) < end:
                break
            lines += self._lines(stream, bytes(self._buffer[at + _HEADER.size : end]))
            at = end
        del self._buffer[:at]
        return lines

    def finish(self) -> list[LogLine]:
        """What was written without a newline at the end."""
        rest = [_line(stream, text) for stream, text in self._open.items() if text]
        self._open.clear()
        return rest

    def _lines(self, stream: int, payload: bytes) -> list[LogLine]:
        *whole, rest = (self._open.get(stream, b"") + payload).split(b"\n")
        self._open[stream] = rest
        return [_line(stream, text) for text in whole]


def _line(stream: int, raw: bytes) -> LogLine:
    text = raw.decode("utf-8", "replace").rstrip("\r")
    stamp, space, message = text.partition(" ")
    when = parse.timestamp(stamp) if len(stamp) >= 20 and stamp[4:5] == "-" else 0.0
    if not when or not space:
        return LogLine(datetime.now().timestamp(), stream, text)
    return LogLine(when, stream, message)


class Pull(Stream):
    """POST /images/create: the pull's state after each message; RuntimeError when it fails."""

    def __init__(self, engine: Engine, reference: str) -> None:
        repository, tag = split_reference(reference)
        super().__init__(
            engine, "/images/create", {"fromImage": repository, "tag": tag}, method="post"
        )
        self.reference = f"{repository}{'@' if ':' in tag else ':'}{tag}"

    def chunks(self) -> Iterator[bytes]:
        """As for every stream, with the registry's credentials of docker's configuration."""
        from docker import auth

        registry, _ = auth.resolve_repository_name(self._params["fromImage"])
        header = auth.get_config_header(self._engine.client(), registry)
        if header:
            self._headers["X-Registry-Auth"] = header.decode("ascii")
        return super().chunks()

    def __iter__(self) -> Iterator[PullProgress]:
        layers: dict[str, LayerProgress] = {}
        status = ""
        for item in self.documents():
            if item.get("error"):
                raise RuntimeError(item["error"])
            layer = str(item.get("id", ""))
            text = str(item.get("status", ""))
            detail = item.get("progressDetail") or {}
            if layer and not text.startswith("Pulling from"):
                layers[layer] = _step(layers.get(layer), layer, text, detail)
            elif text:
                status = text
            yield PullProgress(self.reference, tuple(layers.values()), status)


def _step(
    before: LayerProgress | None, id: str, status: str, detail: dict[str, Any]
) -> LayerProgress:
    total = int(detail.get("total") or (before.total if before else 0))
    current = int(detail.get("current") or (before.current if before else 0))
    if status in ("Download complete", "Pull complete", "Already exists"):
        current = total
    return LayerProgress(id, status, min(current, total) if total else current, total)


def split_reference(reference: str) -> tuple[str, str]:
    """Repository and tag (or digest) of what a person typed; the tag defaults to `latest`."""
    text = reference.strip().removeprefix("docker pull ").strip()
    name, at, digest = text.partition("@")
    if at:
        return name, digest
    head, colon, tag = text.rpartition(":")
    if colon and "/" not in tag:
        return head, tag
    return text, "latest"
