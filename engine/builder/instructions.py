"""The instructions of a Dockerfile as values, one class each, as they were written.

Texts are unexpanded: `engine.builder.expand` gives the same instruction with its variables
replaced. What they may hold is told by the Dockerfile reference.
"""

from enum import StrEnum
from typing import ClassVar

from engine.values import dataclass


@dataclass(frozen=True)
class Heredoc:
    """A here-document: its name, its text, whether variables in it are expanded."""

    name: str
    content: str
    expand: bool = True
    chomp: bool = False
    fd: int = 0


@dataclass(frozen=True)
class Instruction:
    """What each instruction has: its text on one line, and its first and last line (from 1)."""

    text: str = ""
    first_line: int = 0
    last_line: int = 0

    keyword: ClassVar[str] = ""


@dataclass(frozen=True)
class Command:
    """A command line: the words of the JSON form, or one text for the shell."""

    words: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()


class MountType(StrEnum):
    """What `RUN --mount=type=` may be."""

    BIND = "bind"
    CACHE = "cache"
    TMPFS = "tmpfs"
    SECRET = "secret"
    SSH = "ssh"


class Sharing(StrEnum):
    """How several builds use one cache mount."""

    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@dataclass(frozen=True)
class Mount:
    """One `RUN --mount`. size in bytes (0: no limit); mode, uid, gid None: the type's default.

    id: of a cache, secret or ssh socket ("" is the default one). env: the variable that a secret
    goes to (None: a file at target). from_: "" is the build context.
    """

    type: MountType
    target: str = ""
    source: str = ""
    from_: str = ""
    readonly: bool = False
    id: str = ""
    sharing: Sharing = Sharing.SHARED
    required: bool = False
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    env: str | None = None


@dataclass(frozen=True)
class From(Instruction):
    """`FROM [--platform=P] BASE [AS NAME]`; name is lower case."""

    base: str = ""
    name: str = ""
    platform: str = ""

    keyword: ClassVar[str] = "FROM"


@dataclass(frozen=True)
class Arg(Instruction):
    """`ARG NAME[=DEFAULT]...`; None where no default stands."""

    pairs: tuple[tuple[str, str | None], ...] = ()

    keyword: ClassVar[str] = "ARG"


@dataclass(frozen=True)
class Env(Instruction):
    """`ENV NAME=VALUE...`; legacy: it was `ENV NAME VALUE`."""

    pairs: tuple[tuple[str, str], ...] = ()
    legacy: bool = False

    keyword: ClassVar[str] = "ENV"


@dataclass(frozen=True)
class Label(Instruction):
    """`LABEL NAME=VALUE...`; legacy: it was `LABEL NAME VALUE`; literal: nothing is expanded."""

    pairs: tuple[tuple[str, str], ...] = ()
    legacy: bool = False
    literal: bool = False

    keyword: ClassVar[str] = "LABEL"


@dataclass(frozen=True)
class Run(Instruction):
    """`RUN`. network: "", default, none or host; security: "", sandbox or insecure.

    mounts are read from mount_texts when the instruction is expanded.
    """

    command: Command = Command((), True)
    mount_texts: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: str = ""
    security: str = ""

    keyword: ClassVar[str] = "RUN"


@dataclass(frozen=True)
class Copy(Instruction):
    """`COPY`. Sources are paths or patterns; heredocs are written as files of their names."""

    sources: tuple[str, ...] = ()
    destination: str = ""
    heredocs: tuple[Heredoc, ...] = ()
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()

    keyword: ClassVar[str] = "COPY"


@dataclass(frozen=True)
class Add(Instruction):
    """`ADD`. keep_git_dir and unpack are None where the flag is absent."""

    sources: tuple[str, ...] = ()
    destination: str = ""
    heredocs: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None

    keyword: ClassVar[str] = "ADD"


@dataclass(frozen=True)
class Workdir(Instruction):
    """`WORKDIR PATH`, relative to the one before."""

    path: str = ""

    keyword: ClassVar[str] = "WORKDIR"


@dataclass(frozen=True)
class User(Instruction):
    """`USER NAME[:GROUP]`."""

    user: str = ""

    keyword: ClassVar[str] = "USER"


@dataclass(frozen=True)
class Volume(Instruction):
    """`VOLUME PATH...`."""

    paths: tuple[str, ...] = ()

    keyword: ClassVar[str] = "VOLUME"


@dataclass(frozen=True)
class Expose(Instruction):
    """`EXPOSE PORT[-PORT][/PROTOCOL]...`."""

    ports: tuple[str, ...] = ()

    keyword: ClassVar[str] = "EXPOSE"


@dataclass(frozen=True)
class Healthcheck(Instruction):
    """`HEALTHCHECK`. test is what goes to the config; times in nanoseconds, 0: the default."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    keyword: ClassVar[str] = "HEALTHCHECK"


@dataclass(frozen=True)
class Shell(Instruction):
    """`SHELL ["program", "argument"...]`."""

    words: tuple[str, ...] = ()

    keyword: ClassVar[str] = "SHELL"


@dataclass(frozen=True)
class StopSignal(Instruction):
    """`STOPSIGNAL NAME or number`."""

    signal: str = ""

    keyword: ClassVar[str] = "STOPSIGNAL"


@dataclass(frozen=True)
class OnBuild(Instruction):
    """`ONBUILD INSTRUCTION`: trigger is the instruction's text, kept for images built on this."""

    trigger: str = ""

    keyword: ClassVar[str] = "ONBUILD"


@dataclass(frozen=True)
class Entrypoint(Instruction):
    """`ENTRYPOINT`."""

    command: Command = Command((), True)

    keyword: ClassVar[str] = "ENTRYPOINT"


@dataclass(frozen=True)
class Cmd(Instruction):
    """`CMD`."""

    command: Command = Command((), True)

    keyword: ClassVar[str] = "CMD"


@dataclass(frozen=True)
class Maintainer(Instruction):
    """`MAINTAINER NAME`: the image's author."""

    name: str = ""

    keyword: ClassVar[str] = "MAINTAINER"


Step = (
    Arg
    | Env
    | Label
    | Run
    | Copy
    | Add
    | Workdir
    | User
    | Volume
    | Expose
    | Healthcheck
    | Shell
    | StopSignal
    | OnBuild
    | Entrypoint
    | Cmd
    | Maintainer
)
