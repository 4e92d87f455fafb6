"""What a step of a build does, as values: run a program, copy files, make a folder, or nothing.

Each has a `key`: what decides about its result apart from the layers below, the config, and the
digests of files, which the solver adds.
"""

from typing import Any

from engine.builder.instructions import Heredoc, Mount, MountType
from engine.builder.stages import Source
from engine.values import dataclass

PIPES = "/dev/pipes"  # where the script of a RunOp lies


@dataclass(frozen=True)
class MountOp:
    """A mount of a RunOp; source says where a bind or cache mount takes its files from.

    mount.target is absolute ("" for a secret that is a variable alone), mount.id complete. A cache
    mount without `from=` starts empty: source None.
    """

    mount: Mount
    source: Source | None = None

    def key(self) -> dict[str, Any]:
        """Where it is and how; not the files in it, nor what a secret or a socket says."""
        mount = self.mount
        key: dict[str, Any] = {"type": mount.type.value, "target": mount.target}
        if mount.type in (MountType.BIND, MountType.CACHE):
            key |= {"source": mount.source, "readonly": mount.readonly}
        if mount.type is MountType.CACHE:
            key["id"] = mount.id
        if mount.type is MountType.SECRET:
            key |= {"id": mount.id, "env": mount.env}
        return key


@dataclass(frozen=True)
class RunOp:
    """Run a program. env: all variables that it gets, as NAME=value, in order.

    key_env: as env, without what must not decide about the cache (proxies, an agent's socket).
    script: a text that must lie at `/dev/pipes/NAME` (mode 0755) while it runs: argv names it.
    """

    argv: tuple[str, ...]
    env: tuple[str, ...]
    key_env: tuple[str, ...]
    workdir: str
    user: str
    mounts: tuple[MountOp, ...] = ()
    network: str = ""
    security: str = ""
    script: Heredoc | None = None

    def key(self) -> dict[str, Any]:
        """What decides about the result, apart from the files below and those of its mounts."""
        return {
            "op": "run",
            "argv": list(self.argv),
            "env": list(self.key_env),
            "workdir": self.workdir,
            "user": self.user,
            "mounts": [mount.key() for mount in self.mounts],
            "network": self.network,
            "security": self.security,
            "script": self.script.content if self.script else "",
        }


@dataclass(frozen=True)
class CopyOp:
    """COPY or ADD: sources are patterns below `source`, destination is absolute.

    A destination that ends with "/" is a folder. add: URLs and git are fetched, tars unpacked.
    chown and chmod as written (expanded); names are those of the image's own /etc/passwd.
    heredocs: files named and filled as said, their variables already replaced.
    """

    sources: tuple[str, ...]
    destination: str
    source: Source
    add: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None

    def key(self) -> dict[str, Any]:
        """What decides about the result, apart from the files, their names among them."""
        return {
            "op": "add" if self.add else "copy",
            "destination": self.destination,
            "heredocs": [[each.name, each.content] for each in self.heredocs],
            "chown": self.chown,
            "chmod": self.chmod,
            "link": self.link,
            "parents": self.parents,
            "unpack": self.unpack,
            "keep_git_dir": self.keep_git_dir,
        }


@dataclass(frozen=True)
class WorkdirOp:
    """Make a folder and its parents where they are missing, owned by the image's `user`."""

    path: str
    user: str = ""

    def key(self) -> dict[str, Any]:
        """What decides about the result."""
        return {"op": "workdir", "path": self.path, "user": self.user}


@dataclass(frozen=True)
class ConfigOp:
    """Nothing but the config changes."""

    def key(self) -> dict[str, Any]:
        """What decides about the result; the config says the rest."""
        return {"op": "config"}


Operation = RunOp | CopyOp | WorkdirOp | ConfigOp
