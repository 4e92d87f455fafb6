"""How steps are told in an image's history (`created_by`), as each of Docker's builders does it."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from engine.builder import configs
from engine.builder.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from engine.builder.text import quote

FILES = "\0"  # where the digest of a copy's files comes in
_MARK = " # buildkit"
_SECONDS = 1_000_000_000


class Style(StrEnum):
    """Which builder's habits are followed: the classic one's or BuildKit's."""

    CLASSIC = "classic"
    BUILDKIT = "buildkit"


def run(style: Style, argv: Sequence[str], arguments: Sequence[str]) -> str:
    """A RUN. arguments: build arguments that it saw, as NAME=value."""
    count = [f"|{len(arguments)}"] if arguments else []
    line = " ".join((*count, *arguments, *argv))
    return line if style is Style.CLASSIC else f"RUN {line}{_MARK}"


def files(style: Style, copy: Copy | Add, config: Mapping[str, Any]) -> str:
    """A COPY or ADD (expanded)."""
    flags = [f"--chown={copy.chown}"] if copy.chown else []
    flags += [f"--chmod={copy.chmod}"] if copy.chmod else []
    if style is Style.CLASSIC:
        what = " ".join((copy.keyword, *flags, f"{FILES} in {copy.destination} "))
        return f"{' '.join(configs.shell(config))} #(nop) {what}"
    if isinstance(copy, Copy) and copy.parents:
        flags.insert(0, "--parents")
    inline = [f"<<{heredoc.name}" for heredoc in copy.heredocs]
    return " ".join((copy.keyword, *flags, *copy.sources, *inline, copy.destination)) + _MARK


def other(style: Style, instruction: Instruction, config: Mapping[str, Any]) -> str:
    """Any other instruction (expanded); config is the one after it."""
    telling = _TELLING.get(type(instruction))
    what = telling(style, instruction, config) if telling else instruction.keyword
    if style is Style.BUILDKIT:
        return what
    # WORKDIR came later to the classic builder than the others, with a space less
    space = "" if isinstance(instruction, Workdir) else " "
    return f"{' '.join(configs.shell(config))} #(nop) {space}{what}"


def _pairs(style: Style, instruction: Env | Label, config: Mapping[str, Any]) -> str:
    pairs = (f"{name}={value}" for name, value in instruction.pairs)
    return " ".join((instruction.keyword, *pairs))


def _arg(style: Style, arg: Arg, config: Mapping[str, Any]) -> str:
    pairs = (name if value is None else f"{name}={value}" for name, value in arg.pairs)
    return " ".join((arg.keyword, *pairs))


def _workdir(style: Style, workdir: Workdir, config: Mapping[str, Any]) -> str:
    return f"WORKDIR {config['WorkingDir']}"


def _user(style: Style, user: User, config: Mapping[str, Any]) -> str:
    return f"USER {user.user}"


def _volume(style: Style, volume: Volume, config: Mapping[str, Any]) -> str:
    return f"VOLUME [{' '.join(volume.paths)}]"


def _expose(style: Style, expose: Expose, config: Mapping[str, Any]) -> str:
    if style is Style.CLASSIC:
        return " ".join((expose.keyword, *sorted(expose.ports)))
    from engine.builder.ports import exposed

    return f"EXPOSE [{' '.join(exposed(expose.ports))}]"


def _healthcheck(style: Style, check: Healthcheck, config: Mapping[str, Any]) -> str:
    test = f"[{' '.join(check.test)}]"
    times = [
        duration(time)
        for time in (check.interval, check.timeout, check.start_period, check.start_interval)
    ]
    if style is Style.CLASSIC:
        return f"HEALTHCHECK &{{{' '.join((test, *times, str(check.retries)))}}}"
    told = " ".join((_quoted(check.test), *map(quote, times), _character(check.retries)))
    return f"HEALTHCHECK &{{{told}}}"


def _character(code: int) -> str:
    """A number as BuildKit tells it: as if it were a character."""
    if not 0 <= code <= 0x10FFFF or 0xD800 <= code < 0xE000:
        code = 0xFFFD
    bare = quote(chr(code))[1:-1]
    return "'" + {'\\"': '"', "'": "\\'"}.get(bare, bare) + "'"


def duration(time: int) -> str:
    """Nanoseconds as Go prints them (`1h2m3.5s`)."""
    if time == 0:
        return "0s"
    for unit, name in ((1000, "ns"), (1_000_000, "µs"), (_SECONDS, "ms")):
        if time < unit:
            return f"{_decimal(time, unit // 1000)}{name}"
    minutes, rest = divmod(time, 60 * _SECONDS)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{text}{_decimal(rest, _SECONDS)}s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".") if rest else str(whole)


def _shell(style: Style, shell: Shell, config: Mapping[str, Any]) -> str:
    return f"SHELL [{' '.join(shell.words)}]"


def _stopsignal(style: Style, stop: StopSignal, config: Mapping[str, Any]) -> str:
    return f"STOPSIGNAL {stop.signal}"


def _onbuild(style: Style, trigger: OnBuild, config: Mapping[str, Any]) -> str:
    if style is Style.BUILDKIT:
        return ""
    return f"ONBUILD {trigger.trigger}"


def _entrypoint(style: Style, entrypoint: Entrypoint, config: Mapping[str, Any]) -> str:
    return f"ENTRYPOINT {_quoted(config.get('Entrypoint') or ())}"


def _cmd(style: Style, cmd: Cmd, config: Mapping[str, Any]) -> str:
    return f"CMD {_quoted(config.get('Cmd') or ())}"


def _quoted(words: Sequence[str]) -> str:
    return f"[{' '.join(quote(word) for word in words)}]"


def _maintainer(style: Style, maintainer: Maintainer, config: Mapping[str, Any]) -> str:
    return f"MAINTAINER {maintainer.name}"


_TELLING: dict[type, Callable[..., str]] = {
    Arg: _arg,
    Cmd: _cmd,
    Entrypoint: _entrypoint,
    Env: _pairs,
    Expose: _expose,
    Healthcheck: _healthcheck,
    Label: _pairs,
    Maintainer: _maintainer,
    OnBuild: _onbuild,
    Shell: _shell,
    StopSignal: _stopsignal,
    User: _user,
    Volume: _volume,
    Workdir: _workdir,
}
