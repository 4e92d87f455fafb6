"""A container's networks as inspect shows them: by id, link-local addresses, before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def key(native_engine: NativeEngine) -> Iterator[str]:
    run, key = native_engine.docker, f"e{uuid4().hex[:10]}"
    for name in ("one", "two"):
        run("network", "create", f"{key}-{name}")
    yield key
    ids = run("ps", "-aq", "--filter", f"name={key}").stdout.split()
    if ids:
        run("rm", "-f", *ids)
    run("network", "rm", f"{key}-one", f"{key}-two")


def networks(engine: NativeEngine, name: str) -> dict[str, Any]:
    shown = json.loads(engine.docker("inspect", name).stdout)[0]
    found: dict[str, Any] = shown["NetworkSettings"]["Networks"]
    return found


def test_a_network_by_its_id_is_shown_by_its_name(native_engine: NativeEngine, key: str) -> None:
    run = native_engine.docker
    id = run("network", "inspect", "-f", "{{.Id}}", f"{key}-one").stdout.strip()
    for number, reference in enumerate((id, id[:12])):
        name = f"{key}-{number}"
        run("run", "-d", "--name", name, "--network", reference, "busybox", "sleep", "600")
        assert list(networks(native_engine, name)) == [f"{key}-one"]
        run("exec", name, "nslookup", f"{key}-0")


def test_names_are_known_once_it_ran(native_engine: NativeEngine, key: str) -> None:
    run, name = native_engine.docker, f"{key}-box"
    options = ("--network", f"name={key}-one,alias=al")
    run("create", "--name", name, *options, "busybox", "sleep", "600")
    assert networks(native_engine, name)[f"{key}-one"]["DNSNames"] is None
    run("start", name)
    names = networks(native_engine, name)[f"{key}-one"]["DNSNames"]
    assert names[:2] == [name, "al"] and len(names) == 3
    run("stop", "-t", "0", name)
    endpoint = networks(native_engine, name)[f"{key}-one"]
    assert (endpoint["DNSNames"], endpoint["IPAddress"]) == (names, "")


def test_link_local_addresses(native_engine: NativeEngine, key: str) -> None:
    run, name = native_engine.docker, f"{key}-box"
    local = ("--network", f"{key}-one", "--link-local-ip", "169.254.77.7")
    run("run", "-d", "--name", name, *local, "busybox", "sleep", "600")
    run("network", "connect", "--link-local-ip", "169.254.78.8", f"{key}-two", name)
    for _ in range(2):
        shown = run("exec", name, "ip", "addr").stdout
        assert "inet 169.254.77.7/16" in shown and "inet 169.254.78.8/16" in shown
        found = networks(native_engine, name)[f"{key}-two"]["IPAMConfig"]
        assert found == {"LinkLocalIPs": ["169.254.78.8"]}
        run("restart", "-t", "0", name)
    done = run("create", "--link-local-ip", "x", "busybox", check=False)
    assert done.returncode != 0
