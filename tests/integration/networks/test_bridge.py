"""The default bridge and published ports, seen from a container, the machine and outside."""

from __future__ import annotations

import subprocess

import pytest

from tests.integration.networks.conftest import Site
from tests.support.machine import MACHINE, OUTSIDE

pytestmark = pytest.mark.root


def test_a_container_has_an_address_and_a_way_out(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    shown = site.docker("run", "--rm", "busybox", "sh", "-c", "ip -o addr; ip route; ip link")
    assert "inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0" in shown
    assert "default via 172.17.0.1 dev eth0" in shown
    assert "02:42:ac:11:00:02" in shown
    with world.serving(world.outside, "outside", 8080):
        out = site.docker("run", "--rm", "busybox", "wget", "-qO-", f"http://{OUTSIDE}:8080/")
    assert out == "outside"


def test_a_published_port_answers_everywhere(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    web = site.web("-p", "18080:8000", "-p", "127.0.0.1:18081:8000")
    assert site.docker("port", web).splitlines() == [
        "8000/tcp -> 0.0.0.0:18080",
        "8000/tcp -> 127.0.0.1:18081",
    ]
    assert world.fetch(world.outside, f"http://{MACHINE}:18080") == "hello"
    assert world.fetch(world.machine, "http://127.0.0.1:18080") == "hello"
    assert world.fetch(world.machine, f"http://{MACHINE}:18080") == "hello"
    assert world.fetch(world.machine, "http://127.0.0.1:18081") == "hello"
    # from itself and from a neighbour, by the machine's address
    hairpin = ("timeout", "2", "wget", "-qO-", f"http://{MACHINE}:18080")
    assert site.docker("exec", web, *hairpin) == "hello"
    assert site.docker("run", "--rm", "busybox", *hairpin) == "hello"


def test_what_is_not_published_is_not_reachable(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    web = site.web("-p", "127.0.0.1:18081:8000")
    assert world.fetch(world.outside, f"http://{MACHINE}:18081") == ""
    assert world.fetch(world.outside, f"http://{site.address(web)}:8000") == ""
    world.sh(world.outside, f"ip route add 127.0.0.5 via {MACHINE}")
    assert world.fetch(world.outside, "http://127.0.0.5:18081") == ""


def test_containers_do_not_reach_the_machines_loopback(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    with world.serving(world.machine, "secret", 9000):
        # with a route the kernel would send it; the machine must not take it
        script = (
            "ip route add 127.0.0.9/32 via 172.17.0.1; timeout 1 wget -qO- 127.0.0.9:9000; true"
        )
        got = site.docker("run", "--rm", "--privileged", "busybox", "sh", "-c", script)
    assert "secret" not in got


def test_a_port_is_given_once_and_told_in_dockers_words(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    site.docker("run", "-d", "--name", "first", "-p", "18080:80", "busybox", "sleep", "60")
    args = ("run", "--name", "second", "-p", "18080:80", "busybox", "true")
    refused = site.engine.docker(*args, check=False)
    assert refused.returncode == 125
    assert "driver failed programming external connectivity on endpoint second (" in refused.stderr
    assert "Bind for 0.0.0.0:18080 failed: port is already allocated" in refused.stderr
    with world.serving(world.machine, "x", 18090):
        other = site.docker("run", "--rm", "-p", "18090:80", "busybox", "true", check=False)
    assert "failed to bind host port for 0.0.0.0:18090:172.17.0." in other
    assert ":80/tcp: address already in use" in other
    site.docker("rm", "-f", "first")
    site.docker("start", "-a", "second")


def test_ranges_and_ports_of_the_machines_choice(clean_site: Site) -> None:
    site = clean_site
    run = ("run", "-d", "busybox", "sleep", "60")
    first = site.docker(*run[:2], "-p", "18100-18101:80", *run[2:])
    second = site.docker(*run[:2], "-p", "18100-18101:80", *run[2:])
    assert site.docker("port", first, "80") == "0.0.0.0:18100"
    assert site.docker("port", second, "80") == "0.0.0.0:18101"
    third = site.docker(*run[:2], "--expose", "81", "--expose", "82/udp", "-P", *run[2:])
    ports = site.docker("port", third).splitlines()
    assert [line.split(" ")[0] for line in ports] == ["81/tcp", "82/udp"]
    assert all(32768 <= int(line.rpartition(":")[2]) <= 60999 for line in ports)


_ANSWER = """import socket, sys
server = socket.socket(2, 2)
server.bind(("0.0.0.0", 53))
print("up", flush=True)
while True:
    server.sendto(sys.argv[1].encode(), server.recvfrom(9)[1])"""
_ASK = f"""import socket
client = socket.socket(2, 2)
client.bind(("", 40001))
client.settimeout(3)
client.sendto(b"?", ("{MACHINE}", 18053))
print(client.recv(9).decode())"""


def test_udp_reaches_the_container_that_runs_now(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    for word in ("one", "two"):
        # the same source port both times: without forgetting, the second goes astray
        run = ("run", "-d", "--name", word, "-p", "18053:53/udp", "busybox", "sleep", "60")
        site.docker(*run)
        pid = site.docker("inspect", word, "-f", "{{.State.Pid}}")
        argv = ["nsenter", "-t", pid, "-n", "python3", "-c", _ANSWER, word]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout and server.stdout.readline()
                assert world.sh(world.outside, f"python3 -c '{_ASK}'") == word
            finally:
                server.kill()
        site.docker("rm", "-f", word)
        # its address goes to another
        site.docker("run", "-d", "busybox", "sleep", "60")


def test_a_stopped_container_leaves_nothing(clean_site: Site) -> None:
    site, world = clean_site, clean_site.world
    before = site.settled()
    rules = world.sh(world.machine, "nft list ruleset")
    ids = [site.docker("run", "-d", "-p", "80", "busybox", "sleep", "60") for _ in range(3)]
    assert len(site.interfaces()) == len(before) + 3
    site.docker("rm", "-f", *ids)
    world.sh(
        world.machine, "for i in $(seq 50); do ip link | grep -q ': v' || exit; sleep 0.1; done"
    )
    assert site.settled() == before
    assert world.sh(world.machine, "nft list ruleset") == rules
    assert list((site.engine.root / "run" / "netns").iterdir()) == []


def test_modes_without_a_bridge(clean_site: Site) -> None:
    site = clean_site
    assert (
        site.docker("run", "--rm", "--network", "none", "busybox", "ip", "-o", "link").count("\n")
        == 0
    )
    assert f"inet {MACHINE}/24" in site.docker(
        "run", "--rm", "--network", "host", "busybox", "ip", "-o", "addr"
    )
    site.web("--name", "origin")
    shared = ("run", "--rm", "--network", "container:origin", "busybox")
    assert site.docker(*shared, "wget", "-qO-", "127.0.0.1:8000") == "hello"
