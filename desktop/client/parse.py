"""The Engine API's JSON into rows (Docker Engine's api/swagger.yaml, 1.44 to 1.51); pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from desktop.client.rows import (
    Container,
    EngineEvent,
    EngineFacts,
    Health,
    Image,
    Layer,
    Member,
    Network,
    Port,
    State,
    Volume,
)

_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_EXIT = re.compile(r"\((-?\d+)\)")
_FRACTION = re.compile(r"\.(\d{1,6})\d*")
_SHELL = re.compile(r"^/bin/sh -c (#\(nop\) )?\s*")
_BUILDKIT = re.compile(r"\s*# buildkit$")

Json = Mapping[str, Any]


def timestamp(text: str) -> float:
    """An RFC 3339 time in Unix seconds; 0 for the year 1 that stands for never."""
    if not text or text.startswith("0001-"):
        return 0.0
    try:
        return datetime.fromisoformat(
            _FRACTION.sub(r".\1", text).replace("Z", "+00:00")
        ).timestamp()
    except ValueError:
        return 0.0


def container(item: Json) -> Container:
    """One element of GET /containers/json."""
    labels: Json = item.get("Labels") or {}
    status = str(item.get("Status", ""))
    state = State(item.get("State") or "created")
    health = _HEALTH.search(status)
    code = _EXIT.search(status) if state in (State.EXITED, State.RESTARTING, State.DEAD) else None
    networks: Json = (item.get("NetworkSettings") or {}).get("Networks") or {}
    names = item.get("Names") or ["/" + str(item["Id"])[:12]]
    return Container(
        id=item["Id"],
        name=min(names, key=lambda name: name.count("/")).lstrip("/"),
        image=str(item.get("Image", "")),
        image_id=str(item.get("ImageID", "")),
        command=str(item.get("Command", "")),
        state=state,
        status=status,
        created=float(item.get("Created") or 0),
        health=Health(health.group(1)) if health else Health.NONE,
        exit_code=int(code.group(1)) if code else None,
        ports=ports(item.get("Ports") or ()),
        project=str(labels.get("com.docker.compose.project", "")),
        service=str(labels.get("com.docker.compose.service", "")),
        compose_file=str(labels.get("com.docker.compose.project.config_files", "")),
        volumes=tuple(
            str(mount.get("Name"))
            for mount in item.get("Mounts") or ()
            if mount.get("Type") == "volume" and mount.get("Name")
        ),
        networks=tuple(networks),
        addresses=tuple(
            (name, str((entry or {}).get("IPAddress", ""))) for name, entry in networks.items()
        ),
    )


def ports(items: Iterable[Json]) -> tuple[Port, ...]:
    """Ports without the doubles that IPv4 and IPv6 make, published ones first."""
    seen: dict[tuple[int, int, str], Port] = {}
    for item in items:
        port = Port(
            int(item.get("PrivatePort") or 0),
            int(item.get("PublicPort") or 0),
            str(item.get("Type", "tcp")),
            str(item.get("IP", "")),
        )
        seen.setdefault((port.private, port.public, port.protocol), port)
    return tuple(sorted(seen.values(), key=lambda p: (not p.public, p.public or p.private)))


def images(items: Iterable[Json], containers: Iterable[Container]) -> list[Image]:
    """GET /images/json: a row for each tag, one for each image without any."""
    users: dict[str, list[str]] = {}
    for one in containers:
        users.setdefault(one.image_id, []).append(one.name)
    rows = []
    for item in items:
        tags = [tag for tag in item.get("RepoTags") or () if tag != "<none>:<none>"]
        for tag in tags or [""]:
            repository, _, name = tag.rpartition(":")
            rows.append(
                Image(
                    id=item["Id"],
                    repository=repository,
                    tag=name,
                    size=int(item.get("Size") or 0),
                    created=float(item.get("Created") or 0),
                    used_by=tuple(sorted(users.get(item["Id"], ()))),
                    shared=int(item.get("SharedSize", -1)),
                )
            )
    return rows


def layers(items: Iterable[Json]) -> list[Layer]:
    """GET /images/{name}/history, newest first."""
    rows = []
    for item in items:
        instruction, arguments = _instruction(str(item.get("CreatedBy") or ""))
        rows.append(
            Layer(
                instruction,
                arguments,
                int(item.get("Size") or 0),
                float(item.get("Created") or 0),
                str(item.get("Id") or ""),
            )
        )
    return rows


def _instruction(created_by: str) -> tuple[str, str]:
    text = _BUILDKIT.sub("", created_by.strip())
    match = _SHELL.match(text)
    if match and not match.group(1):
        return "RUN", text[match.end() :]
    if match:
        text = text[match.end() :]
    word, _, rest = text.partition(" ")
    if word == "RUN":
        return "RUN", _SHELL.sub("", rest)
    if word.isupper() and word.isalpha():
        return word, rest.strip()
    return ("Layer", text) if text else ("Layer", "no instruction recorded")


def volume(item: Json, users: Mapping[str, list[str]]) -> Volume:
    """One element of GET /volumes or of the volumes in GET /system/df."""
    usage = item.get("UsageData") or {}
    return Volume(
        name=item["Name"],
        driver=str(item.get("Driver", "local")),
        mountpoint=str(item.get("Mountpoint", "")),
        created=timestamp(str(item.get("CreatedAt", ""))),
        size=int(usage.get("Size", -1)),
        used_by=tuple(sorted(users.get(item["Name"], ()))),
        labels=dict(item.get("Labels") or {}),
    )


def network(item: Json, members: Mapping[str, list[Member]]) -> Network:
    """One element of GET /networks; the members come from the container list."""
    configs = (item.get("IPAM") or {}).get("Config") or []
    return Network(
        id=item["Id"],
        name=item["Name"],
        driver=str(item.get("Driver", "")),
        subnets=tuple(str(c["Subnet"]) for c in configs if c.get("Subnet")),
        gateways=tuple(str(c["Gateway"]) for c in configs if c.get("Gateway")),
        internal=bool(item.get("Internal")),
        created=timestamp(str(item.get("Created", ""))),
        members=tuple(members.get(item["Name"], ())),
    )


def event(item: Json) -> EngineEvent:
    """One line of GET /events."""
    actor = item.get("Actor") or {}
    return EngineEvent(
        str(item.get("Type", "")),
        str(item.get("Action", "")),
        str(actor.get("ID") or item.get("id") or ""),
        dict(actor.get("Attributes") or {}),
        float(item.get("timeNano") or 0) / 1e9 or float(item.get("time") or 0),
    )


def facts(info: Json, version: Json) -> EngineFacts:
    """GET /info and GET /version together."""
    return EngineFacts(
        version=str(version.get("Version") or info.get("ServerVersion") or ""),
        cpus=int(info.get("NCPU") or 0),
        memory=int(info.get("MemTotal") or 0),
        operating_system=str(info.get("OperatingSystem") or ""),
        kernel=str(info.get("KernelVersion") or ""),
        architecture=str(info.get("Architecture") or ""),
    )
