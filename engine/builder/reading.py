"""Nodes of a Dockerfile as instructions: flags and words checked, nothing expanded yet."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.builder import flags as builder_flags
from engine.builder import mounts
from engine.builder.durations import health_time, retries
from engine.builder.errors import DockerfileError, on_line
from engine.builder.flags import Flags, Kind
from engine.builder.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    Step,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from engine.builder.lines import KEYWORDS, Node
from engine.builder.parser import chomped, heredoc_of, parse
from engine.builder.text import did_you_mean, quote, trim
from engine.values import replace

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")
_ONBUILD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)
_NETWORKS = ("default", "none", "host")
_SECURITIES = ("sandbox", "insecure")

_FLAGS: dict[str, dict[str, Kind]] = {
    "FROM": {"platform": Kind.TEXT},
    "RUN": {"mount": Kind.TEXTS, "network": Kind.TEXT, "security": Kind.TEXT},
    "COPY": {
        "chown": Kind.TEXT,
        "from": Kind.TEXT,
        "chmod": Kind.TEXT,
        "link": Kind.SWITCH,
        "parents": Kind.SWITCH,
        "exclude": Kind.TEXTS,
    },
    "ADD": {
        "chown": Kind.TEXT,
        "chmod": Kind.TEXT,
        "link": Kind.SWITCH,
        "keep-git-dir": Kind.SWITCH,
        "checksum": Kind.TEXT,
        "unpack": Kind.SWITCH,
        "exclude": Kind.TEXTS,
    },
    "HEALTHCHECK": dict.fromkeys(
        ("interval", "timeout", "start-period", "start-interval", "retries"), Kind.TEXT
    ),
}


def read(node: Node) -> From | Step:
    """The instruction of a node. Raises DockerfileError with its line."""
    try:
        return _read(node)
    except DockerfileError as error:
        raise error.at(node.first_line, prefix=on_line(node.first_line)) from error


def read_trigger(text: str, line: int) -> Step:
    """The instruction that an image's ONBUILD holds, placed at a line of the Dockerfile."""
    dockerfile = parse(text)
    if len(dockerfile.nodes) != 1:
        raise DockerfileError("onbuild trigger should be a single expression", line)
    instruction = read(replace(dockerfile.nodes[0], first_line=line, last_line=line))
    if isinstance(instruction, From | Maintainer | OnBuild):
        raise DockerfileError(
            f"{instruction.keyword} isn't allowed as an ONBUILD trigger",
            line,
            prefix=on_line(line),
        )
    return instruction


def _read(node: Node) -> From | Step:
    keyword = node.keyword.upper()
    reader = _READERS.get(keyword)
    if reader is None:
        hint = did_you_mean(node.keyword, KEYWORDS, any_case=True)
        raise DockerfileError(f"unknown instruction: {node.keyword}{hint}")
    place = {
        "text": trim(node.text),
        "first_line": node.first_line,
        "last_line": node.last_line,
    }
    return reader(node, place)


def _flags(node: Node) -> Flags:
    return builder_flags.parse(node.flags, _FLAGS.get(node.keyword.upper(), {}))


def _one(node: Node, keyword: str) -> str:
    if len(node.words) != 1:
        raise DockerfileError(f"{keyword} requires exactly one argument")
    _flags(node)
    return node.words[0]


def _some(node: Node, keyword: str) -> tuple[str, ...]:
    if not node.words:
        raise DockerfileError(f"{keyword} requires at least one argument")
    _flags(node)
    return node.words


Place = dict[str, Any]


def _from(node: Node, place: Place) -> From:
    words = node.words
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise DockerfileError(
                f"invalid name for build stage: {quote(words[2])}, "
                "name can't start with a number or contain symbols"
            )
    elif len(words) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    return From(**place, base=words[0], name=name, platform=_flags(node).text("platform"))


