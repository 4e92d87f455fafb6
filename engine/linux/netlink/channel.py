"""A netlink socket: batches of requests, their answers, dumps."""

import errno
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Self

from engine.linux.netlink.message import (
    NLM_F_ACK,
    NLM_F_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    Reply,
    attributes,
    replies,
)

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_BUFFER = 16 << 20


class NetlinkError(OSError):
    """The kernel refused a request; says which and why."""


class Channel:
    """A socket in the network namespace of the thread that opened it; it stays there.

    Threads may share it: one exchange runs at a time. Closing twice is safe.
    """

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.bind((0, 0))
        self._sequence = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def run(self, messages: Sequence[Message], ignore: frozenset[int] = frozenset()) -> None:
        """Send requests in one datagram and wait for all; the first failure is raised.

        The kernel goes on after a failed one. Errors in `ignore` (errno) count as success.
        """
        for error in self.attempt(messages):
            if error is not None and error.errno not in ignore:
                raise error

    def attempt(self, messages: Sequence[Message]) -> list[NetlinkError | None]:
        """As `run`, but returns what became of each request."""
        if not messages:
            return []
        with self._lock:
            first = self._sequence + 1
            self._sequence += len(messages)
            encoded = [
                Message(one.kind, one.flags | NLM_F_ACK, one.body).encode(first + index)
                for index, one in enumerate(messages)
            ]
            self._socket.send(b"".join(encoded))
            results: list[NetlinkError | None] = [None] * len(messages)
            waiting = set(range(first, first + len(messages)))
            while waiting:
                for reply in self._receive():
                    if reply.kind == NLMSG_ERROR and reply.sequence in waiting:
                        waiting.discard(reply.sequence)
                        index = reply.sequence - first
                        results[index] = _error(reply, messages[index].about)
            return results

    def transaction(self, begin: Message, messages: Sequence[Message], end: Message) -> None:
        """Send an nfnetlink batch: all or nothing. Raises the first error of any message."""
        with self._lock:
            first = self._sequence + 1
            self._sequence += len(messages) + 2
            batch = [begin, *messages, end]
            # One answer is enough, failures are told anyhow; not on `end`: kernels before 6.10
            # don't answer that.
            last = messages[-1]
            batch[-2] = Message(last.kind, last.flags | NLM_F_ACK, last.body, last.about)
            self._socket.send(b"".join(one.encode(first + at) for at, one in enumerate(batch)))
            self._committed(batch, first)

    def _committed(self, batch: Sequence[Message], first: int) -> None:
        while True:
            for reply in self._receive():
                at = reply.sequence - first
                if reply.kind != NLMSG_ERROR or not 0 <= at < len(batch):
                    continue
                if error := _error(reply, batch[at].about):
                    raise error
                if at == len(batch) - 2:
                    return

    def ask(self, message: Message) -> list[Reply]:
        """One request that is answered by one message, or a dump. Raises NetlinkError."""
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
            dump = message.flags & NLM_F_DUMP == NLM_F_DUMP
            flags = message.flags if dump else message.flags | NLM_F_ACK
            self._socket.send(Message(message.kind, flags, message.body).encode(sequence))
            return list(self._collect(sequence, message.about))

    def _collect(self, sequence: int, about: str) -> Iterator[Reply]:
        while True:
            for reply in self._receive():
                if reply.sequence != sequence:
                    continue
                if reply.kind == NLMSG_DONE:
                    return
                if reply.kind == NLMSG_ERROR:
                    if error := _error(reply, about):
                        raise error
                    return
                yield reply

    def _receive(self) -> Iterator[Reply]:
        try:
            return replies(self._socket.recv(1 << 18))
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                raise NetlinkError(error.errno, "the kernel's answers were lost") from error
            raise


def _error(reply: Reply, about: str) -> NetlinkError | None:
    (number,) = struct.unpack_from("=i", reply.body)
    if number == 0:
        return None
    reason = os.strerror(-number)
    if reply.flags & _NLM_F_ACK_TLVS:
        quoted = 20 if reply.flags & _NLM_F_CAPPED else 4 + _aligned_length(reply.body)
        told = attributes(reply.body[quoted:]).get(1)
        if told:
            reason = f"{reason} ({told.rstrip(bytes(1)).decode(errors='replace')})"
    return NetlinkError(-number, f"{about}: {reason}" if about else reason)


def _aligned_length(body: bytes) -> int:
    (length,) = struct.unpack_from("=I", body, 4)
    return (int(length) + 3) & ~3
