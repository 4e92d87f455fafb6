"""Everything else that a container does works in a user namespace, too."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

import pytest

from tests.integration.isolation.conftest import Box, Boxes
from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


def test_exec_as_root_and_as_another(box: Box) -> None:
    assert box.sh("id -u; grep CapEff /proc/self/status") == "0\nCapEff:\t00000000a80425fb\n"
    assert box.sh("id -u; id -g", "-u", "1000:7") == "1000\n7\n"
    assert box.sh("tty; id -u", "-t").replace("\r", "") == "/dev/pts/0\n0\n"
    assert box.sh("readlink /proc/self/ns/user") == box.sh("readlink /proc/1/ns/user")


def test_standard_streams_can_be_opened_again(boxes: Boxes, engine: NativeEngine) -> None:
    script = "echo out > /dev/stdout; echo err > /dev/stderr; cat /dev/stdin"
    for flags in (("run", "--rm", "-i", "busybox"), ("exec", "-i", boxes.run().name)):
        done = engine.docker(*flags, "sh", "-c", script, input="in\n")
        assert (done.stdout, done.stderr) == ("out\nin\n", "err\n")
    detached = boxes.run(command=("busybox", "sh", "-c", "echo logged > /dev/stdout; sleep 600"))
    deadline = time.monotonic() + 10
    while engine.docker("logs", detached.name).stdout != "logged\n":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_another_user_writes_to_its_streams(engine: NativeEngine) -> None:
    script = "echo out > /dev/stdout"
    assert engine.docker("run", "--rm", "-u", "1000", "busybox", "sh", "-c", script).stdout == (
        "out\n"
    )


def test_a_terminal(engine: NativeEngine) -> None:
    script = "tty; stat -c %u $(tty); echo again > /dev/tty"
    shown = engine.docker("run", "--rm", "-t", "busybox", "sh", "-c", script).stdout
    assert shown.replace("\r", "") == "/dev/pts/0\n0\nagain\n"


def test_devices(boxes: Boxes) -> None:
    box = boxes.run("--device", "/dev/null:/dev/other")
    assert box.sh("echo x > /dev/null; head -c 2 /dev/zero | wc -c; echo x > /dev/other") == "2\n"
    assert "Operation not permitted" in box.sh("mknod /tmp/n c 1 3", check=False)


def test_network_names_and_ports(boxes: Boxes, engine: NativeEngine) -> None:
    network = boxes.name()
    engine.docker("network", "create", network)
    server = ("busybox", "sh", "-c", "echo hello > /tmp/index.html; httpd -f -p 80 -h /tmp")
    try:
        one = boxes.run("--network", network, "-p", "127.0.0.1::80", command=server)
        two = boxes.run("--network", network)
        own = one.document()["NetworkSettings"]["Networks"][network]["IPAddress"]
        assert f"Address: {own}" in two.sh(f"nslookup {one.name}")
        assert two.sh("cat /etc/resolv.conf").count("nameserver 127.0.0.11") == 1
        address = engine.docker("port", one.name, "80").stdout.strip()
        with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
            assert answer.read() == b"hello\n"
        other = boxes.name()
        engine.docker("network", "create", other)
        engine.docker("network", "connect", other, two.name)
        assert "eth1" in two.sh("ip -o addr")
        engine.docker("network", "disconnect", other, two.name)
        engine.docker("network", "rm", other)
    finally:
        engine.docker("rm", "-f", *boxes.names, check=False)
        engine.docker("network", "rm", network)


def test_the_network_is_its_own_to_change(boxes: Boxes) -> None:
    box = boxes.run("--cap-add", "NET_ADMIN", "--sysctl", "net.ipv4.ip_forward=1")
    assert box.sh("ip link add b0 type bridge && ip link del b0 && echo made") == "made\n"
    assert box.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    assert box.sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "0\n"
    assert box.sh("cat /proc/sys/net/ipv4/ping_group_range") == "0\t65535\n"


def test_domain_and_host_name(boxes: Boxes) -> None:
    box = boxes.run("--hostname", "box", "--domainname", "example.test")
    assert box.sh("hostname; cat /proc/sys/kernel/domainname") == "box\nexample.test\n"


def test_limits_hold(boxes: Boxes, engine: NativeEngine) -> None:
    box = boxes.run("-m", "32m", "--pids-limit", "30", "--ulimit", "nofile=100:200")
    assert box.sh("ulimit -n") == "100\n"
    row = json.loads(
        engine.docker("stats", "--no-stream", "--format", "{{json .}}", box.name).stdout
    )
    assert row["MemUsage"].endswith("/ 32MiB")
    engine.docker("update", "-m", "48m", "--memory-swap", "96m", box.name)
    engine.docker("pause", box.name)
    engine.docker("unpause", box.name)
    assert "sleep 600" in engine.docker("top", box.name).stdout


def test_health(boxes: Boxes) -> None:
    check = ("--health-cmd", "test $(id -u) = 0", "--health-interval", "100ms")
    box = boxes.run(*check)
    deadline = time.monotonic() + 15
    while box.document()["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_engine_restarts(boxes: Boxes, engine: NativeEngine) -> None:
    box = boxes.run("-v", "/v")
    box.sh("echo kept > /v/x")
    engine.restart(kill=True)
    assert box.sh("cat /v/x; id -u") == "kept\n0\n"
    engine.docker("stop", "-t", "0", box.name)
    assert box.document()["State"]["ExitCode"] == 137
    engine.docker("start", box.name)
    assert box.sh("cat /v/x") == "kept\n"


def test_nothing_is_left(boxes: Boxes, engine: NativeEngine) -> None:
    box = boxes.run("-v", "/v")
    id = box.document()["Id"]
    pid = engine.process.pid if engine.process else 0
    engine.docker("rm", "-fv", box.name)
    deadline = time.monotonic() + 10
    # mounts and folders go behind the answer
    while id in Path(f"/proc/{pid}/mountinfo").read_text() or list(engine.root.glob(f"*/{id}")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    shown = Path(f"/proc/{pid}/mountinfo").read_text()
    assert "idmapped" not in shown


def test_joining_a_container_joins_its_user_namespace(boxes: Boxes, engine: NativeEngine) -> None:
    first = boxes.run("--ipc", "shareable", "-v", "/v")
    first.sh("echo shared > /dev/shm/x; echo v > /v/x")
    flags = ("--network", "--ipc", "--pid")
    second = boxes.run(
        *(word for flag in flags for word in (flag, f"container:{first.name}")),
        *("--volumes-from", first.name),
    )
    ours, theirs = (one.sh("readlink /proc/self/ns/user") for one in (first, second))
    assert ours == theirs
    assert second.sh("cat /dev/shm/x /v/x; stat -c %u /v/x /dev/shm /dev/shm/x") == (
        "shared\nv\n0\n0\n0\n"
    )
    assert second.sh("kill -0 1 && echo known") == "known\n"
    assert second.sh("touch /own; stat -c %u /own") == "0\n"


def test_joining_the_other_kind_is_refused(boxes: Boxes, engine: NativeEngine) -> None:
    lax = boxes.run("--userns", "host")
    mode = ("--network", f"container:{lax.name}")
    done = engine.docker("run", "--rm", *mode, "busybox", "true", check=False)
    assert done.returncode != 0
    assert f"cannot join namespaces of container {lax.name}: it has standard" in done.stderr
    own = boxes.run()
    mode = ("--network", f"container:{own.name}")
    argv = ("run", "--rm", "--userns", "host", *mode, "busybox", "hostname")
    assert engine.docker(*argv).stdout == own.sh("hostname")


def test_the_namespaces_of_the_machine_that_may_be_shared(engine: NativeEngine) -> None:
    for flags in (("--ipc", "host"), ("--uts", "host"), ("--cgroupns", "host"), ("--init",)):
        assert engine.docker("run", "--rm", *flags, "busybox", "echo", "on").stdout == "on\n"


def test_a_failing_start_leaves_nothing(boxes: Boxes, engine: NativeEngine) -> None:
    name = boxes.name()
    done = engine.docker("run", "--name", name, "busybox", "/no/such", check=False)
    assert done.returncode == 127
    assert engine.docker("inspect", "-f", "{{.State.Status}}", name).stdout == "created\n"
