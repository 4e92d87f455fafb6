"""The Details tab: how it was made, ports, mounts, networks, environment, labels."""

from __future__ import annotations

import re
import shlex
from functools import partial
from typing import Any

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from desktop.client import parse, words
from desktop.client.rows import Container
from desktop.ui.widgets.facts import Fact, Section

_SECRET = re.compile(r"PASS|SECRET|TOKEN|(^|_)KEY|CREDENTIAL", re.IGNORECASE)


def open_url(url: str) -> None:
    """Open an address in the browser."""
    QDesktopServices.openUrl(QUrl(url))


def sections(one: Container, value: dict[str, Any]) -> list[Section]:
    """The facts of GET /containers/{id}/json in the order that people look for them."""
    return [
        Section("Container", tuple(_general(one, value))),
        Section("Ports", tuple(_ports(one)), "No port is published."),
        Section("Mounts", tuple(_mounts(value)), "Nothing is mounted: its files go with it."),
        Section("Networks", tuple(_networks(value)), "Not on a network."),
        Section("Environment", tuple(_environment(value)), "No variables."),
        Section("Labels", tuple(_labels(value)), "No labels."),
    ]


def _general(one: Container, value: dict[str, Any]) -> list[Fact]:
    config, state = value.get("Config") or {}, value.get("State") or {}
    host = value.get("HostConfig") or {}
    command = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    facts = [
        Fact("Image", one.image),
        Fact("Command", _short(shlex.join(map(str, command))) or "–"),
        Fact("Created", words.moment(one.created)),
    ]
    started = parse.timestamp(str(state.get("StartedAt", "")))
    if started:
        facts.append(Fact("Started", words.moment(started)))
    ended = parse.timestamp(str(state.get("FinishedAt", "")))
    if ended and not one.running:
        note = "out of memory" if state.get("OOMKilled") else ""
        facts.append(Fact("Ended", words.moment(ended), note=note))
        facts.append(Fact("Exit code", str(state.get("ExitCode", ""))))
    if state.get("Error"):
        facts.append(Fact("Error", str(state["Error"])))
    policy = host.get("RestartPolicy") or {}
    if policy.get("Name") and policy["Name"] != "no":
        facts.append(Fact("Restarts", str(policy["Name"])))
    if config.get("User"):
        facts.append(Fact("User", str(config["User"])))
    if config.get("WorkingDir"):
        facts.append(Fact("Folder", str(config["WorkingDir"])))
    if host.get("NanoCpus"):
        facts.append(Fact("CPU limit", f"{host['NanoCpus'] / 1e9:g} cores"))
    if host.get("Memory"):
        facts.append(Fact("Memory limit", words.size(host["Memory"])))
    return facts


def _short(command: str) -> str:
    """A script of many lines would push the rest off the screen; Inspect has it all."""
    return command if len(command) <= 240 else command[:240] + "…"


def _ports(one: Container) -> list[Fact]:
    facts = []
    for port in one.ports:
        inside = f"{port.private}/{port.protocol}"
        if not port.public:
            facts.append(Fact(inside, "exposed, not published"))
        elif port.url:
            url = port.url
            facts.append(Fact(inside, f"localhost:{port.public}", link=partial(open_url, url)))
        else:
            facts.append(Fact(inside, f"localhost:{port.public}"))
    return facts


def _mounts(value: dict[str, Any]) -> list[Fact]:
    facts = []
    for mount in value.get("Mounts") or ():
        source = mount.get("Name") if mount.get("Type") == "volume" else mount.get("Source")
        note = f"{mount.get('Type', '')}, {'read and write' if mount.get('RW') else 'read only'}"
        name = str(mount.get("Destination", ""))
        facts.append(Fact(name, str(source or "in memory"), mono=True, note=note))
    return facts


def _networks(value: dict[str, Any]) -> list[Fact]:
    networks = (value.get("NetworkSettings") or {}).get("Networks") or {}
    facts = []
    for name, entry in networks.items():
        entry = entry or {}
        also = ", ".join(entry.get("Aliases") or entry.get("DNSNames") or ())
        facts.append(Fact(name, str(entry.get("IPAddress") or "no address"), True, also))
    return facts


def _environment(value: dict[str, Any]) -> list[Fact]:
    facts = []
    for line in (value.get("Config") or {}).get("Env") or ():
        name, _, text = str(line).partition("=")
        secret = bool(_SECRET.search(name)) and bool(text)
        facts.append(Fact(name, text, mono=True, secret=secret))
    return facts


def _labels(value: dict[str, Any]) -> list[Fact]:
    labels = (value.get("Config") or {}).get("Labels") or {}
    return [Fact(name, str(text), mono=True) for name, text in sorted(labels.items())]
