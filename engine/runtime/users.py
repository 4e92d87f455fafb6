"""Users and groups of a container, read from its own /etc/passwd and /etc/group."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from engine.errors import BadRequest
from engine.linux.libc import open_in_root
from engine.values import dataclass

_MOST_BYTES = 8 << 20
_HIGHEST = (1 << 31) - 1


@dataclass(frozen=True)
class User:
    """Who a process runs as. `home` comes from passwd ("/" without an entry)."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


@dataclass(frozen=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def read_inside(rootfs: Path, path: str) -> bytes | None:
    """A file of the container (8 MiB at most); None when it isn't there or isn't a plain file."""
    root = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # looked at before it's opened: a fifo would block, and opening a device can do harm
        found = open_in_root(root, path, os.O_PATH)
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                return None
            with open(f"/proc/self/fd/{found}", "rb") as file:
                return file.read(_MOST_BYTES)
        finally:
            os.close(found)
    except OSError:
        return None
    finally:
        os.close(root)


def _lines(content: bytes | None, fields: int) -> Iterator[list[str]]:
    for line in (content or b"").decode(errors="replace").splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            parts = line.split(":")
            yield parts + [""] * (fields - len(parts))


def _is_number(text: str) -> bool:
    """What int() takes and an id can be: digits of other scripts and endless ones are neither."""
    return text.isascii() and text.isdigit() and len(text) <= 10


def _accounts(content: bytes | None) -> Iterator[_Account]:
    for name, _, uid, gid, _, home, *_ in _lines(content, 7):
        if _is_number(uid):
            yield _Account(name, int(uid), int(gid) if _is_number(gid) else 0, home)


def _groups(content: bytes | None) -> Iterator[_Group]:
    for name, _, gid, members, *_ in _lines(content, 4):
        if _is_number(gid):
            yield _Group(name, int(gid), tuple(filter(None, members.split(","))))


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return None
    if not _is_number(text) or int(text) > _HIGHEST:
        raise BadRequest(f"uids and gids must be in range 0-{_HIGHEST}")
    return int(text)


def _account(rootfs: Path, word: str) -> _Account:
    number = _number(word)
    for entry in _accounts(read_inside(rootfs, "/etc/passwd")):
        if word == entry.name or number == entry.uid:
            return entry
    if number is None:
        raise BadRequest(f"unable to find user {word}: no matching entries in passwd file")
    return _Account("", number, 0, "/")


def _gid(groups: list[_Group], word: str) -> int:
    number = _number(word)
    for entry in groups:
        if word == entry.name:
            return entry.gid
    if number is None:
        raise BadRequest(f"unable to find group {word}: no matching entries in group file")
    return number


def resolve(rootfs: Path, text: str, group_add: tuple[str, ...] = ()) -> User:
    """The User that "user[:group]" (names or numbers) and --group-add mean inside `rootfs`.

    Never leaves `rootfs`, wherever its links point. Reads files: call it in a thread.
    Raises BadRequest "unable to find user x: no matching entries in passwd file".
    """
    user_word, _, group_word = text.partition(":")
    account = _account(rootfs, user_word or "0")
    groups = list(_groups(read_inside(rootfs, "/etc/group")))
    supplementary: list[int] = []
    gid = account.gid
    if group_word:
        gid = _gid(groups, group_word)
    elif account.name:
        supplementary = [group.gid for group in groups if account.name in group.members]
    supplementary += [_gid(groups, word) for word in group_add]
    return User(
        uid=account.uid,
        gid=gid,
        groups=tuple(dict.fromkeys(supplementary)),
        home=account.home or "/",
        name=account.name,
    )
