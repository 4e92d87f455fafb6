"""A stage on its base image's config, as steps: what to do, and the config after each.

`vertices(plan, stage, base)` is pure. The solver adds to each step's key what only it knows: the
layers below, and the digest of the files that a copy or a mount reads.
"""

from typing import Any

from engine.builder.instructions import Heredoc, Instruction, Mount
from engine.builder.stages import Source
from engine.values import dataclass, field


@dataclass(frozen=True)
class MountOp:
    """A mount of a RunOp; source says where a bind or cache mount takes its files from.

    mount.target is absolute. A cache mount without `from=` starts empty: source None.
    """

    mount: Mount
    source: Source | None = None


@dataclass(frozen=True)
class RunOp:
    """Run a program. env: all variables that it gets, as NAME=value, in order.

    key_env: as env, without what must not decide about the cache (proxies).
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
            "mounts": [str(each) for each in self.mounts],
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
        """What decides about the result, apart from the files (their digest is the solver's)."""
        return {
            "op": "add" if self.add else "copy",
            "destination": self.destination,
            "heredocs": [[each.name, each.content] for each in self.heredocs],
            "chown": self.chown,
            "chmod": self.chmod,
            "parents": self.parents,
            "unpack": self.unpack,
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


@dataclass(frozen=True)
class Vertex:
    """One step. config: the image's inner config after it; author: the image's author after it.

    created_by is the history entry's; of a CopyOp it holds one `{}` for the digest of the files
    (`file:HEX`, `dir:HEX`, `multi:HEX`). trigger: it comes from the base image's ONBUILD.
    """

    instruction: Instruction
    op: Operation
    created_by: str
    config: dict[str, Any] = field(default_factory=dict)
    author: str = ""
    trigger: bool = False
