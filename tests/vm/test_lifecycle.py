"""Starting, pausing, stopping, and what survives when one of the parts dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid

import pytest

from tests.vm.conftest import VM, clean, new_vm, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
IMAGE = "cove/welcome"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_status_tells_what_runs(vm: VM) -> None:
    status = vm.status()
    assert status["state"] == "running"
    assert [each["state"] for each in status["requirements"]] == ["done"] * 7
    assert all(each["seconds"] is not None for each in status["requirements"])
    assert "running" in vm.cove("status").stdout


def test_a_second_start_has_nothing_to_do(vm: VM) -> None:
    before = vm.status()["machine_pid"]
    done = vm.cove("start")
    assert "already runs" in done.stdout
    assert vm.status()["machine_pid"] == before


def test_the_docker_context_points_here(vm: VM) -> None:
    shown = vm.docker("context", "inspect", "cove").stdout
    assert (
        json.loads(shown)[0]["Endpoints"]["docker"]["Host"] == f"unix://{vm.home}/run/docker.sock"
    )
    assert "default" in vm.docker("context", "show", env={"DOCKER_HOST": ""}).stdout


def test_shell_runs_commands_in_the_vm(vm: VM) -> None:
    assert vm.shell("hostname").strip() == "cove"
    assert vm.cove("shell", "exit 7", check=False, stdin=subprocess.DEVNULL).returncode == 7
    done = vm.cove("shell", "cat", input="to the guest")
    assert done.stdout == "to the guest"


def test_logs_hold_the_boot_and_the_engine(vm: VM) -> None:
    assert "cove: kernel ok" in vm.cove("logs", "console").stdout
    assert "ready unix://" in vm.cove("logs", "engine").stdout
    assert vm.cove("logs", "agent", "-n", "1").stdout.count("\n") == 1


def test_diagnose_finds_nothing_wrong(vm: VM) -> None:
    report = json.loads(vm.cove("diagnose", "--json").stdout)
    assert [each["name"] for each in report["checks"] if not each["ok"]] == []


def test_a_paused_vm_is_woken_by_the_docker_command(vm: VM) -> None:
    vm.cove("pause")
    assert vm.status()["state"] == "paused"
    time.sleep(3)
    assert vm.status()["state"] == "paused"
    vm.docker("ps")
    assert vm.status()["state"] == "running"
    drift = abs(float(vm.shell("date +%s")) - time.time())
    assert drift < 3


def test_containers_outlive_the_agent(vm: VM) -> None:
    name = f"t-{uuid.uuid4().hex[:10]}"
    vm.docker("run", "-d", "--name", name, IMAGE, "sleep", "1000")
    status = vm.status()
    kill(status["agent_pid"])
    wait_for(lambda: vm.status()["state"] == "failed")
    told = vm.cove("status").stdout
    assert "agent has died" in told and "cove start" in told
    vm.cove("start")
    after = vm.status()
    assert (after["state"], after["machine_pid"]) == ("running", status["machine_pid"])
    assert after["agent_pid"] != status["agent_pid"]
    assert name in vm.docker("ps", "--format", "{{.Names}}").stdout
    vm.docker("rm", "-f", name)


def test_a_killed_vm_is_told_and_starts_again_with_its_disk(vm: VM) -> None:
    volume = f"v-{uuid.uuid4().hex[:8]}"
    vm.docker("volume", "create", volume)
    vm.shell("sync")
    kill(vm.status()["machine_pid"])
    wait_for(lambda: vm.status()["state"] == "failed")
    assert "ended unexpectedly" in vm.cove("status").stdout
    vm.cove("start", "--headless")
    assert volume in vm.docker("volume", "ls", "-q").stdout
    vm.docker("volume", "rm", volume)


def test_settings_come_into_force_with_a_restart(vm: VM) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.fail("this test needs a computer with two CPUs")
    before = vm.status()["settings"]["cpus"]
    done = vm.cove("config", "set", "cpus", "1")
    assert "cove restart" in done.stdout
    vm.cove("config", "set", "memory", "1G")
    try:
        vm.cove("restart", "--headless")
        info = json.loads(vm.docker("info", "--format", "{{json .}}").stdout)
        assert info["NCPU"] == 1
        assert 900 << 20 < info["MemTotal"] <= 1 << 30
    finally:
        vm.cove("config", "set", "cpus", str(before))


def test_stop_is_clean_and_leaves_nothing(vm: VM) -> None:
    status = vm.status()
    done = vm.cove("stop")
    assert done.stderr == ""
    assert "cove: poweroff ok" in (vm.home / "logs" / "console.log").read_text()
    assert vm.status()["state"] == "stopped"
    assert not (vm.home / "run" / "docker.sock").exists()
    for pid in (status["agent_pid"], status["machine_pid"]):
        wait_for(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), 10)
    assert "isn't running" in vm.cove("stop").stdout


def test_a_boot_can_be_stopped(image: object) -> None:
    vm = new_vm()
    try:
        argv = ["start", "--headless"]
        with subprocess.Popen(
            [sys.executable, "-m", "desktop", *argv],
            env=vm.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as starting:
            wait_for(lambda: vm.status()["state"] == "booting", 30)
            vm.cove("stop")
            assert starting.wait(30) == 1
            assert starting.stderr is not None
            assert "stopped meanwhile" in starting.stderr.read()
        assert vm.status()["state"] == "stopped"
    finally:
        clean(vm)
