"""Users and groups of a container, read from its own /etc/passwd and /etc/group."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class User:
    """Who a process runs as. `home` comes from passwd ("/" without an entry)."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"
    name: str = ""


def resolve(rootfs: Path, text: str, group_add: tuple[str, ...] = ()) -> User:
    """The User that "user[:group]" (names or numbers) and --group-add mean inside `rootfs`.

    Never leaves `rootfs`, wherever its links point. Reads files: call it in a thread.
    Raises BadRequest "unable to find user x: no matching entries in passwd file".
    """
    raise RuntimeError
