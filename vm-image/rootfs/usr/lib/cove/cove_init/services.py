"""Programs that PID 1 starts and watches: restarted with a back-off, their output prefixed."""

from __future__ import annotations

import _signal as signals  # `signal` wraps these in enums, which are dear to import
import os
import select
import time

from cove_init.console import failed, line, say
from cove_init.system import write

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "linux",
}
FIRST_DELAY, LAST_DELAY, STEADY = 0.1, 10.0, 10.0
DEFAULTS = (signals.SIGPIPE, signals.SIGXFSZ)
LONGEST_LINE = 8192


class Service:
    """A program to keep running. `on_line` sees each line of its output, after the console."""

    def __init__(self, name: str, argv, *, group: str, on_line=None, first_fd: int = -1) -> None:
        self.name, self.argv, self.group = name, argv, group
        self.on_line = on_line
        # a descriptor that only the first start gets, as number 3, with more words for argv
        self.first_fd, self.first_words = first_fd, ()
        self.pid = 0
        self.wanted = True
        self.delay = FIRST_DELAY
        self.started = 0.0


class Child:
    """A started process and what is left of its output."""

    def __init__(self, pid: int, output: int, prefix: str, on_line=None) -> None:
        self.pid, self.output, self.prefix, self.on_line = pid, output, prefix, on_line
        self.rest = b""
        self.last = ""

    def take(self, piece: bytes) -> None:
        """Print whole lines; keep the beginning of the next one."""
        *lines, self.rest = (self.rest + piece).split(b"\n")
        if len(self.rest) > LONGEST_LINE:
            lines, self.rest = [*lines, self.rest], b""
        for raw in lines:
            self.tell(raw)

    def finish(self) -> None:
        """The output ended: print what has no line end."""
        if self.rest:
            self.tell(self.rest)
            self.rest = b""

    def tell(self, raw: bytes) -> None:
        text = raw.decode(errors="replace").rstrip("\r")
        if text.strip():
            self.last = text.strip()
            line(self.prefix + text)
        if self.on_line is not None:
            self.on_line(text)


def spawn(argv, *, group: str = "", input: int = -1, extra: int = -1) -> tuple[int, int]:
    """Start a program in a session of its own; returns its pid and the end of its output."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(writer, True)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, writer, 1),
        (os.POSIX_SPAWN_DUP2, writer, 2),
    ]
    if extra >= 0:
        actions.append((os.POSIX_SPAWN_DUP2, extra, 3))
    try:
        pid = os.posix_spawn(
            argv[0], argv, ENVIRONMENT, file_actions=actions, setsid=True, setsigdef=DEFAULTS
        )
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    if group:
        try:
            write(f"/sys/fs/cgroup/{group}/cgroup.procs", str(pid))
        except OSError as error:
            say(f"{argv[0]} stays outside of the control group {group}: {error.strerror}")
    return pid, reader


class Supervisor:
    """PID 1's loop: children, their output, signals, timers, other descriptors."""

    def __init__(self) -> None:
        self.poll = select.poll()
        self.readers: dict = {}
        self.children: dict = {}
        self.services: dict = {}
        self.finished: dict = {}
        self.timers: list = []
        self.received: list = []
        self.wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signals.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signals.signal(signals.SIGCHLD, lambda number, frame: None)
        self.watch(self.wake, self._drain)

    def on_signal(self, number: int, act) -> None:
        """Call `act` from the loop, soon after the signal arrived."""
        signals.signal(number, lambda *_: self.received.append(act))

    def watch(self, fd: int, act) -> None:
        """Call `act` whenever the descriptor has something to read."""
        self.readers[fd] = act
        self.poll.register(fd, select.POLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching, and close."""
        self.readers.pop(fd)
        self.poll.unregister(fd)
        os.close(fd)

    def later(self, seconds: float, act) -> None:
        """Call `act` once, after a time."""
        self.timers.append((time.monotonic() + seconds, act))

    def _drain(self) -> None:
        try:
            while os.read(self.wake, 512):
                pass
        except BlockingIOError:
            return

    def _follow(self, child: Child) -> None:
        def read() -> None:
            try:
                piece = os.read(child.output, 65536)
            except BlockingIOError:
                return
            if piece:
                child.take(piece)
            else:
                child.finish()
                self.forget(child.output)

        self.watch(child.output, read)

    def step(self) -> None:
        """One turn: wait for something to happen, and act on it."""
        now = time.monotonic()
        wait = min((at for at, _ in self.timers), default=now + 60) - now
        for fd, _ in self.poll.poll(max(0, min(wait, 60)) * 1000):
            if act := self.readers.get(fd):
                act()
        self._reap()
        now = time.monotonic()
        due = [timer for timer in self.timers if timer[0] <= now]
        self.timers = [timer for timer in self.timers if timer[0] > now]
        for _, act in due:
            act()
        while self.received:
            self.received.pop(0)()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            child = self.children.pop(pid, None)
            if child is None:
                continue
            self.finished[pid] = (code, child)
            if child.output in self.readers:
                self.readers[child.output]()
            if service := self.services.pop(pid, None):
                self.finished.pop(pid)
                self._ended(service, code)

    def run(self, argv) -> tuple[int, str]:
        """Run a program to its end while everything else stays watched: (exit code, last line)."""
        name = argv[0].rsplit("/", 1)[-1]
        try:
            pid, output = spawn(argv)
        except OSError as error:
            return 127, f"{argv[0]}: {error.strerror}"
        child = self.children[pid] = Child(pid, output, f"{name}: ")
        self._follow(child)
        while pid not in self.finished:
            self.step()
        code, child = self.finished.pop(pid)
        return code, child.last

    def start(self, service: Service) -> None:
        """Start a service, now and whenever it ends."""
        if not service.wanted or service.pid:
            return
        words, extra = service.argv, service.first_fd
        if extra >= 0:
            words = (*words, *service.first_words)
        service.started = time.monotonic()
        try:
            service.pid, output = spawn(words, group=service.group, extra=extra)
        except OSError as error:
            failed(
                service.name, f"{words[0]}: {error.strerror}", "the image is damaged: rebuild it"
            )
            self._again(service)
            return
        finally:
            if extra >= 0:
                os.close(extra)
                service.first_fd = -1
        child = Child(service.pid, output, f"{service.name}: ", service.on_line)
        self.children[service.pid] = child
        self.services[service.pid] = service
        self._follow(child)

    def stop(self, service: Service, number: int = signals.SIGTERM) -> None:
        """Let a service end for good."""
        service.wanted = False
        if service.pid:
            os.kill(service.pid, number)

    def _ended(self, service: Service, code: int) -> None:
        service.pid = 0
        if not service.wanted:
            return
        if time.monotonic() - service.started > STEADY:
            service.delay = FIRST_DELAY
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        hint = f"it is started again in {service.delay:.1f} s; its last words stand above"
        failed(service.name, f"ended with {how}", hint)
        self._again(service)

    def _again(self, service: Service) -> None:
        self.later(service.delay, lambda: self.start(service))
        service.delay = min(service.delay * 2, LAST_DELAY)
