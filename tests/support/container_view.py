"""What becomes of a create request: its record, its OCI config, and the table of all fields.

`python -m tests.support.container_view` writes the table to docs/container-fields.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.containers import assemble, config, health, logopts, points
from engine.containers.container import Container
from engine.containers.document import check_config
from engine.containers.endpoints import asked_endpoints, exposed_ports, port_requests
from engine.containers.limits import Machine
from engine.containers.neighbours import Settings
from engine.containers.record import Json, MountPoint, Record
from engine.containers.restart import policy_of
from engine.containers.shares import Shares
from engine.containers.signals import stop_signal
from engine.containers.validate import check_create, check_devices, check_link
from engine.errors import EngineError
from engine.networks import Sandbox, files
from engine.runtime import spec
from engine.runtime.users import User
from tests.support.container_fields import (
    BARE,
    CONFIG,
    HOST_CONFIG,
    INSIDE,
    KEPT,
    ROWS,
    UNABLE,
    Honoured,
    Told,
    host,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/container-fields.md"


def names() -> Iterator[str]:
    """Every field of the document; one that has fields inside stands for those."""
    for outer, fields in (("", CONFIG), ("HostConfig.", HOST_CONFIG)):
        for field in fields.split():
            inside = INSIDE.get(field)
            if field == "Mounts":
                yield from (f"Mounts.{one}" for one in inside.split() if one not in INSIDE)
            elif inside:
                yield from (f"{outer}{field}.{one}" for one in inside.split())
            else:
                yield outer + field
    for field in INSIDE["Mounts"].split():
        yield from (f"{field}.{one}" for one in INSIDE.get(field, "").split())


def asked_record(body: Json, machine: Machine) -> tuple[Record, list[str]]:
    """The record that a create request makes, and its warnings. Raises EngineError."""
    check_config(body)
    id = "a" * 64
    one = config.complete_config(body, {"Cmd": ["sh"]}, id)
    asked = config.complete_host_config(body.get("HostConfig"), "crun")
    warnings = check_create(one, asked, machine)
    check_devices(asked)
    other = Record(id="b" * 64, name="other", created=1, image_id="", chain_ids=[], config={},
                   host_config={}, path="", args=[],
                   mounts=[MountPoint("volume", "/o", source="/vol")])  # fmt: skip
    mounts = points.mount_points(one, asked, Shares(Path("/none")), lambda name: other)
    for point in mounts:
        point.source = point.source or "/vol"
    path, *args = config.command_of(one)
    record = Record(id=id, name="web", created=1, image_id="sha256:1", chain_ids=[], config=one,
                    host_config=asked, path=path, args=args, mounts=mounts,
                    endpoints=asked_endpoints(None, one, asked))  # fmt: skip
    return record, warnings


def view(body: Json, machine: Machine, folder: Path) -> Json:
    """What becomes of a create request: the OCI config, and what the engine itself acts on."""
    record, _ = asked_record(body, machine)
    init = folder / "init"
    init.touch()
    settings = Settings(folder, Shares(Path("/none")), machine, init_path=str(init))
    sandbox = Sandbox(folder / "netns")
    inputs = assemble.spec_inputs(
        Container(record), sandbox, User(), settings, lambda name: Container(record)
    )
    oci: Json = spec.build(inputs)
    own = {one["type"] for one in oci["linux"]["namespaces"]}
    oci["mounts"] = {one["destination"]: one for one in oci["mounts"]}
    oci["linux"]["devices"] = {one["path"]: one for one in oci["linux"]["devices"]}
    asked = record.host_config
    return {
        "oci": oci,
        "record": {**record.config, "HostConfig": asked},
        "shared": sorted({"ipc", "pid", "uts", "cgroup"} - own),
        "endpoints": list(record.endpoints),
        "macs": {name: one.get("MacAddress") for name, one in record.endpoints.items()},
        "links": next(iter(record.endpoints.values())).get("Links") or asked["Links"],
        "exposed": exposed_ports(record.config),
        "ports": [
            (one.container_port, one.host_port_start)
            for one in port_requests(asked["PortBindings"] or {})
        ],
        "policy": vars_of(policy_of(asked)),
        "health": health_of(record.config),
        "stop_signal": stop_signal(record.config),
        "log": {"driver": asked["LogConfig"]["Type"], "details": logopts.details(record).decode()},
        "points": vars_of(record.mounts[-1]) if record.mounts else {},
        "resolv": files.resolv_text("nameserver 1.1.1.1\n", asked),
        "hosts": files.hosts_text([], "web", "", files.host_entries(asked["ExtraHosts"] or [], "")),
    }


def vars_of(value: Any) -> Json:
    return {name: getattr(value, name) for name in type(value).__annotations__}


def health_of(document: Json) -> Json:
    found = health.check_of(document)
    return {**vars_of(found), "command": list(found.args)} if found else {}


def at(document: Any, path: str) -> Any:
    """The value at a path of keys; a key may hold dots and slashes (/dev/shm)."""
    while path:
        key = next(one for one in document if path == one or path.startswith(f"{one}."))
        document, path = document[key], path[len(key) + 1 :]
    return document


def holds(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return all(one in found for one in wanted)
    return bool(wanted in found if isinstance(found, str) else found == wanted)


def row_of(name: str) -> Honoured | Told:
    """The row of a field; one that's kept shows in the record."""
    if name in ROWS:
        return ROWS[name]
    field, (value, _) = name.rpartition(".")[2], KEPT[name]
    asked = {field: value}
    return Honoured(host(**asked) if "." in name else asked, f"record.{name}", value)


