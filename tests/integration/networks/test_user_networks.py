"""User networks by the docker CLI: made, joined, left, shown, removed; who reaches whom."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from tests.integration.networks.conftest import Site
from tests.support.machine import MACHINE, OUTSIDE

pytestmark = pytest.mark.root


def test_create_inspect_list_remove(clean_site: Site) -> None:
    site = clean_site
    made = site.docker(
        "network", "create", "--subnet", "10.88.0.0/24", "--gateway", "10.88.0.254",
        "--ip-range", "10.88.0.128/25", "--aux-address", "router=10.88.0.129",
        "--label", "tier=back", "--opt", "com.docker.network.driver.mtu=1400", "shop",
    )  # fmt: skip
    (shown,) = json.loads(site.docker("network", "inspect", "shop"))
    assert shown["Id"] == made
    assert shown["IPAM"]["Config"] == [
        {
            "Subnet": "10.88.0.0/24",
            "IPRange": "10.88.0.128/25",
            "Gateway": "10.88.0.254",
            "AuxiliaryAddresses": {"router": "10.88.0.129"},
        }
    ]
    assert (shown["Driver"], shown["Scope"], shown["Labels"]) == (
        "bridge",
        "local",
        {"tier": "back"},
    )
    run = (
        "run",
        "--rm",
        "--network",
        "shop",
        "busybox",
        "sh",
        "-c",
        "ip -o addr; ip link; ip route",
    )
    inside = site.docker(*run)
    assert "inet 10.88.0.128/24" in inside
    assert "mtu 1400" in inside
    assert "default via 10.88.0.254" in inside
    listed = site.docker("network", "ls", "--filter", "label=tier=back", "--format", "{{.Name}}")
    assert listed == "shop"
    assert site.docker("network", "ls", "-q", "--no-trunc", "--filter", "name=sho") == made
    assert f"br-{made[:12]}" in site.interfaces()
    assert site.docker("network", "rm", "shop") == "shop"
    assert f"br-{made[:12]}" not in site.interfaces()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("create", "bridge"), "operation is not permitted on predefined bridge network"),
        (("create", "--subnet", "172.17.5.0/24", "x"), "Pool overlaps with other one on this addr"),
        (("create", "-d", "nope", "x"), 'plugin "nope" not found'),
        (("rm", "host"), "host is a pre-defined network and cannot be removed"),
        (("rm", "x"), "network x not found"),
        (("connect", "x", "y"), "network x not found"),
        (("inspect", "x"), "network x not found"),
    ],
)
def test_refusals(clean_site: Site, args: tuple[str, ...], words: str) -> None:
    refused = clean_site.engine.docker("network", *args, check=False)
    assert refused.returncode == 1
    assert words in refused.stderr


def test_networks_are_apart(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    site.docker("network", "create", "one")
    site.docker("network", "create", "--internal", "inner")
    site.docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "shy")
    bridge, one = site.web("-p", "18080:8000"), site.web("--network", "one", text="one")
    inner, shy = site.web("--network", "inner"), site.web("--network", "shy")
    run = ("run", "--rm", "--network")
    at = {name: f"http://{site.address(c, name)}:8000" for name, c in
          (("bridge", bridge), ("one", one), ("inner", inner), ("shy", shy))}  # fmt: skip
    with world.serving(world.outside, "outside", 8080):
        out = f"http://{OUTSIDE}:8080"

        def gets(network: str, url: str) -> str:
            script = f"timeout 1 wget -qO- {url}; true"
            return site.docker(*run, network, "busybox", "sh", "-c", script)

        assert gets("one", at["one"]) == "one"
        assert gets("one", out) == "outside"
        assert gets("inner", at["inner"]) == "hello"
        assert gets("shy", out) == "outside"
        # by the machine's address a published port is everyone's
        assert gets("one", f"http://{MACHINE}:18080") == "hello"
        for network, url in (
            ("one", at["bridge"]),
            ("bridge", at["one"]),
            ("shy", at["shy"]),
            ("inner", out),
            ("bridge", at["inner"]),
        ):
            assert "hello" not in gets(network, url)
    assert world.fetch(world.outside, at["one"]) == ""


def test_running_containers_join_and_leave(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    site.docker("network", "create", "--subnet", "10.89.0.0/24", "side")
    web = site.web("--name", "web", "-p", "18080:8000")
    site.docker("network", "connect", "--ip", "10.89.0.77", "--alias", "shop", "side", "web")
    shown = json.loads(site.docker("network", "inspect", "side"))[0]["Containers"]
    assert shown[web]["IPv4Address"] == "10.89.0.77/24"
    assert shown[web]["Name"] == "web"
    wget = ("run", "--rm", "--network", "side", "busybox", "wget", "-qO-", "http://10.89.0.77:8000")
    assert site.docker(*wget) == "hello"
    taken = site.engine.docker(
        "run", "--rm", "--network", "side", "--ip", "10.89.0.77", "busybox", "true", check=False
    )
    assert "Address already in use" in taken.stderr
    used = site.engine.docker("network", "rm", "side", check=False)
    assert 'has active endpoints (name:"web" id:"' in used.stderr
    # the published port follows when the network that it came by is left
    site.docker("network", "disconnect", "bridge", "web")
    assert world.fetch(world.outside, f"http://{MACHINE}:18080") == "hello"
    assert "eth0" not in site.docker("exec", "web", "ip", "-o", "link")
    site.docker("network", "disconnect", "side", "web")
    again = site.engine.docker("network", "disconnect", "side", "web", check=False)
    assert "is not connected to network side" in again.stderr
    site.docker("network", "rm", "side")


def test_several_networks_and_the_way_out(clean_site: Site) -> None:
    site = clean_site
    site.docker("network", "create", "--subnet", "10.90.1.0/24", "aaa")
    site.docker("network", "create", "--subnet", "10.90.2.0/24", "bbb")
    run = ("run", "-d", "--network", "bbb", "--network", "aaa", "busybox", "sleep", "60")
    both = site.docker(*run)
    assert "default via 10.90.1.1" in site.docker("exec", both, "ip", "route")
    preferred = site.docker(
        "run", "-d", "--network", "aaa", "--network", "name=bbb,gw-priority=5",
        "busybox", "sleep", "60",
    )  # fmt: skip
    assert "default via 10.90.2.1" in site.docker("exec", preferred, "ip", "route")


def test_static_address_and_hardware_address(clean_site: Site) -> None:
    site = clean_site
    site.docker("network", "create", "--subnet", "10.91.0.0/24", "fixed")
    shown = site.docker(
        "run", "--rm", "--network", "fixed", "--ip", "10.91.0.50",
        "--mac-address", "02:00:00:00:00:99", "busybox", "ip", "-o", "addr", "show", "eth0",
    )  # fmt: skip
    assert "10.91.0.50/24" in shown


def test_both_versions_of_ip(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    site.docker("network", "create", "--ipv6", "--subnet", "fd77:1::/64", "six")
    web = site.web("--network", "six", "-p", "18080:8000")
    shown = json.loads(site.docker("network", "inspect", "six"))[0]
    assert shown["EnableIPv6"] is True
    assert shown["Containers"][web]["IPv6Address"] == "fd77:1::2/64"
    assert site.docker("port", web).splitlines() == [
        "8000/tcp -> 0.0.0.0:18080",
        "8000/tcp -> [::]:18080",
    ]
    assert world.fetch(world.outside, "http://[fd99::1]:18080") == "hello"
    out = site.docker("exec", web, "ping", "-6", "-c1", "-W2", "fd99::9", check=False)
    assert "1 packets received" in out


def test_prune_and_events(clean_site: Site) -> None:
    site = clean_site
    with closing(site.engine.client()) as client:
        with closing(client.events(decode=True, filters={"type": "network"})) as events:
            site.docker("network", "create", "idle")
            site.docker("network", "create", "busy")
            site.docker("run", "-d", "--name", "bb", "--network", "busy", "busybox", "sleep", "60")
            pruned = site.docker("network", "prune", "-f")
            seen = [next(events)["Action"] for _ in range(4)]
    assert pruned.splitlines() == ["Deleted Networks:", "idle"]
    assert seen == ["create", "create", "connect", "destroy"]
