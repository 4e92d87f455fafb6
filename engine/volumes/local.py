"""The local driver's options: a file system of its own mounted over a volume's folder."""

import os
import socket
from collections.abc import Callable, Mapping

from engine.errors import EngineError
from engine.linux import shared
from engine.linux.mounts import Mount, mount, mounted, parse_options, unmount
from engine.values import replace
from engine.volumes.volume import Volume

_NETWORK_TYPES = ("nfs", "cifs")


def mount_of(volume: Volume, locate: Callable[[str], str]) -> Mount | None:
    """What `type`, `device` and `o` ask for; None for a plain folder.

    locate maps a folder of the user's machine to where the engine finds it.
    """
    options: Mapping[str, str] = volume.options or {}
    device = options.get("device")
    if not device:
        return None
    kind = options.get("type", "")
    words = tuple(word for word in options.get("o", "").split(",") if word)
    if {"bind", "rbind"} & set(words):
        return Mount("none", locate(device), str(volume.mountpoint), words)
    return Mount(kind, device, str(volume.mountpoint), words)


def is_plain(volume: Volume) -> bool:
    """Whether it's a folder and nothing has to be mounted."""
    return not (volume.options or {}).get("device")


def addressed(what: Mount) -> Mount:
    """With the file server's name looked up, which the kernel can't do. Blocks. EngineError."""
    if not what.type.startswith(_NETWORK_TYPES):
        return what
    return replace(what, options=tuple(_resolved(word) for word in what.options))


def mount_volume(volume: Volume, what: Mount) -> None:
    """Mount it unless it's mounted already. Blocks; raises EngineError in dockerd's words."""
    if is_mounted(what.target):
        return
    try:
        if shared.is_shared(what.source):
            source = shared.open_path(what.source)
            try:
                mount(replace(what, source=f"/proc/self/fd/{source}"))
            finally:
                os.close(source)
        else:
            mount(addressed(what))
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise EngineError(
            f"error while mounting volume '{volume.mountpoint}': failed to mount local volume: "
            f"{_shown(what)}: {str(reason).lower()}"
        ) from error


def _shown(what: Mount) -> str:
    """A mount in the words of dockerd's errors, which leave out what there is none of."""
    flags, _, text = parse_options(what.options)
    words = [f"mount {what.source}:{what.target}"]
    words += [f"flags: {flags:#x}"] if flags else []
    words += [f"data: {text}"] if text else []
    return ", ".join(words)


def unmount_volume(volume: Volume) -> None:
    """Unmount it if it is mounted; whoever still uses it keeps it. Blocks."""
    unmount(volume.mountpoint, lazy=True)


def is_mounted(target: str) -> bool:
    """Whether something is mounted at exactly this path."""
    return any(line.target == target for line in mounted())


def _resolved(word: str) -> str:
    """The kernel wants addresses: `addr=NAME` becomes `addr=ADDRESS`."""
    key, equals, name = word.partition("=")
    if key != "addr" or not equals:
        return word
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise EngineError(f"can't find the address of the file server {name}: {error}") from error
    return f"addr={found[0][4][0]}"
