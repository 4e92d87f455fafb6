"""What each instruction changes in an image's config (fields named by OCI and Docker)."""

import copy
import posixpath
import signal
from collections.abc import Callable, Mapping
from typing import Any

from engine.builder import ports
from engine.builder.errors import DockerfileError
from engine.builder.instructions import (
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    OnBuild,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)

Config = dict[str, Any]
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")
_REALTIME = range(34, 65)


def of_base(base: Mapping[str, Any]) -> Config:
    """The config that a stage begins with: its base's, with a PATH, without the triggers."""
    config: Config = copy.deepcopy(dict(base))
    if not any(entry.split("=", 1)[0] == "PATH" for entry in config.get("Env") or ()):
        config["Env"] = [*(config.get("Env") or ()), f"PATH={DEFAULT_PATH}"]
    config["OnBuild"] = None
    return config


def variables(config: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a config."""
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    return {name: value for name, _, value in pairs}


def shell(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The words before a command line that is no JSON."""
    return tuple(config.get("Shell") or DEFAULT_SHELL)


def apply(config: Config, instruction: Instruction, *, cmd_stays: bool = False) -> Config:
    """A new config after the instruction (expanded). Raises DockerfileError.

    cmd_stays: this stage said CMD already, so that an ENTRYPOINT keeps it.
    """
    changing = _CHANGING.get(type(instruction))
    if changing is None:
        return config
    changed = dict(config)  # its values are replaced, never changed
    try:
        changing(changed, instruction)
    except DockerfileError as error:
        raise error.at(instruction.first_line) from error
    if isinstance(instruction, Entrypoint) and not cmd_stays:
        changed["Cmd"] = None
    return changed


def words_of(command: Command, config: Mapping[str, Any]) -> list[str]:
    """The words of a command: those of the JSON form, or the shell's and the line."""
    if not command.shell:
        return list(command.words)
    return [*shell(config), " ".join(command.words)]


def absolute(workdir: str, path: str) -> str:
    """A path without `..` and doubled slashes, below workdir unless it's absolute."""
    joined = posixpath.normpath(posixpath.join("/", workdir, path))
    return "/" + joined.lstrip("/")


def _env(config: Config, env: Env) -> None:
    entries = list(config.get("Env") or ())
    for name, value in env.pairs:
        # most names are new, which this tells quickest
        if f"\0{name}=" in f"\0{chr(0).join(entries)}" or name in entries:
            names = [entry.split("=", 1)[0] for entry in entries]
            entries[names.index(name)] = f"{name}={value}"
        else:
            entries.append(f"{name}={value}")
    config["Env"] = entries


def _label(config: Config, label: Label) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(label.pairs)}


def _workdir(config: Config, workdir: Workdir) -> None:
    if not workdir.path:
        raise DockerfileError("cannot normalize nothing")
    config["WorkingDir"] = absolute(config.get("WorkingDir") or "/", workdir.path)


def _user(config: Config, user: User) -> None:
    config["User"] = user.user


def _volume(config: Config, volume: Volume) -> None:
    if "" in volume.paths:
        raise DockerfileError("VOLUME specified can not be an empty string")
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in volume.paths}}


def _expose(config: Config, expose: Expose) -> None:
    found = ports.exposed(expose.ports)
    config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **{port: {} for port in found}}


def _healthcheck(config: Config, check: Healthcheck) -> None:
    times = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    config["Healthcheck"] = {
        "Test": list(check.test),
        **{name: value for name, value in times.items() if value},
    }


def _shell(config: Config, words: Shell) -> None:
    config["Shell"] = list(words.words)


def _stopsignal(config: Config, stop: StopSignal) -> None:
    if not _is_signal(stop.signal):
        raise DockerfileError(f"invalid signal: {stop.signal}")
    config["StopSignal"] = stop.signal


def _is_signal(text: str) -> bool:
    if text.isascii() and text.isdigit():
        return len(text) < 5 and int(text) > 0
    name = text.upper().removeprefix("SIG")
    for base in ("RTMIN", "RTMAX"):
        if name.startswith(base):
            offset = name.removeprefix(base)[1:]
            sign = "+" if base == "RTMIN" else "-"
            return name == base or (
                name == f"{base}{sign}{offset}"
                and offset.isdecimal()
                and len(offset) < 3
                and int(offset) < len(_REALTIME)
            )
    return isinstance(getattr(signal, f"SIG{name}", None), signal.Signals)


def _onbuild(config: Config, trigger: OnBuild) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or ()), trigger.trigger]


def _entrypoint(config: Config, entrypoint: Entrypoint) -> None:
    config["Entrypoint"] = words_of(entrypoint.command, config) or None


def _cmd(config: Config, cmd: Cmd) -> None:
    config["Cmd"] = words_of(cmd.command, config)


_CHANGING: dict[type, Callable[..., None]] = {
    Cmd: _cmd,
    Entrypoint: _entrypoint,
    Env: _env,
    Expose: _expose,
    Healthcheck: _healthcheck,
    Label: _label,
    OnBuild: _onbuild,
    Shell: _shell,
    StopSignal: _stopsignal,
    User: _user,
    Volume: _volume,
    Workdir: _workdir,
}
