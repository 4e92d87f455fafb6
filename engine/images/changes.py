"""`--change` of import and commit: a few Dockerfile instructions applied to an image's config."""

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.errors import BadRequest
from engine.times import parse_duration

Config = dict[str, Any]
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


def apply(config: Mapping[str, Any], changes: Sequence[str]) -> Config:
    """A new config with every instruction applied in order. Raises BadRequest."""
    changed: Config = json.loads(json.dumps(dict(config)))
    for change in changes:
        for line in change.replace("\\\n", " ").splitlines():
            line = line.strip()
            if line and not line.startswith("#"):
                word, _, rest = line.partition(" ")
                if "\t" in word:
                    word, _, rest = line.partition("\t")
                _instruction(word)(changed, rest.strip())
    return changed


def _instruction(word: str) -> Callable[[Config, str], None]:
    found = _INSTRUCTIONS.get(word.upper())
    if found is None:
        raise BadRequest(f"{word} is not a valid change command")
    return found


def _json_words(rest: str) -> list[str] | None:
    if not rest.startswith("["):
        return None
    try:
        words = json.loads(rest)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(w, str) for w in words) else None


def _command(config: Config, rest: str) -> list[str] | None:
    words = _json_words(rest)
    if words is None and rest:
        return [*(config.get("Shell") or ["/bin/sh", "-c"]), rest]
    return words


def _cmd(config: Config, rest: str) -> None:
    config["Cmd"] = _command(config, rest)


def _entrypoint(config: Config, rest: str) -> None:
    config["Entrypoint"] = _command(config, rest)


def _split(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError as error:
        raise BadRequest(f"Syntax error - can't parse {rest!r}: {error}") from error


def _pairs(rest: str, name: str) -> list[tuple[str, str]]:
    """`k=v k="v w"`, or the old form `k the whole rest`."""
    if not rest:
        raise BadRequest(f"{name} requires at least one argument")
    first = rest.split(None, 1)
    if "=" not in first[0]:
        if len(first) < 2:
            raise BadRequest(f"{name} must have two arguments")
        return [(first[0], first[1])]
    pairs = []
    for word in _split(rest):
        key, equals, value = word.partition("=")
        if not equals:
            raise BadRequest(
                f"Syntax error - can't find = in {word!r}. Must be of the form: name=value"
            )
        if not key:
            raise BadRequest(f"{name} names can not be blank")
        pairs.append((key, value))
    return pairs


def _env(config: Config, rest: str) -> None:
    env = list(config.get("Env") or ())
    for key, value in _pairs(rest, "ENV"):
        at = next((i for i, old in enumerate(env) if old.split("=", 1)[0] == key), None)
        if at is None:
            env.append(f"{key}={value}")
        else:
            env[at] = f"{key}={value}"
    config["Env"] = env


def _label(config: Config, rest: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(rest, "LABEL"))}


def _expose(config: Config, rest: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in rest.split():
        match = _PORT.fullmatch(word)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else 0
        if match is None or not 0 < first <= last <= 65535:
            raise BadRequest(f"invalid containerPort: {word}")
        for port in range(first, last + 1):
            ports[f"{port}/{(match[3] or 'tcp').lower()}"] = {}
    config["ExposedPorts"] = ports


def _volume(config: Config, rest: str) -> None:
    words = _json_words(rest) or rest.split()
    if not words or "" in words:
        raise BadRequest("VOLUME specified can not be an empty string")
    config["Volumes"] = {**(config.get("Volumes") or {}), **{word: {} for word in words}}


def _user(config: Config, rest: str) -> None:
    config["User"] = rest


def _workdir(config: Config, rest: str) -> None:
    if not rest:
        raise BadRequest("WORKDIR requires exactly one argument")
    base = config.get("WorkingDir") or "/"
    config["WorkingDir"] = rest if rest.startswith("/") else f"{base.rstrip('/')}/{rest}"


def _onbuild(config: Config, rest: str) -> None:
    word = rest.split(None, 1)[0].upper() if rest else ""
    if word in ("ONBUILD", "FROM", "MAINTAINER"):
        raise BadRequest(f"{word} isn't allowed as an ONBUILD trigger")
    config["OnBuild"] = [*(config.get("OnBuild") or ()), rest]


def _stopsignal(config: Config, rest: str) -> None:
    config["StopSignal"] = rest


def _shell(config: Config, rest: str) -> None:
    words = _json_words(rest)
    if not words:
        raise BadRequest("SHELL requires the arguments to be in JSON form")
    config["Shell"] = words


_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}


def _healthcheck(config: Config, rest: str) -> None:
    check: dict[str, Any] = {}
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        name, _, value = flag[2:].partition("=")
        rest = rest.strip()
        if name in _TIMES:
            check[_TIMES[name]] = parse_duration(value)
        elif name == "retries" and value.isdigit():
            check["Retries"] = int(value)
        else:
            raise BadRequest(f"Unknown flag: {name}")
    kind, _, command = rest.partition(" ")
    command = command.strip()
    if kind.upper() == "NONE":
        check["Test"] = ["NONE"]
    elif kind.upper() == "CMD" and command:
        words = _json_words(command)
        check["Test"] = ["CMD-SHELL", command] if words is None else ["CMD", *words]
    else:
        raise BadRequest(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    config["Healthcheck"] = check


_INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
