"""The pure parts of PID 1: settings, network requests, services, the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cove_init import console, mounts, network, power, services, settings


def test_console_lines_are_what_the_agent_reads(capfd: pytest.CaptureFixture[str]) -> None:
    console.ok("network", "eth0 10.0.2.15")
    console.ok("engine")
    console.failed("disk", "two\nlines", "do this")
    assert capfd.readouterr().err.splitlines() == [
        "cove: network ok eth0 10.0.2.15",
        "cove: engine ok",
        "cove: disk failed two lines | do this",
    ]


def test_shares_need_a_tag_and_an_absolute_path(capfd: pytest.CaptureFixture[str]) -> None:
    assert settings.valid_share({"tag": "share0", "path": "/home/me", "type": "9p"})
    assert not settings.valid_share({"tag": "share0", "path": "home"})
    assert not settings.valid_share({"path": "/home"})
    assert not settings.valid_share("share0")
    assert "left out" in capfd.readouterr().err


def test_the_engine_knows_the_host_by_the_name_that_containers_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr(settings, "write", written.__setitem__)
    settings.apply_name("box")
    assert "127.0.1.1 box\n" in written["/run/cove/hosts"]
    assert "\n10.0.2.2 host.docker.internal gateway.docker.internal\n" in written["/run/cove/hosts"]


def test_containers_together_get_less_memory_than_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts, "CGROUP", str(tmp_path))
    (tmp_path / "cgroup.controllers").write_text("memory pids\n")
    (tmp_path / "cove").mkdir()
    for name in ("cgroup.subtree_control", "cove/memory.max"):
        (tmp_path / name).touch()
    mounts.set_up_cgroups()
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = int((tmp_path / "cove/memory.max").read_text())
    assert total // 2 < limit <= total - mounts.KEPT
    assert {"engine", "services", "cove"} <= set(os.listdir(tmp_path))


def test_network_requests_have_the_kernels_sizes() -> None:
    assert len(network.request("eth0", network.address("10.0.2.15"))) == 40
    assert network.address("10.0.2.15")[4:8] == bytes((10, 0, 2, 15))
    entry = network.route("10.0.2.2")
    assert len(entry) == 120
    assert entry[24 + 4 : 24 + 8] == bytes((10, 0, 2, 2))


def test_only_a_press_of_the_power_button_counts() -> None:
    pressed = power.EVENT.pack(0, 0, power.EV_KEY, power.KEY_POWER, 1)
    released = power.EVENT.pack(0, 0, power.EV_KEY, power.KEY_POWER, 0)
    other = power.EVENT.pack(0, 0, power.EV_KEY, 30, 1)
    assert power.is_power_button(other + pressed)
    assert not power.is_power_button(released + other + pressed[:10])


def test_mount_points_are_unescaped() -> None:
    assert power.unescape("/a\\040b\\011c") == "/a b\tc"


def test_output_is_cut_into_lines(capfd: pytest.CaptureFixture[str]) -> None:
    heard: list[str] = []
    child = services.Child(1, 0, "engine: ", heard.append)
    child.take(b"ready unix")
    assert heard == []
    child.take(b":///x\r\n\nhalf")
    child.finish()
    assert heard == ["ready unix:///x", "", "half"]
    assert child.last == "half"
    assert capfd.readouterr().err.splitlines() == ["engine: ready unix:///x", "engine: half"]


SUPERVISED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from cove_init.services import Service, Supervisor
supervisor = Supervisor()
print(supervisor.run(("/bin/sh", "-c", "echo first; echo last >&2; exit 3")))
starts = []
service = Service("s", ("/bin/sh", "-c", "echo up; exit 7"), group="",
                  on_line=lambda text: starts.append(time.monotonic()))
supervisor.start(service)
while len(starts) < 3:
    supervisor.step()
print([round(b - a, 1) for a, b in zip(starts, starts[1:])])
service.wanted = False
gone = Service("gone", ("/nonexistent",), group="")
supervisor.start(gone)
print(gone.pid, supervisor.run(("/nonexistent",)))
"""


def test_services_are_started_again_with_a_growing_delay() -> None:
    folder = Path(services.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISED, str(folder)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    ran, delays, gone = done.stdout.splitlines()
    assert ran == "(3, 'last')"
    first, second = (float(part) for part in delays.strip("[]").split(","))
    assert 0.1 <= first <= second and second >= 0.2
    assert gone == "0 (127, '/nonexistent: No such file or directory')"
    assert "cove: s failed ended with exit code 7 | it is started again in 0.1 s" in done.stderr
    assert "cove: gone failed /nonexistent: No such file or directory" in done.stderr


def test_pid_1_imports_nothing_dear() -> None:
    folder = Path(services.__file__).parents[1]
    program = "import sys; sys.path.append(sys.argv[1]); import cove_init.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-ISB", "-c", program, str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    dear = {"ctypes", "dataclasses", "enum", "json", "re", "socket", "subprocess", "threading"}
    assert dear & set(done.stdout.split()) == set()
    assert os.access(folder / "init", os.X_OK)
