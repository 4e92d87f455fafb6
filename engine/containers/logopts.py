"""Log drivers and their options: which there are, what they take, what each line is marked with.

The drivers are json-file, local and none (Docker's documentation, "Configure logging drivers"). A
mode of delivery is accepted and changes nothing: what writes the log never waits for a reader.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus

from engine.containers.record import Record
from engine.errors import BadRequest
from engine.filters import takes_long

LOG_DRIVERS = frozenset({"json-file", "local", "none"})
_REFUSED = frozenset({"syslog", "journald", "fluentd", "gelf", "awslogs", "splunk"})
_COMMON = frozenset(
    "mode max-buffer-size cache-disabled cache-max-size cache-max-file cache-compress".split()
)
_ROTATION = frozenset({"max-size", "max-file", "compress"})
_MARKS = frozenset({"labels", "labels-regex", "env", "env-regex", "tag"})
_OPTIONS = {"json-file": _COMMON | _ROTATION | _MARKS, "local": _COMMON | _ROTATION}
_TRUE = frozenset("1 t T true TRUE True".split())
_FALSE = frozenset("0 f F false FALSE False".split())
_PLACEHOLDER = re.compile(r"{{\s*\.(\w+)\s*}}")


def parse_size(text: str) -> int:
    """`10m`, `1.5g`, `512` -> bytes (multiples of 1024). Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if not match:
        raise ValueError(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def check_log(log: Mapping[str, Any]) -> list[str]:
    """Warnings. Raises BadRequest for a driver that isn't here and for options it doesn't take."""
    driver, options = log["Type"], log["Config"]
    if driver in _REFUSED:
        raise BadRequest(
            f"the log driver '{driver}' is not built into this engine: use json-file, local or none"
        )
    if driver not in LOG_DRIVERS:
        raise BadRequest(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    if driver == "none":
        return []
    _check_mode(options)
    for key, value in options.items():
        if key not in _OPTIONS[driver]:
            end = "log driver local" if driver == "local" else f"{driver} log driver"
            raise BadRequest(f"unknown log opt '{key}' for {end}")
        _check_option(key, value)
    if compresses(log):
        _check_compression(driver, options)
    return []


def compresses(log: Mapping[str, Any]) -> bool:
    """Whether rotated files are compressed; those of the driver local are unless told otherwise."""
    return (log["Config"].get("compress") or str(log["Type"] == "local")) in _TRUE


def _check_compression(driver: str, options: Mapping[str, str]) -> None:
    files = int(options.get("max-file") or (5 if driver == "local" else 1))
    if driver == "local" and files < 2:
        raise BadRequest("compression cannot be enabled when max file count is 1")
    if driver == "json-file" and (files < 2 or options.get("max-size", "-1") == "-1"):
        raise BadRequest(
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        )


def _check_mode(options: Mapping[str, str]) -> None:
    mode = options.get("mode") or "blocking"
    if mode not in ("blocking", "non-blocking"):
        raise BadRequest(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise BadRequest(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
            )
        try:
            parse_size(options["max-buffer-size"])
        except ValueError as error:
            raise BadRequest(f"error parsing option max-buffer-size: {error}") from error


def _check_option(key: str, value: str) -> None:
    if key == "max-size" and value != "-1":
        try:
            parse_size(value)
        except ValueError as error:
            raise BadRequest(str(error)) from error
    elif key == "max-file" and (not value.isdecimal() or int(value) < 1):
        raise BadRequest("max-file cannot be less than 1")
    elif key == "compress" and value not in _TRUE | _FALSE:
        raise BadRequest(f'invalid value for compress: strconv.ParseBool: parsing "{value}"')
    elif key in ("labels-regex", "env-regex"):
        try:
            re.compile(value)
        except re.error as error:
            raise BadRequest(f"{key}: error parsing regexp `{value}`: {error}") from error
        if takes_long(value):
            raise BadRequest(f"{key}: the regular expression '{value[:80]}' is too complex")
    elif key == "tag":
        _check_tag(value)


def _check_tag(text: str) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in _TAG_FIELDS:
            raise BadRequest(
                f'template: log-tag: executing "log-tag" at <.{name}>: can\'t evaluate field {name}'
            )
    rest = _PLACEHOLDER.sub("", text)
    if "{{" in rest:
        raise BadRequest(
            f"template: log-tag: only fields such as {{{{.ID}}}} or {{{{.Name}}}} can stand in a "
            f"tag, not {rest}"
        )


_TAG_FIELDS: dict[str, Callable[[Record], str]] = {
    "ID": lambda one: one.id[:12],
    "FullID": lambda one: one.id,
    "ContainerID": lambda one: one.id,
    "Name": lambda one: one.name,
    "ContainerName": lambda one: "/" + one.name,
    "ImageID": lambda one: one.image_id.removeprefix("sha256:")[:12],
    "ImageFullID": lambda one: one.image_id,
    "ContainerImageID": lambda one: one.image_id,
    "ImageName": lambda one: one.config.get("Image") or "",
    "ContainerImageName": lambda one: one.config.get("Image") or "",
    "ContainerEntrypoint": lambda one: one.path,
    "Command": lambda one: " ".join([one.path, *one.args]),
    "DaemonName": lambda one: "docker",
}


def attributes(record: Record) -> dict[str, str]:
    """What the options of a container's log ask to be told with each line, by name."""
    options = record.host_config["LogConfig"].get("Config") or {}
    environment = dict(
        entry.split("=", 1) for entry in record.config.get("Env") or () if "=" in entry
    )
    found = dict(_chosen(options, "labels", record.config.get("Labels") or {}))
    found.update(_chosen(options, "env", environment))
    if options.get("tag"):
        found["tag"] = _PLACEHOLDER.sub(lambda match: _TAG_FIELDS[match[1]](record), options["tag"])
    return found


def _chosen(
    options: Mapping[str, str], key: str, values: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    names = [name for name in options.get(key, "").split(",") if name]
    yield from ((name, values[name]) for name in names if name in values)
    if pattern := options.get(f"{key}-regex"):
        yield from ((name, value) for name, value in values.items() if re.search(pattern, name))


def details(record: Record) -> bytes:
    """The attributes as `docker logs --details` shows them: `a=1,b=2`, escaped as in a URL."""
    pairs = sorted(attributes(record).items())
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs).encode()
