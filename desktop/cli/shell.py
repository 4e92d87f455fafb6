"""`cove shell`: a terminal in the VM over the same pinned keys as the agent's connection."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from desktop.agent.client import AgentClient
from desktop.failure import Failure

if TYPE_CHECKING:
    import paramiko

CHUNK = 1 << 15


def run(client: AgentClient, command: tuple[str, ...]) -> int:
    """Run a command, or a login shell, in the VM; answers its exit code. Raises Failure."""
    import paramiko

    from desktop.forward.ssh import connect

    way = client.shell()
    transport = connect(way["port"], client.home.host_key, client.home.user_key)
    try:
        channel = transport.open_session(timeout=15)
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        if terminal:
            size = shutil.get_terminal_size()
            channel.get_pty(os.environ.get("TERM", "xterm"), size.columns, size.lines)
        if command:
            # one word is a line for the shell, as with ssh; several are a program's arguments
            channel.exec_command(command[0] if len(command) == 1 else shlex.join(command))
        else:
            channel.invoke_shell()
        with _raw(terminal), _resizing(channel, terminal):
            _copy(channel)
        return channel.recv_exit_status()
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise Failure("The shell in the VM ended.", f"{error or 'The VM is gone'}.") from error
    finally:
        transport.close()


def _copy(channel: paramiko.Channel) -> None:
    """Stdin to the channel, its output to stdout and stderr, until the channel ends."""
    watched: list[Any] = [channel, sys.stdin]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if channel in ready:
            while channel.recv_ready():
                _write(1, channel.recv(CHUNK))
            while channel.recv_stderr_ready():
                _write(2, channel.recv_stderr(CHUNK))
            ended = channel.closed or channel.eof_received
            if ended and not channel.recv_ready() and not channel.recv_stderr_ready():
                return
        if sys.stdin in ready:
            data = os.read(0, CHUNK)
            if data:
                channel.sendall(data)
            else:
                channel.shutdown_write()
                watched.remove(sys.stdin)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


class _raw:
    """The terminal in raw mode, given back as it was however the block ends."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._before: list[Any] = []

    def __enter__(self) -> None:
        if self._wanted:
            import termios
            import tty

            self._before = termios.tcgetattr(0)
            tty.setraw(0)

    def __exit__(self, *_: object) -> None:
        if self._before:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._before)


class _resizing:
    """Tell the VM when the terminal's window changes its size."""

    def __init__(self, channel: paramiko.Channel, wanted: bool) -> None:
        self._channel = channel
        self._wanted = wanted

    def __enter__(self) -> None:
        if self._wanted:
            signal.signal(signal.SIGWINCH, lambda *_: self._resize())

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)

    def _resize(self) -> None:
        size = shutil.get_terminal_size()
        with suppress(Exception):  # the channel ended: there is nothing to resize
            self._channel.resize_pty(size.columns, size.lines)
