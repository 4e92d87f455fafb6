"""SSH into the VM: one paramiko transport, kept alive, that carries every forwarded stream.

Both keys are pinned: the host key is the one that this instance made for its VM. Streams are
OpenSSH's `direct-streamlocal@openssh.com` channels (OpenSSH's PROTOCOL, section 2.4).
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import paramiko
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, cMSG_CHANNEL_OPEN
from paramiko.message import Message

from desktop.failure import Failure

USER = "root"
# Bytes in flight a stream: large enough that a bulk copy never waits for an acknowledgement.
WINDOW = 4 << 20
PACKET = 1 << 15
CONNECT_SECONDS = 15.0
OPEN_SECONDS = 30.0
HEARTBEAT_SECONDS = 5.0
HEARTBEAT_LOST_SECONDS = 15.0
BACK_OFF = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_DISABLED = {
    # AES-GCM is three times as fast as the rest here; the loopback needs no post-quantum kex
    "ciphers": ["aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-cbc", "aes192-cbc"]
    + ["aes256-cbc", "3des-cbc"],
    "kex": ["mlkem768x25519-sha256"],
}
_HANDLERS: dict[int, Any] = getattr(paramiko.Transport, "_channel_handler_table")  # noqa: B009
log = logging.getLogger(__name__)


class Transport(paramiko.Transport):
    """paramiko's transport with streamlocal channels and our choice of ciphers."""

    _preferred_ciphers = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
    # paramiko's table names the methods of its own Channel; these find a subclass's.
    _channel_handler_table: ClassVar[dict[int, Callable[[Any, Message], None]]] = {
        **_HANDLERS,
        MSG_CHANNEL_DATA: lambda channel, message: channel._feed(message),
        MSG_CHANNEL_EOF: lambda channel, message: channel._handle_eof(message),
    }

    ended: Callable[[], None] = staticmethod(lambda: None)

    def run(self) -> None:
        """The transport's thread; `ended` is called when it is over."""
        try:
            super().run()
        finally:
            self.ended()

    def open_streamlocal(self, path: str, channel: paramiko.Channel) -> paramiko.Channel:
        """Open a channel to a unix socket of the guest; raises paramiko.SSHException.

        `channel` is the object to use for it: paramiko's own method makes a plain Channel.
        """
        inner: Any = self  # what paramiko's own open_channel uses; its version is locked
        end: Any = channel
        with inner.lock:
            message = Message()
            message.add_byte(cMSG_CHANNEL_OPEN)
            message.add_string("direct-streamlocal@openssh.com")
            message.add_int(channel.chanid)
            message.add_int(WINDOW)
            message.add_int(PACKET)
            message.add_string(path)
            message.add_string("")  # reserved
            message.add_int(0)  # reserved
            inner._channels.put(channel.chanid, channel)
            inner.channel_events[channel.chanid] = answered = threading.Event()
            inner.channels_seen[channel.chanid] = True
            end._set_transport(self)
            end._set_window(WINDOW, PACKET)
        inner._send_user_message(message)
        deadline = time.monotonic() + OPEN_SECONDS
        # The event isn't set when the transport ends, hence the look around now and then.
        while not answered.wait(1.0):
            if not self.is_active():
                raise self.get_exception() or paramiko.SSHException("the connection ended")
            if time.monotonic() > deadline:
                close(channel)
                raise paramiko.SSHException(f"no answer within {OPEN_SECONDS:.0f} s")
        # A transport that ends sets the events of all its channels after it let go of those it
        # knew: a channel opened in between would be one that nobody ends.
        if not self.is_active():
            raise self.get_exception() or paramiko.SSHException("the connection ended")
        if inner._channels.get(channel.chanid) is None:
            raise self.get_exception() or paramiko.SSHException("the guest refused it")
        return channel

    def next_channel(self) -> int:
        """The number for a new channel."""
        inner: Any = self
        with inner.lock:
            return int(inner._next_channel())


