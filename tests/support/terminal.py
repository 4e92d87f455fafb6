"""A command under a pseudo-terminal: what a person at a keyboard sees and types."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence


class Terminal:
    """Runs a command with a terminal as its controlling one; a context manager."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        rows: int = 30,
        columns: int = 100,
        limit: float = 60,
    ) -> None:
        self.seen = b""
        self._deadline = time.monotonic() + limit
        self._here, there = pty.openpty()
        self.resize(rows, columns, tell=False)
        self._process = subprocess.Popen(
            argv,
            stdin=there,
            stdout=there,
            stderr=there,
            env=dict(environment),
            start_new_session=True,
            # the leader of a session gets the first terminal that it opens as its own
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(there)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._here)

    def resize(self, rows: int, columns: int, *, tell: bool = True) -> None:
        """Another size of the window."""
        fcntl.ioctl(self._here, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self._process.send_signal(signal.SIGWINCH)

    def type(self, keys: bytes) -> None:
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._here, keys)

    def expect(self, text: bytes) -> None:
        """Read until `text` is on the screen, and forget what is before its end."""
        while text not in self.seen:
            if not self._read():
                raise AssertionError(f"no {text!r} in {self.seen!r}")
        self.seen = self.seen.partition(text)[2]

    def wait(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            continue
        left = max(0.1, self._deadline - time.monotonic())
        try:
            return self._process.wait(left)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running, having shown {self.seen!r}") from None

    def runs(self, seconds: float) -> bool:
        """Whether it is still there after so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            return False
        return True

    def _read(self) -> bool:
        left = self._deadline - time.monotonic()
        if left <= 0 or not select.select([self._here], [], [], left)[0]:
            return False
        try:
            data = os.read(self._here, 1 << 16)
        except OSError:  # EIO: nobody has the other end open
            return False
        self.seen += data
        return bool(data)
