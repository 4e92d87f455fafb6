"""Containers with a user namespace are containers like any other: files, names, ports, copies."""

from __future__ import annotations

import io
import tarfile
import urllib.request
from collections.abc import Iterator

import pytest

from tests.vm.conftest import VM, wait_for
from tests.vm.isolation.conftest import IMAGE, Box, new_name, start

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
ENHANCED = ("--security-opt", "cove.isolation=enhanced")


@pytest.fixture(scope="module")
def pair(running: VM) -> Iterator[tuple[Box, Box]]:
    """A box with a volume that serves a page in a network of its own, and another beside it."""
    name = new_name()
    running.docker("network", "create", name)
    running.docker("volume", "create", name)
    common = (*ENHANCED, "--network", name, "-v", f"{name}:/v")
    server = start(running, *common, "-p", "127.0.0.1::80", "--restart", "always")
    server.sh("echo hello > /tmp/index.html; httpd -p 80 -h /tmp")
    made = (server, start(running, *common))
    yield made
    running.docker("rm", "-f", *(box.name for box in made))
    running.docker("volume", "rm", name)
    running.docker("network", "rm", name)


def test_names_and_ports(running: VM, pair: tuple[Box, Box]) -> None:
    server, other = pair
    assert other.sh(f"wget -qO- http://{server.name}/") == "hello\n"
    address = running.docker("port", server.name, "80").stdout.split()[0]
    with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
        assert answer.read() == b"hello\n"


def test_a_volume_of_two_containers_with_different_ids(running: VM, pair: tuple[Box, Box]) -> None:
    first, second = pair
    ranges = [box.sh("cat /proc/self/uid_map").split()[1] for box in pair]
    assert ranges[0] != ranges[1]
    first.sh("echo x > /v/root; echo y > /v/user; chown 1000:100 /v/user; chmod 600 /v/root")
    assert second.sh("stat -c '%u %g' /v/root /v/user; cat /v/root") == "0 0\n1000 100\nx\n"
    where = running.docker("inspect", "-f", "{{(index .Mounts 0).Source}}", first.name).stdout
    assert running.shell(f"stat -c '%u %g' {where.strip()}/*").split() == ["0", "0", "1000", "100"]


def test_owners_in_copies_and_images(running: VM, pair: tuple[Box, Box]) -> None:
    _, box = pair
    box.sh("mkdir /d; echo u > /d/u; chown -R 1000:2000 /d")
    copied = running.docker("cp", f"{box.name}:/d", "-", text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(copied)) as tar:
        assert {(member.uid, member.gid) for member in tar} == {(1000, 2000)}
    image = f"{box.name}:made"
    running.docker("commit", box.name, image)
    try:
        argv = ("run", "--rm", image, "stat", "-c", "%u %g", "/d/u", "/bin/busybox")
        assert running.docker(*argv).stdout == "1000 2000\n0 0\n"
    finally:
        running.docker("rmi", image)


def test_a_kill_of_the_engine(running: VM, pair: tuple[Box, Box]) -> None:
    first, second = pair
    before = second.sh("cat /proc/self/uid_map")
    running.shell("kill -9 $(cat /var/lib/cove/engine/engine.lock)")
    wait_for(lambda: running.docker("version", check=False).returncode == 0)
    assert second.sh("cat /proc/self/uid_map; cat /v/root") == f"{before}x\n"
    running.docker("restart", "-t", "0", second.name)
    assert second.sh("cat /proc/self/uid_map; cat /v/root") == f"{before}x\n"
    assert "hello" in second.sh(f"wget -qO- http://{first.name}/")


def test_a_terminal_and_streams_that_are_opened_again(running: VM) -> None:
    script = "echo out > /dev/stdout; echo err > /dev/stderr"
    done = running.docker("run", "--rm", *ENHANCED, IMAGE, "sh", "-c", script)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    argv = ("run", "--rm", "-t", *ENHANCED, IMAGE, "sh", "-c", "stat -c %u $(tty)")
    assert running.docker(*argv).stdout.strip() == "0"