class Connection:
    """Keeps a transport to the guest's sshd: connects, checks its pulse, connects again.

    Threads: `open()` and `close()` from anywhere. Streams of a transport that died end; the
    next `channel()` waits for the new one.
    """

    def __init__(self, host_key: Path, user_key: Path) -> None:
        self._host_key_file = host_key
        self._user_key_file = user_key
        self._changed = threading.Condition()
        self._transport: Transport | None = None
        self._port = 0
        self._closed = True
        self._resting = False
        self._keeper: threading.Thread | None = None
        self.connected: Callable[[], None] = lambda: None
        self.reconnects = 0

    def open(self, port: int) -> None:
        """Connect to 127.0.0.1:port and stay connected; raises Failure if the first try fails."""
        self.close()
        transport = connect(port, self._host_key_file, self._user_key_file)
        with self._changed:
            transport.ended = self._wake
            self._transport = transport
            self._port = port
            self._closed = False
            self._resting = False
            self._changed.notify_all()
        self._keeper = threading.Thread(target=self._keep, name="ssh keeper", daemon=True)
        self._keeper.start()
        self.connected()

    def close(self) -> None:
        """End the transport with all its streams; closing twice is safe."""
        with self._changed:
            self._closed = True
            transport, self._transport = self._transport, None
            self._changed.notify_all()
        if transport is not None:
            transport.close()
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join(timeout=CONNECT_SECONDS + 1)
            self._keeper = None

    def rest(self, resting: bool) -> None:
        """While the VM is paused nobody answers a heartbeat: don't take that for death."""
        with self._changed:
            self._resting = resting
            self._changed.notify_all()

    def channel(
        self, path: str, make: Callable[[int], paramiko.Channel], seconds: float = OPEN_SECONDS
    ) -> paramiko.Channel:
        """A stream to a unix socket of the guest; raises Failure."""
        deadline = time.monotonic() + seconds
        while True:
            transport = self._current(deadline)
            try:
                return transport.open_streamlocal(path, make(transport.next_channel()))
            except (paramiko.SSHException, EOFError, OSError) as error:
                if transport.is_active():
                    raise Failure(f"The VM doesn't offer {path}.", f"{error}.") from error
                with self._changed:
                    if self._transport is transport:
                        self._transport = None
                        self._changed.notify_all()

    def session(self) -> paramiko.Channel:
        """A session channel, for a command or a shell; raises Failure."""
        transport = self._current(time.monotonic() + OPEN_SECONDS)
        try:
            return transport.open_session(timeout=OPEN_SECONDS)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise Failure("The VM opened no session.", f"{error}.") from error

    def _current(self, deadline: float) -> Transport:
        with self._changed:
            while True:
                if self._closed:
                    raise Failure("The VM isn't connected.", "", "Run `cove start`.")
                if self._transport is not None and self._transport.is_active():
                    return self._transport
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure("The VM's sshd doesn't answer.", "", "Run `cove restart`.")
                self._changed.wait(min(left, 1.0))

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _keep(self) -> None:
        """The keeper's thread: one transport after the other until closed."""
        while True:
            with self._changed:
                transport = self._transport
                if self._closed:
                    return
            if transport is not None:
                self._watch(transport)
                transport.close()
                with self._changed:
                    if self._closed:
                        return
                    self._transport = None
                log.warning("the connection to the VM's sshd ended; connecting again")
            if not self._reconnect():
                return

    def _watch(self, transport: Transport) -> None:
        """Return once the transport is dead or gives no sign of life."""
        asked = 0.0
        pulse: threading.Thread | None = None
        while transport.is_active():
            with self._changed:
                if self._closed or self._transport is not transport:
                    return
                self._changed.wait(HEARTBEAT_SECONDS if pulse is None else 0.5)
                if self._resting or self._closed:
                    asked, pulse = time.monotonic(), pulse if self._resting else None
                    continue
            if pulse is not None and not pulse.is_alive():
                pulse = None
            elif pulse is not None and time.monotonic() - asked > HEARTBEAT_LOST_SECONDS:
                return
            elif pulse is None and transport.is_active():
                pulse = threading.Thread(target=_beat, args=(transport,), daemon=True)
                pulse.start()
                pulse.join(0.5)
                asked = time.monotonic()

    def _reconnect(self) -> bool:
        tries = 0
        while True:
            with self._changed:
                if self._closed:
                    return False
                port = self._port
            try:
                transport = connect(port, self._host_key_file, self._user_key_file)
            except Failure as failure:
                if tries == 0:
                    log.warning("%s", str(failure).replace("\n", " "))
            else:
                with self._changed:
                    if not self._closed:
                        transport.ended = self._wake
                        self._transport = transport
                        self._changed.notify_all()
                        self.reconnects += 1
                        break
                transport.close()
                return False
            with self._changed:
                if not self._closed:
                    self._changed.wait(BACK_OFF[min(tries, len(BACK_OFF) - 1)])
            tries += 1
        self.connected()
        return True


def connect(port: int, host_key: Path, user_key: Path) -> Transport:
    """A transport to the guest's sshd at 127.0.0.1:port, both keys checked; raises Failure."""
    transport: Transport | None = None
    try:
        expected = paramiko.Ed25519Key(filename=str(host_key))
        user = paramiko.Ed25519Key(filename=str(user_key))
        connection = socket.create_connection(("127.0.0.1", port), CONNECT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = Transport(connection, disabled_algorithms=_DISABLED)
        transport.daemon = True
        transport.banner_timeout = CONNECT_SECONDS
        transport.handshake_timeout = CONNECT_SECONDS
        transport.auth_timeout = CONNECT_SECONDS
        transport.start_client(timeout=CONNECT_SECONDS)
        offered = transport.get_remote_server_key()
        if offered.asbytes() != expected.asbytes():
            raise paramiko.SSHException("it showed a host key that isn't this VM's")
        transport.auth_publickey(USER, user)
        return transport
    except (paramiko.SSHException, EOFError, OSError) as error:
        if transport is not None:
            transport.close()
        raise Failure(
            "The VM's sshd can't be reached.",
            f"{error or 'It closed the connection'}.",
            "Run `cove restart`; if that doesn't help, `cove diagnose`.",
        ) from error


def close(channel: paramiko.Channel) -> None:
    """Close a channel, whose transport may be gone already."""
    with suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()


def _beat(transport: Transport) -> None:
    """Ask for an answer of any kind: an unknown request is refused, and that is one."""
    with suppress(Exception):
        transport.global_request("keepalive@openssh.com", wait=True)
