"""What the engine tells of itself, as documents."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from engine.about import Component, Overview
from engine.api.system import info_document, routes, version_document
from engine.registry.settings import Settings
from engine.system import Limits, Machine

ALL = Limits(True, True, True, True, True, True, False)
MACHINE = Machine(
    "box", "6.12", "Debian", "13", "x86_64", "amd64", 4, 8 << 30, 2, ALL, ("name=cgroupns",)
)
OVERVIEW = Overview(
    "id", "/root", {"running": 2, "paused": 1, "stopped": 3}, 7, 0, 9, "extfs", True,
    {"crun": "/usr/bin/crun"}, "crun", "catatonit",
)  # fmt: skip
COMPONENTS = (Component("crun", "1.8", "abc"), Component("conmon", "2.1", ""))


@dataclass
class Backend:
    machine: Machine = MACHINE
    version: str = "0.1.0"
    commit: str = "c0ffee"
    built: str = "2026-01-01T00:00:00Z"

    async def components(self):
        return COMPONENTS

    async def overview(self):
        return OVERVIEW


def test_version():
    shown = version_document(Backend(), COMPONENTS)
    assert shown["ApiVersion"] == "1.51"
    assert shown["Arch"] == "amd64"
    assert [one["Name"] for one in shown["Components"]] == ["Engine", "crun", "conmon"]
    assert shown["Components"][0]["Details"]["Experimental"] == "false"


def test_info():
    shown = info_document(Backend(), OVERVIEW, COMPONENTS)
    assert (shown["Containers"], shown["ContainersRunning"], shown["Images"]) == (6, 2, 7)
    assert (shown["NCPU"], shown["MemTotal"], shown["CgroupVersion"]) == (4, 8 << 30, "2")
    assert shown["RuncCommit"] == {"ID": "abc"}
    assert shown["Warnings"] is None


@pytest.mark.parametrize(
    ("limits", "warning"),
    [
        (replace(ALL, memory=False), "WARNING: No memory limit support"),
        (replace(ALL, swap=False), "WARNING: No swap limit support"),
        (replace(ALL, cpuset=False), "WARNING: No cpuset support"),
    ],
)
def test_warnings(limits, warning):
    backend = Backend(machine=replace(MACHINE, limits=limits))
    assert info_document(backend, OVERVIEW, COMPONENTS)["Warnings"] == [warning]


def test_settings_that_are_not_followed_are_warned_of():
    overview = replace(OVERVIEW, registries=Settings(refused="daemon.json: no"))
    assert info_document(Backend(), overview, COMPONENTS)["Warnings"] == [
        "WARNING: daemon.json: no; the engine goes on without this file"
    ]


@pytest.mark.parametrize(("method", "body"), [("GET", b"OK"), ("HEAD", b"")])
async def test_ping(method, body):
    handler = next(
        one.handler for one in routes(Backend()) if (one.method, one.pattern) == (method, "/_ping")
    )
    answer = await handler(SimpleNamespace(method=method))
    assert answer.body == body
    assert answer.headers["Swarm"] == "inactive"
