"""The engine ends, is killed or finds the machine changed: networks go on or are mended."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.integration.networks.conftest import Site
from tests.support.machine import MACHINE
from tests.support.native import new_engine

pytestmark = pytest.mark.root


def test_a_connection_outlives_a_killed_engine(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    echo = "while true; do nc -l -p 7000 -e cat; done"
    site.docker("run", "-d", "--name", "echo", "-p", "17000:7000", "busybox", "sh", "-c", echo)
    site.docker("network", "create", "kept")
    site.web("--name", "web", "--network", "kept", "-p", "18080:8000")
    talk = subprocess.Popen(
        ["nsenter", f"--net={world.outside}", "busybox", "nc", MACHINE, "17000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert talk.stdin and talk.stdout
    with talk:
        try:
            talk.stdin.write(b"before\n")
            talk.stdin.flush()
            assert talk.stdout.readline() == b"before\n"
            site.restart(kill=True)
            talk.stdin.write(b"after\n")
            talk.stdin.flush()
            assert talk.stdout.readline() == b"after\n"
        finally:
            talk.kill()
    assert world.fetch(world.outside, f"http://{MACHINE}:18080") == "hello"
    # what they have is still theirs
    args = ("run", "--rm", "-p", "18080:80", "busybox", "true")
    assert "port is already allocated" in site.docker(*args, check=False)
    other = site.docker("run", "-d", "--network", "kept", "busybox", "sleep", "60")
    assert site.address(other, "kept") != site.address("web", "kept")
    members = json.loads(site.docker("network", "inspect", "kept"))[0]["Containers"]
    assert sorted(one["Name"] for one in members.values())[-1] == "web"
    assert len(members) == 2
    site.docker("rm", "-f", "web", "echo", other)
    assert world.fetch(world.outside, f"http://{MACHINE}:18080") == ""
    site.docker("run", "--rm", "-p", "18080:80", "busybox", "true")


def test_what_died_meanwhile_is_swept(clean_site: Site) -> None:
    site = clean_site
    before = site.settled()
    site.docker("run", "-d", "-p", "18080:80", "busybox", "sleep", "2")
    site.restart(kill=True)
    assert site.settled() == before
    site.docker("run", "--rm", "-p", "18080:80", "busybox", "true")


def test_a_bridge_and_rules_removed_by_hand_are_mended(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    site.docker("network", "create", "hand")
    site.web("--network", "hand", "-p", "18080:8000")
    world.sh(world.machine, "ip link del cove0; nft flush ruleset")
    site.web("-p", "18081:8000")
    assert world.fetch(world.outside, f"http://{MACHINE}:18081") == "hello"
    assert world.fetch(world.outside, f"http://{MACHINE}:18080") == "hello"


def test_nobody_elses_rules_are_touched(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    world.sh(
        world.machine,
        "nft add table ip mine; nft add chain ip mine c; nft add rule ip mine c counter drop",
    )
    try:
        before = world.sh(world.machine, "nft list table ip mine")
        site.docker("run", "--rm", "-p", "18080:80", "busybox", "true")
        site.docker("network", "create", "tmp")
        site.restart(kill=False)
        site.docker("network", "rm", "tmp")
        assert world.sh(world.machine, "nft list table ip mine") == before
    finally:
        world.sh(world.machine, "nft delete table ip mine")


def test_two_engines_side_by_side(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    second = new_engine()
    try:
        world.inside(second.start)
        second.seed()
        site.docker("run", "-d", "--name", "aa", "-p", "18080:80", "busybox", "sleep", "60")
        refused = second.docker("run", "--rm", "-p", "18080:80", "busybox", "true", check=False)
        assert "address already in use" in refused.stderr
        shown = json.loads(second.docker("network", "inspect", "bridge").stdout)[0]
        assert shown["IPAM"]["Config"][0]["Subnet"] == "172.18.0.0/16"
        name = shown["Options"]["com.docker.network.bridge.name"]
        assert name.startswith("cv-")
        assert {"cove0", name} <= site.interfaces()
        second.stop()
        # an engine that ends with nothing running leaves nothing, and only its own
        assert name not in site.interfaces()
        tables = world.sh(world.machine, "nft list tables").splitlines()
        assert tables == ["table inet cove"]
    finally:
        second.clean()
