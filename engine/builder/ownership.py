"""`--chown` and `--chmod`: who owns what is copied, and what its mode becomes."""

import re
from collections.abc import Callable
from pathlib import Path

from engine.errors import BadRequest
from engine.runtime import users
from engine.values import dataclass

_HIGHEST = (1 << 31) - 1
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*|[ugo])(?=[-+=]|$)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}

Change = Callable[[int, bool], int]


@dataclass(frozen=True)
class Owner:
    """A user and a group by number."""

    uid: int
    gid: int


def find_owner(root: Path, text: str) -> Owner:
    """What `user[:group]` means inside `root`; a number alone is the group's, too.

    Raises BadRequest in the classic builder's words.
    """
    user, colon, group = text.partition(":")
    if ":" in group or not user and not group:
        raise BadRequest(f"invalid chown string format: {text}")
    if user.isascii() and user.isdigit() and not colon:
        return Owner(_number(user), _number(user))
    try:
        uid, gid = _user(root, user or "0")
    except BadRequest as error:
        raise BadRequest(
            "unable to convert uid/gid chown string to host mapping: "
            f"can't find uid for user {user}: no such user: {user}"
        ) from error
    if not group:
        return Owner(uid, gid)
    if group.isascii() and group.isdigit():
        return Owner(uid, _number(group))
    try:
        return Owner(uid, users.resolve(root, f"0:{group}").gid)
    except BadRequest as error:
        raise BadRequest(
            "unable to convert uid/gid chown string to host mapping: "
            f"can't find gid for group {group}: no such group: {group}"
        ) from error


def _user(root: Path, word: str) -> tuple[int, int]:
    if word.isascii() and word.isdigit():
        return _number(word), _number(word)
    found = users.resolve(root, word)
    return found.uid, found.gid


def _number(text: str) -> int:
    if len(text) > 10 or int(text) > _HIGHEST:
        raise BadRequest(f"uids and gids must be in range 0-{_HIGHEST}")
    return int(text)


def parse_mode(text: str) -> Change:
    """A function of (mode, is a folder) that gives the new mode. Raises BadRequest.

    Octal (`755`) or symbolic as chmod(1) has it (`u=rwX,go=rX`).
    """
    if re.fullmatch("[0-7]{1,4}", text) or re.fullmatch("0?[0-7]{4}", text):
        number = int(text, 8)
        return lambda mode, folder: number
    parsed = [_clause(clause, text) for clause in text.split(",")]

    def change(mode: int, folder: bool) -> int:
        for who, actions in parsed:
            for sign, what in actions:
                mode = _apply(mode, who, sign, what, folder)
        return mode

    return change


def _clause(clause: str, text: str) -> tuple[str, list[tuple[str, str]]]:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise BadRequest(f"invalid chmod parameter: '{text}'. it should be octal or symbolic")
    who = "ugo" if not match[1] or "a" in match[1] else match[1]
    return who, _ACTION.findall(match[2])


def _apply(mode: int, who: str, sign: str, what: str, folder: bool) -> int:
    bits = mask = 0
    for each in dict.fromkeys(who):
        shift = _SHIFT[each]
        mask |= 7 << shift
        if what in _SHIFT and what:
            bits |= (mode >> _SHIFT[what] & 7) << shift
            continue
        for letter in what:
            bits |= _BITS.get(letter, 0) << shift
            if letter == "X" and (folder or mode & 0o111):
                bits |= 1 << shift
            if letter == "s" and each in "ug":
                bits |= 0o4000 if each == "u" else 0o2000
    if "t" in what:
        bits |= 0o1000
    if sign == "+":
        return mode | bits
    if sign == "-":
        return mode & ~bits
    return mode & ~mask | bits