def told(body: Json, machine: Machine) -> tuple[str, list[str]]:
    """Whether a request is `refused` or only `warned` about, and the sentences."""
    try:
        said = asked_record(body, machine)[1]
        for link in (body.get("HostConfig") or {}).get("Links") or ():
            check_link(link)
        return "warned", said
    except EngineError as error:
        return "refused", [error.message]


_HEAD = """# Fields of a new container

What the engine does with each field of the API document (1.51) in a request to create a container.
*Honoured*: the OCI config or the engine itself acts on it, and a test shows where. *Warned*: the
container is made without it and the answer says so. *Refused*: the answer is an error.
Generated by `python -m tests.support.container_view`; a test compares it.

| field | | where it shows, or what is said |
|---|---|---|
"""
_UNABLE = """
## What depends on the machine

Asked for on a machine with cgroup v2 and without I/O weights or real-time budgets, in a mode where
it can't be had, or malformed:

| request | | what is said |
|---|---|---|
"""
_PLACES = {
    "oci": "config.json: ",
    "record": "",
    "shared": "no namespace of its own: ",
    "endpoints": "networks that are joined",
    "macs": "the endpoint in the network of the mode",
    "links": "/etc/hosts, variables, names",
    "exposed": "exposed ports",
    "ports": "published ports",
    "policy": "restart policy: ",
    "health": "health check: ",
    "stop_signal": "signal of a stop",
    "log": "log: ",
    "points": "mount: ",
    "resolv": "/etc/resolv.conf",
    "hosts": "/etc/hosts",
}


def _where(name: str, row: Honoured) -> str:
    if name == "Mounts.Consistency":
        return "accepted; changes nothing on Linux"
    if name in KEPT:
        return KEPT[name][1]
    first, _, rest = row.path.partition(".")
    if first == "shared":
        rest = ", ".join(row.value)
    return _PLACES[first] + (f"`{rest}`" if rest else "")


def document() -> str:
    """The table of all fields."""
    text = _HEAD
    for name in sorted(
        {*ROWS, *KEPT}, key=lambda one: (one.count("."), one.partition(".")[0], one)
    ):
        row = row_of(name)
        if isinstance(row, Honoured):
            kind, words = "honoured", _where(name, row)
        else:
            kind, said = told(row.asked, row.machine)
            words = next(one for one in said if row.words in one)
        text += f"| {name} | {kind} | {words} |\n"
    text += _UNABLE
    for asked, _ in UNABLE:
        kind, said = told(asked, BARE)
        shown = json.dumps(asked.get("HostConfig", asked))
        text += f"| `{shown}` | {kind} | {' '.join(said)} |\n"
    return text


if __name__ == "__main__":
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document())
