"""RUN, COPY and ADD as operations: paths made absolute, defaults filled in, forms checked."""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.builder import configs
from engine.builder.errors import DockerfileError
from engine.builder.instructions import Add, Command, Copy, Heredoc, Mount, MountType
from engine.builder.operations import PIPES, CopyOp, MountOp
from engine.builder.parser import chomped, heredoc_of
from engine.builder.sources import is_git, is_url
from engine.builder.stages import ContextRef, Source
from engine.builder.text import quote
from engine.values import replace

_OCTAL = re.compile(r"[0-7]{1,12}", re.ASCII)
_SYMBOLIC = re.compile(r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+", re.ASCII)
_DIGEST = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+", re.ASCII)
_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}

Resolve = Callable[[str], Source]


def program(command: Command, config: Mapping[str, Any]) -> tuple[tuple[str, ...], Heredoc | None]:
    """The words that a RUN starts, and the script that must lie in PIPES for it."""
    if not command.heredocs:
        return tuple(configs.words_of(command, config)), None
    line, script = command.words[0], None
    first = command.heredocs[0]
    if heredoc_of(line) is None:
        for heredoc in command.heredocs:
            line += f"\n{heredoc.content}{heredoc.name}"
    else:
        line = chomped(first.content) if first.chomp else first.content
        if first.content.startswith("#!"):
            script = replace(first, content=line)
            line = f"{PIPES}/{first.name}"
    whole = Command((line,), command.shell)
    return tuple(configs.words_of(whole, config)), script


def mounts(given: Sequence[Mount], workdir: str, resolve: Resolve) -> tuple[MountOp, ...]:
    """Mounts with targets and ids."""
    made: list[MountOp] = []
    for mount in given:
        agents = sum(each.mount.type is MountType.SSH for each in made)
        made.append(_mount(mount, workdir, resolve, agents))
    return tuple(made)


def _mount(mount: Mount, workdir: str, resolve: Resolve, agents: int) -> MountOp:
    if mount.type is MountType.SECRET:
        return MountOp(_secret(mount, workdir))
    if mount.type is MountType.SSH:
        target = mount.target or f"/run/buildkit/ssh_agent.{agents}"
        name = mount.id or mount.source or "default"
        return MountOp(replace(mount, id=name, target=configs.absolute(workdir, target)))
    target = configs.absolute(workdir, mount.target)
    if target == "/":
        raise DockerfileError(f"invalid mount target {quote(target)}")
    mount = replace(mount, target=target)
    if mount.type is MountType.TMPFS:
        return MountOp(mount)
    mount = replace(mount, source=configs.absolute("/", mount.source))
    source = resolve(mount.from_) if mount.from_ else None
    if mount.type is MountType.CACHE:
        return MountOp(replace(mount, id=mount.id or target), source)
    return MountOp(mount, source or ContextRef())


def _secret(mount: Mount, workdir: str) -> Mount:
    name = mount.source or mount.id or posixpath.basename(mount.target)
    target = mount.target
    if not target and mount.env is None:
        target = f"/run/secrets/{posixpath.basename(name)}"
    return replace(mount, id=name, target=configs.absolute(workdir, target) if target else "")


def agent(given: Sequence[MountOp]) -> dict[str, str]:
    """The variable that names the first SSH agent's socket."""
    sockets = [each.mount.target for each in given if each.mount.type is MountType.SSH]
    return {"SSH_AUTH_SOCK": sockets[0]} if sockets else {}


def files(copy: Copy | Add, workdir: str, resolve: Resolve) -> CopyOp:
    """A COPY or ADD (expanded)."""
    if len(copy.sources) + len(copy.heredocs) > 1 and not _is_folder(copy.destination):
        raise DockerfileError(
            f"When using {copy.keyword} with more than one source file, the destination must be "
            "a directory and end with a /"
        )
    _check_mode(copy)
    op = CopyOp(
        sources=copy.sources,
        destination=destination(workdir, copy.destination),
        source=ContextRef(),
        heredocs=copy.heredocs,
        chown=copy.chown,
        chmod=copy.chmod,
        link=copy.link,
        exclude=copy.exclude,
    )
    if isinstance(copy, Add):
        _check_checksum(copy)
        return replace(
            op,
            add=True,
            checksum=copy.checksum,
            keep_git_dir=bool(copy.keep_git_dir),
            unpack=copy.unpack,
        )
    for source in copy.sources:
        if is_git(source):
            raise _failed(copy, "source can't be a git ref for COPY")
        if is_url(source):
            raise _failed(copy, "source can't be a URL for COPY")
    source_of = resolve(copy.from_) if copy.from_ else ContextRef()
    return replace(op, source=source_of, parents=copy.parents)


def _failed(copy: Copy | Add, reason: str) -> DockerfileError:
    return DockerfileError(reason, copy.first_line, prefix=f"{copy.keyword} failed: ")


def _is_folder(path: str) -> bool:
    return path in ("", ".", "..") or path.endswith(("/", "/.", "/.."))


def destination(workdir: str, path: str) -> str:
    """Where a copy goes, absolute; it ends with "/" if that must be a folder."""
    whole = configs.absolute(workdir, path)
    return whole if whole == "/" or not _is_folder(path) else f"{whole}/"


def _check_mode(copy: Copy | Add) -> None:
    mode = copy.chmod
    if not mode or (_OCTAL.fullmatch(mode) and int(mode, 8) <= 0o7777):
        return
    if len(mode) <= 256 and all(_SYMBOLIC.fullmatch(part) for part in mode.split(",")):
        return
    raise DockerfileError(
        f"invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
    )


def _check_checksum(add: Add) -> None:
    if not add.checksum:
        return
    algorithm, _, digits = add.checksum.partition(":")
    if not _DIGEST.fullmatch(add.checksum):
        raise DockerfileError("invalid checksum digest format")
    if algorithm not in _DIGITS:
        raise DockerfileError("unsupported digest algorithm")
    if len(digits) != _DIGITS[algorithm] or digits.strip("0123456789abcdef"):
        raise DockerfileError("invalid checksum digest length")
    if len(add.sources) != 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    if not is_url(add.sources[0]) and not is_git(add.sources[0]):
        raise DockerfileError("checksum can't be specified for non-HTTP(S) sources")
