"""Names in user networks, asked from inside containers."""

from __future__ import annotations

import subprocess

import pytest

from tests.integration.networks.conftest import Site

pytestmark = pytest.mark.root


def found(site: Site, container: str, name: str) -> list[str]:
    """The addresses that a name has inside a container."""
    lines = site.docker("exec", container, "nslookup", name, check=False).splitlines()
    lines = [line for line in lines if line.startswith("Address:") and not line.endswith(":53")]
    return sorted({line.split()[1] for line in lines})


def sleeper(site: Site, *args: str) -> str:
    return site.docker("run", "-d", *args, "busybox", "sleep", "600")


def test_names_aliases_replicas_and_reverse(clean_site: Site) -> None:
    site = clean_site
    site.docker("network", "create", "--subnet", "10.95.0.0/24", "shop")
    one = sleeper(site, "--name", "one", "--hostname", "first", "--network", "shop",
                  "--network-alias", "web")  # fmt: skip
    sleeper(site, "--name", "two", "--network", "shop", "--network-alias", "web")
    assert site.docker("exec", "two", "cat", "/etc/resolv.conf").splitlines() == [
        "nameserver 127.0.0.11",
        "options ndots:0",
    ]
    for name in ("one", "first", one[:12], "one.shop", "ONE"):
        assert found(site, "two", name) == ["10.95.0.2"]
    assert found(site, "one", "web") == ["10.95.0.2", "10.95.0.3"]
    assert "one.shop" in site.docker("exec", "two", "nslookup", "10.95.0.2")


def test_who_is_not_in_the_network_is_not_known(clean_site: Site) -> None:
    site = clean_site
    site.docker("network", "create", "left")
    site.docker("network", "create", "right")
    sleeper(site, "--name", "inleft", "--network", "left")
    sleeper(site, "--name", "inright", "--network", "right")
    both = sleeper(site, "--name", "inboth", "--network", "left", "--network", "right")
    assert found(site, both, "inleft")
    assert found(site, both, "inright")
    assert len(found(site, "inleft", "inboth")) == 1
    assert site.docker("exec", "inleft", "nslookup", "inright", check=False).count("Address:") == 1


def test_names_follow_what_happens(clean_site: Site) -> None:
    site = clean_site
    site.docker("network", "create", "--subnet", "10.96.0.0/24", "shop")
    sleeper(site, "--name", "asker", "--network", "shop")
    sleeper(site, "--name", "late")
    before = site.docker("exec", "late", "cat", "/etc/resolv.conf")
    site.docker("network", "connect", "--alias", "joined", "shop", "late")
    assert found(site, "asker", "joined") == ["10.96.0.3"]
    assert found(site, "late", "asker") == ["10.96.0.2"]  # its resolv.conf has followed
    site.docker("rename", "late", "later")
    assert found(site, "asker", "later") == ["10.96.0.3"]
    site.docker("network", "disconnect", "shop", "later")
    assert site.docker("exec", "later", "cat", "/etc/resolv.conf") == before
    assert found(site, "asker", "later") == []
    assert "NXDOMAIN" in site.docker("exec", "asker", "nslookup", "later", check=False)


def test_names_after_a_kill_of_the_engine(clean_site: Site) -> None:
    site = clean_site
    site.docker("network", "create", "--subnet", "10.97.0.0/24", "shop")
    sleeper(site, "--name", "one", "--network", "shop")
    sleeper(site, "--name", "two", "--network", "shop", "--network-alias", "alias")
    site.restart(kill=True)
    assert found(site, "one", "alias") == ["10.97.0.3"]
    assert found(site, "two", "one") == ["10.97.0.2"]


def test_a_name_server_of_its_own_is_asked_for_the_rest(clean_site: Site) -> None:
    site = clean_site
    site.docker("network", "create", "--internal", "inner")
    sleeper(site, "--name", "shut", "--network", "inner")
    asked = site.docker("exec", "shut", "nslookup", "example.com", check=False)
    assert "SERVFAIL" in asked  # an internal network asks nobody outside
    shown = site.docker("run", "--rm", "--dns", "192.0.2.53", "busybox", "cat", "/etc/resolv.conf")
    assert shown == "nameserver 192.0.2.53"


_SERVER = """import socket
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
    server = socket.socket(socket.AF_INET, kind)
    server.bind(("0.0.0.0", 53))
    if kind == socket.SOCK_STREAM:
        server.listen()
print("bound")"""


def test_a_container_may_be_a_name_server_itself(clean_site: Site) -> None:
    site = clean_site
    site.docker("network", "create", "--subnet", "10.98.0.0/24", "shop")
    sleeper(site, "--name", "names", "--network", "shop", "-p", "18053:53/udp")
    sleeper(site, "--name", "other", "--network", "shop")
    for _ in range(2):
        pid = site.docker("inspect", "names", "-f", "{{.State.Pid}}")
        argv = ["nsenter", "-t", pid, "-n", "python3", "-c", _SERVER]
        assert subprocess.run(argv, capture_output=True, text=True).stdout == "bound\n"
        assert found(site, "names", "other") == ["10.98.0.3"]
        site.restart(kill=True)
