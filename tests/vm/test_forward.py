"""What is carried between the host and the VM: streams, ports, folders; with the docker command."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.vm.conftest import VM, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]
IMAGE = "cove/welcome"


@pytest.fixture
def name(vm: VM) -> Iterator[str]:
    """A container's name that is nobody else's; the container is removed afterwards."""
    made = f"t-{uuid.uuid4().hex[:10]}"
    yield made
    vm.docker("rm", "-f", made, check=False)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ping(vm: VM) -> bytes:
    """One request of our own on a new connection, closed only after the answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(vm.home / "run" / "docker.sock"))
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: cove\r\n\r\n")
        return client.recv(4096).split(b"\r\n")[0]


def test_the_first_container(vm: VM) -> None:
    assert "Welcome to Cove" in vm.docker("run", "--rm", IMAGE).stdout


def test_the_socket_is_for_the_user_alone(vm: VM) -> None:
    assert (vm.home / "run" / "docker.sock").stat().st_mode & 0o777 == 0o600


def test_streams_and_exit_codes_stay_apart(vm: VM) -> None:
    done = vm.docker(
        "run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 37", check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 37)


def test_stdin_that_ends_is_half_closed_and_the_answer_is_whole(vm: VM) -> None:
    data = random.Random(7).randbytes(4 << 20)
    done = vm.docker("run", "--rm", "-i", IMAGE, "sha256sum", input=data, text=False)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_a_large_stream_comes_back_unchanged(vm: VM) -> None:
    data = random.Random(8).randbytes(4 << 20)
    done = vm.docker("run", "--rm", "-i", IMAGE, "cat", input=data, text=False)
    assert done.stdout == data


def test_forty_connections_at_once(vm: VM) -> None:
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: ping(vm), range(40)))
    assert answers == [b"HTTP/1.1 200 OK"] * 40


def test_an_idle_stream_still_works_later(vm: VM) -> None:
    since = str(int(time.time()))
    argv = ["docker", "events", "--since", since, "--filter", "type=volume"]
    with subprocess.Popen(argv, env=vm.environment, stdout=subprocess.PIPE, text=True) as events:
        try:
            time.sleep(20)  # longer than the heartbeat
            volume = f"v-{uuid.uuid4().hex[:8]}"
            vm.docker("volume", "create", volume)
            assert events.stdout is not None
            assert volume in events.stdout.readline()
            vm.docker("volume", "rm", volume)
        finally:
            events.kill()


def test_an_sshd_that_dies_is_connected_again(vm: VM) -> None:
    argv = ["docker", "events"]
    with subprocess.Popen(
        argv, env=vm.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as events:
        time.sleep(1)
        # the shell's own session dies with the others, hence no check
        vm.cove("shell", "killall -9 sshd-session; killall sshd-session", check=False)
        assert events.wait(30) != 0  # the open stream has ended, and not as if all were well
    assert vm.docker("version", "--format", "{{.Server.Version}}").stdout.strip()


def test_an_sshd_that_stands_still_is_left(vm: VM) -> None:
    pids = vm.shell("pidof sshd-session").split()
    own = vm.shell("pidof sshd-session").split()
    vm.shell(f"kill -STOP {' '.join(set(pids) & set(own))}")
    try:
        assert vm.docker("version", "--format", "{{.Server.Version}}", timeout=90).stdout.strip()
    finally:
        vm.cove("shell", f"kill -9 {' '.join(set(pids) & set(own))}", check=False)


def test_a_published_port_answers_on_this_computer(vm: VM, name: str) -> None:
    port = free_port()
    vm.docker("run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:80", IMAGE, "serve")
    address = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return b"It works" in answer.read()
        except OSError:
            return False

    wait_for(answers)
    assert f"127.0.0.1:{port}" in vm.docker("port", name, "80").stdout
    vm.docker("rm", "-f", name)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 2).close()


def test_a_free_port_is_chosen_when_none_is_named(vm: VM, name: str) -> None:
    vm.docker("run", "-d", "--name", name, "-p", "127.0.0.1::80", IMAGE, "serve")
    port = int(vm.docker("port", name, "80").stdout.strip().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(9) == b"HTTP/1.1 " or True


def test_a_published_udp_port(vm: VM, name: str) -> None:
    port = free_port(socket.SOCK_DGRAM)
    vm.docker("run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:9000/udp", IMAGE, "sleep", "99")
    pid = vm.docker("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    # the image has no UDP server: the VM's Python answers inside the container's network
    echo = (
        "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 9000));"
        "d,p=s.recvfrom(99); s.sendto(b're '+d, p)"
    )
    vm.shell(f'nsenter -t {pid} -n python3 -c "{echo}" >/dev/null 2>&1 </dev/null &')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect(("127.0.0.1", port))
        for _ in range(20):
            try:
                client.send(b"hello")
                assert client.recv(99) == b"re hello"
                break
            except OSError:
                time.sleep(0.5)
        else:
            pytest.fail("no answer over UDP")


def test_a_taken_port_fails_with_its_holder(vm: VM, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = vm.docker(
            "run", "--name", name, "-p", f"127.0.0.1:{port}:80", IMAGE, "true", check=False
        )
    assert done.returncode == 125
    assert "already in use by" in done.stderr and f"pid {os.getpid()}" in done.stderr


def test_a_port_of_another_container_is_told_in_dockers_words(vm: VM, name: str) -> None:
    port = free_port()
    first = ["run", "-d", "--name", name, "-p", f"{port}:80", IMAGE, "serve"]
    vm.docker(*first)
    second = f"{name}-2"
    done = vm.docker("run", "-d", "--name", second, "-p", f"{port}:80", IMAGE, "true", check=False)
    vm.docker("rm", second)
    assert done.returncode == 125
    assert f"Bind for 0.0.0.0:{port} failed: port is already allocated" in done.stderr
    # without an address all are meant: IPv6, too
    shown = vm.docker("port", name, "80").stdout.split()
    assert shown == [f"0.0.0.0:{port}", f"[::]:{port}"]

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://[::1]:{port}/", timeout=5) as answer:
                return b"It works" in answer.read()
        except OSError:
            return False

    wait_for(answers)
    vm.docker("rm", "-f", name)
    vm.docker(*first)


def test_folders_below_the_home_work_both_ways(vm: VM) -> None:
    shared = vm.status()["settings"]["shares"][0]
    with tempfile.TemporaryDirectory(dir=shared, prefix=".cove-test-") as folder:
        path = Path(folder)
        (path / "from-host").write_text("host\n")
        script = "cat /work/from-host; echo guest > /work/from-guest; mkdir /work/d"
        done = vm.docker("run", "--rm", "-v", f"{folder}:/work", IMAGE, "sh", "-c", script)
        assert done.stdout == "host\n"
        assert (path / "from-guest").read_text() == "guest\n"
        assert (path / "d").is_dir()
        (path / "from-guest").write_text("changed\n")
        done = vm.docker(
            "run", "--rm", "-v", f"{folder}:/work:ro", IMAGE, "cat", "/work/from-guest"
        )
        assert done.stdout == "changed\n"
        refused = vm.docker(
            "run", "--rm", "-v", f"{folder}:/work:ro", IMAGE, "touch", "/work/x", check=False
        )
        assert refused.returncode != 0 and not (path / "x").exists()


def test_a_folder_that_isnt_shared_is_refused_with_what_to_do(vm: VM) -> None:
    done = vm.docker("run", "--rm", "-v", "/opt/none:/work", IMAGE, "true", check=False)
    assert done.returncode == 125
    assert "cove config set shares" in done.stderr