def _arg(node: Node, place: Place) -> Arg:
    pairs: list[tuple[str, str | None]] = []
    for word in _some(node, "ARG"):
        name, equals, value = word.partition("=")
        if equals and not name:
            raise DockerfileError("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return Arg(**place, pairs=tuple(pairs))


def _pairs(node: Node, keyword: str) -> tuple[tuple[str, str], ...]:
    words = _some(node, keyword)
    pairs = tuple(zip(words[::3], words[1::3], strict=True))
    if any(not name for name, _ in pairs):
        raise DockerfileError(f"{keyword} names can not be blank")
    return pairs


def _env(node: Node, place: Place) -> Env:
    return Env(**place, pairs=_pairs(node, "ENV"), legacy=node.words[2] == "")


def _label(node: Node, place: Place) -> Label:
    return Label(**place, pairs=_pairs(node, "LABEL"), legacy=node.words[2] == "")


def _command(node: Node) -> Command:
    words = node.words if node.json else (" ".join(node.words),) if node.words else ()
    return Command(words, not node.json, node.heredocs)


def _run(node: Node, place: Place) -> Run:
    flags = _flags(node)
    for text in flags.texts("mount"):
        mounts.check(text)
    network, security = flags.text("network"), flags.text("security")
    if "network" in flags and network not in _NETWORKS:
        hint = did_you_mean(network, _NETWORKS)
        raise DockerfileError(f"invalid network mode {quote(network)}{hint}")
    if "security" in flags and security not in _SECURITIES:
        hint = did_you_mean(security, _SECURITIES)
        raise DockerfileError(f"security {quote(security)} is not valid{hint}")
    return Run(
        **place,
        command=_command(node),
        mount_texts=flags.texts("mount"),
        network=network,
        security=security,
    )


def _files(node: Node, keyword: str) -> dict[str, Any]:
    """Sources, destination and heredocs of COPY and ADD."""
    if len(node.words) < 2:
        raise DockerfileError(
            f"{keyword} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
    *sources, destination = node.words
    if node.heredocs and heredoc_of(destination):
        raise DockerfileError(f"{keyword} cannot accept a heredoc as a destination")
    named = {heredoc.name: heredoc for heredoc in node.heredocs}
    paths, heredocs = [], []
    for source in sources:
        announced = heredoc_of(source) if named else None
        if announced is None or announced.name not in named:
            paths.append(source)
            continue
        content = named[announced.name].content
        content = chomped(content) if announced.chomp else content
        heredocs.append(replace(announced, content=content))
    return {
        "sources": tuple(paths),
        "destination": destination,
        "heredocs": tuple(heredocs),
    }


def _copy(node: Node, place: Place) -> Copy:
    files = _files(node, "COPY")
    flags = _flags(node)
    return Copy(
        **place,
        **files,
        from_=flags.text("from"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.switch("link"),
        parents=flags.switch("parents"),
        exclude=flags.texts("exclude"),
    )


def _add(node: Node, place: Place) -> Add:
    files = _files(node, "ADD")
    flags = _flags(node)
    return Add(
        **place,
        **files,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.switch("link"),
        exclude=flags.texts("exclude"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.switch("keep-git-dir") if "keep-git-dir" in flags else None,
        unpack=flags.switch("unpack") if "unpack" in flags else None,
    )


def _workdir(node: Node, place: Place) -> Workdir:
    return Workdir(**place, path=_one(node, "WORKDIR"))


def _user(node: Node, place: Place) -> User:
    return User(**place, user=_one(node, "USER"))


def _volume(node: Node, place: Place) -> Volume:
    paths = tuple(trim(word) for word in _some(node, "VOLUME"))
    if "" in paths:
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(**place, paths=paths)


def _expose(node: Node, place: Place) -> Expose:
    return Expose(**place, ports=tuple(sorted(_some(node, "EXPOSE"))))


def _healthcheck(node: Node, place: Place) -> Healthcheck:
    if not node.words:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    kind, *command = node.words
    if kind.upper() == "NONE":
        if command:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(**place, test=("NONE",))
    flags = _flags(node)
    if kind.upper() != "CMD":
        raise DockerfileError(f"Unknown type {quote(kind.upper())} in HEALTHCHECK (try CMD)")
    if not command:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        **place,
        test=("CMD" if node.json else "CMD-SHELL", *command),
        interval=health_time("interval", flags.text("interval")),
        timeout=health_time("timeout", flags.text("timeout")),
        start_period=health_time("start-period", flags.text("start-period")),
        start_interval=health_time("start-interval", flags.text("start-interval")),
        retries=retries(flags.text("retries")),
    )


def _shell(node: Node, place: Place) -> Shell:
    _flags(node)
    if not node.words:
        raise DockerfileError("SHELL requires at least one argument")
    if not node.json:
        raise DockerfileError("SHELL requires the arguments to be in JSON form")
    return Shell(**place, words=node.words)


def _stopsignal(node: Node, place: Place) -> StopSignal:
    return StopSignal(**place, signal=_one(node, "STOPSIGNAL"))


def _onbuild(node: Node, place: Place) -> OnBuild:
    _some(node, "ONBUILD")
    assert node.of is not None
    trigger = node.of.keyword.upper()
    if trigger == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger} isn't allowed as an ONBUILD trigger")
    text = _ONBUILD.sub("", node.text, count=1)
    for heredoc in node.heredocs:
        text += f"\n{heredoc.content}{heredoc.name}"
    return OnBuild(**place, trigger=text)


def _entrypoint(node: Node, place: Place) -> Entrypoint:
    _flags(node)
    return Entrypoint(**place, command=_command(node))


def _cmd(node: Node, place: Place) -> Cmd:
    _flags(node)
    return Cmd(**place, command=_command(node))


def _maintainer(node: Node, place: Place) -> Maintainer:
    return Maintainer(**place, name=_one(node, "MAINTAINER"))


_READERS: Mapping[str, Callable[[Node, Place], From | Step]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
