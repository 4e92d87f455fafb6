"""The processes of a container as ps(1) words them, read from /proc: the VM has no ps."""

import asyncio
import datetime
import grp
import os
import pwd
import shlex
import time
from collections.abc import Callable

from engine.errors import EngineError
from engine.linux import cgroups
from engine.runtime.stats import memory_total
from engine.values import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FULL = "uid,pid,ppid,c,stime,tty,time,cmd"
_USER = "user,pid,pcpu,pmem,vsz,rss,tty,stat,start,bsdtime,command"
_PLAIN = "pid,tty,time,comm"
_LONG = "f,s,uidn,pid,ppid,c,pri,ni,sz,tty,time,comm"


@dataclass(frozen=True)
class _Process:
    """What columns are made of: /proc/PID/stat's fields after the name, and more."""

    pid: int
    comm: str
    fields: list[str]
    uid: int
    gid: int
    command: str
    now: float
    boot: float

    def number(self, index: int) -> int:
        """A field of proc_pid_stat(5) by its number there."""
        return int(self.fields[index - 3])

    @property
    def cpu(self) -> float:
        """Seconds of CPU."""
        return (self.number(14) + self.number(15)) / _TICKS

    @property
    def started(self) -> float:
        """When it began, in epoch seconds."""
        return self.boot + self.number(22) / _TICKS

    @property
    def share(self) -> float:
        """CPU time over life time, in percent."""
        return 100 * self.cpu / max(self.now - self.started, 1 / _TICKS)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _clock(seconds: float) -> str:
    """[days-]hours:minutes:seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}-" if days else "") + f"{hours:02}:{minutes:02}:{rest:02}"


def _elapsed(seconds: float) -> str:
    text = _clock(max(seconds, 0))
    return text.removeprefix("00:")


def _start(process: _Process) -> str:
    moment = datetime.datetime.fromtimestamp(process.started)
    if process.now - process.started < 24 * 3600:
        return moment.strftime("%H:%M")
    return moment.strftime("%b%d")


def _terminal(process: _Process) -> str:
    device = process.number(7)
    major, minor = os.major(device), os.minor(device)
    if 136 <= major <= 143:
        return f"pts/{minor + (major - 136) * 256}"
    return f"tty{minor}" if major == 4 else "?"


def _status(process: _Process) -> str:
    letters = process.fields[0]
    nice = process.number(19)
    letters += "<" if nice < 0 else "N" if nice > 0 else ""
    letters += "s" if process.number(6) == process.pid else ""
    letters += "l" if process.number(20) > 1 else ""
    return letters + ("+" if process.number(8) == process.number(5) else "")


_COLUMNS: dict[str, tuple[str, Callable[[_Process], str]]] = {
    "pid": ("PID", lambda p: str(p.pid)),
    "ppid": ("PPID", lambda p: str(p.number(4))),
    "pgid": ("PGID", lambda p: str(p.number(5))),
    "sid": ("SID", lambda p: str(p.number(6))),
    "uid": ("UID", lambda p: _user(p.uid)),
    "uidn": ("UID", lambda p: str(p.uid)),
    "user": ("USER", lambda p: _user(p.uid)),
    "gid": ("GID", lambda p: str(p.gid)),
    "group": ("GROUP", lambda p: _group(p.gid)),
    "c": ("C", lambda p: str(min(int(p.share), 99))),
    "pcpu": ("%CPU", lambda p: f"{p.share:.1f}"),
    "pmem": ("%MEM", lambda p: f"{100 * p.number(24) * _PAGE / memory_total():.1f}"),
    "vsz": ("VSZ", lambda p: str(p.number(23) // 1024)),
    "rss": ("RSS", lambda p: str(p.number(24) * _PAGE // 1024)),
    "sz": ("SZ", lambda p: str(p.number(23) // _PAGE)),
    "stime": ("STIME", _start),
    "start": ("START", _start),
    "lstart": ("STARTED", lambda p: time.ctime(p.started)),
    "tty": ("TTY", _terminal),
    "time": ("TIME", lambda p: _clock(p.cpu)),
    "bsdtime": ("TIME", lambda p: f"{int(p.cpu) // 60}:{int(p.cpu) % 60:02}"),
    "etime": ("ELAPSED", lambda p: _elapsed(p.now - p.started)),
    "etimes": ("ELAPSED", lambda p: str(int(p.now - p.started))),
    "cmd": ("CMD", lambda p: p.command),
    "command": ("COMMAND", lambda p: p.command),
    "comm": ("COMMAND", lambda p: p.comm),
    "stat": ("STAT", _status),
    "s": ("S", lambda p: p.fields[0]),
    "f": ("F", lambda p: str(p.number(9) >> 6 & 7)),
    "ni": ("NI", lambda p: str(p.number(19))),
    "pri": ("PRI", lambda p: str(39 - p.number(18))),
    "nlwp": ("NLWP", lambda p: str(p.number(20))),
    "wchan": ("WCHAN", lambda p: "-"),
}
_ALIASES = {
    "args": "command",
    "ucmd": "comm",
    "ucomm": "comm",
    "%cpu": "pcpu",
    "%mem": "pmem",
    "rssize": "rss",
    "vsize": "vsz",
    "state": "s",
    "nice": "ni",
    "tname": "tty",
    "tt": "tty",
    "pgrp": "pgid",
    "sess": "sid",
    "session": "sid",
    "euser": "user",
    "uname": "user",
    "euid": "uidn",
    "ruser": "user",
    "egroup": "group",
    "rgroup": "group",
    "start_time": "stime",
    "cputime": "time",
    "thcount": "nlwp",
}


def columns(ps_args: str) -> list[tuple[str, str]]:
    """(column, title) for ps options. Raises EngineError on what isn't understood."""
    words = shlex.split(ps_args)
    chosen: list[str] = []
    base = _PLAIN
    while words:
        word = words.pop(0)
        letters = word.lstrip("-")
        if word.startswith("-o") or letters in ("o", "eo", "axo", "Ao", "ao", "xo"):
            rest = word[2:] if word.startswith("-o") and len(word) > 2 else ""
            chosen.append(rest or (words.pop(0) if words else ""))
        elif word.startswith("--format"):
            chosen.append(word.partition("=")[2] or (words.pop(0) if words else ""))
        elif not set(letters) <= set("aAdefglLrTtuxwH") or word.startswith("--"):
            raise EngineError(f'ps: unsupported option "{word}"; -o COLUMN,... is understood')
        elif "u" in letters:
            base = _USER
        elif "f" in letters:
            base = _FULL
        elif "l" in letters:
            base = _LONG
    found = []
    for entry in ",".join(chosen or [base]).replace(" ", ",").split(","):
        name, equals, title = entry.partition("=")
        name = _ALIASES.get(name.lower(), name.lower())
        if not name:
            continue
        if name not in _COLUMNS:
            raise EngineError(f'ps: error: unknown user-defined format specifier "{name}"')
        # -o uid is the number, though -f shows names under that title
        name = "uidn" if chosen and name == "uid" else name
        found.append((name, title if equals else _COLUMNS[name][0]))
    if "pid" not in [name for name, _ in found]:
        raise EngineError("Couldn't find PID field in ps output")
    return found


async def top(pid: int, ps_args: str = "-ef") -> tuple[list[str], list[list[str]]]:
    """Titles and rows of every process in the cgroup of `pid`. EngineError on unknown options."""
    wanted = columns(ps_args or "-ef")
    return await asyncio.to_thread(_top, pid, wanted)


def _top(pid: int, wanted: list[tuple[str, str]]) -> tuple[list[str], list[list[str]]]:
    now, boot = time.time(), _boot_time()
    rows = []
    for one in cgroups.processes(cgroups.path_of(pid)):
        process = _look(one, now, boot)
        if process is not None:
            rows.append([_COLUMNS[name][1](process) for name, _ in wanted])
    return [title for _, title in wanted], rows


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _look(pid: int, now: float, boot: float) -> _Process | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            stat = file.read()
        with open(f"/proc/{pid}/cmdline", "rb") as raw:
            command = raw.read().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        owner = os.stat(f"/proc/{pid}")
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, tail = stat.rpartition(")")
    comm = head.partition("(")[2]
    text = command or f"[{comm}]"
    return _Process(pid, comm, tail.split(), owner.st_uid, owner.st_gid, text, now, boot)
