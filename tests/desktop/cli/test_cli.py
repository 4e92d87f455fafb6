"""The `cove` command: what it prints where, and its exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop.agent.protocol import Status
from desktop.cli import context, logs, report
from desktop.cli.main import main
from desktop.cli.progress import Printer
from desktop.failure import Failure
from desktop.paths import Home
from desktop.vm.states import Progress, Requirement, State

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="cc", dir="/tmp") as folder:
        monkeypatch.setenv("COVE_HOME", folder)
        yield Home(Path(folder))


@pytest.mark.parametrize(
    "argv, code, told",
    [
        (["status"], 0, "stopped"),
        (["stop"], 0, "isn't running"),
        (["config", "list"], 0, "disk = 64G"),
        (["config", "get", "disk"], 0, "64G"),
        (["config", "set", "disk", "80G"], 0, "disk = 80G"),
        (["config", "get", "colour"], 3, "cpus, memory, disk, shares"),
        (["config", "set", "memory", "lots"], 3, "a number and a unit"),
        (["config", "set", "shares", "/nowhere/at/all"], 3, "doesn't exist"),
        (["config", "set", "cpus"], 2, "Missing argument"),
        (["fly"], 2, "No such command"),
        (["status", "--yaml"], 2, "No such option"),
        (["pause"], 1, "cove start"),
        (["shell"], 1, "cove start"),
        (["shell", "-h"], 0, "Open a shell in the VM"),
        (["shell", "df", "-h", "/"], 1, "cove start"),
        (["logs", "agent"], 1, "no log"),
        (["logs", "kernel"], 2, "console"),
        (["--version"], 0, "cove 0."),
    ],
)
def test_commands_without_an_agent(
    home: Home, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, told: str
) -> None:
    assert main(argv) == code
    out, err = capsys.readouterr()
    assert told in (err if code else out)
    assert not (out if code else err)


def test_status_for_programs(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "stopped"
    assert told["docker_socket"] == str(home.docker_socket)


def test_a_home_too_long_for_a_socket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / ("z" * 100)
    monkeypatch.setenv("COVE_HOME", str(long))
    for command in ("start", "status", "stop"):
        assert main([command]) == 3
        assert "too long for a socket" in capsys.readouterr().err
    assert not long.exists()


def test_broken_settings_are_told_everywhere(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.settings_file.write_text('{"memory": 5}')
    for argv in (["config", "list"], ["config", "set", "disk", "90G"]):
        assert main(argv) == 3
        assert "settings.json" in capsys.readouterr().err
    assert main(["status"]) == 0


def test_reset_asks_first(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    home.create()
    home.disk.write_bytes(b"x")
    assert main(["reset"]) == 130
    assert home.disk.exists()
    assert main(["reset", "--yes"]) == 0
    assert not home.disk.exists()
    assert "Removed" in capsys.readouterr().out


def test_diagnose_reports_whatever_is_broken(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVE_IMAGE", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    home.settings_file.write_text("[")
    assert main(["diagnose"]) == 1
    told = capsys.readouterr().out
    for words in ("QEMU is missing", "VM image is missing", "settings.json", "GB free"):
        assert words in told
    assert main(["diagnose", "--json"]) == 1
    checks = {each["name"]: each["ok"] for each in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["room"] and not checks["image"]


def test_a_start_without_an_image_fails_and_leaves_nothing_running(home: Home) -> None:
    environment = os.environ | {"COVE_IMAGE": "/nowhere", "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "-m", "desktop", "start"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        cwd="/",
    )
    assert done.returncode == 4
    assert "/nowhere/manifest.json" in done.stderr and "scripts/build-vm" in done.stderr
    status = subprocess.run(
        [sys.executable, "-m", "desktop", "stop"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert status.returncode == 0
    assert not home.agent_socket.exists()


def test_progress_prints_each_step_once(capsys: pytest.CaptureFixture[str]) -> None:
    def status(state: State, *steps: Progress, notices: tuple[str, ...] = ()) -> Status:
        requirements = tuple(
            Requirement(str(n), f"Step {n}", each, 1.5 if each is Progress.DONE else None)
            for n, each in enumerate(steps)
        )
        return Status(state, requirements, notices=notices)

    done, waiting, running = Progress.DONE, Progress.WAITING, Progress.RUNNING
    with Printer() as printer:
        printer.update(status(State.STOPPING, done, done))
        printer.update(status(State.STOPPED, done, done))
        printer.update(status(State.PREPARING, waiting, waiting))
        printer.update(status(State.BOOTING, running, waiting))
        printer.update(status(State.BOOTING, done, running, notices=("Slow.",)))
        printer.update(status(State.RUNNING, done, done, notices=("Slow.",)))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["!", "Slow."],
        ["✓", "Step", "0"],
        ["✓", "Step", "1"],
    ]


def test_status_as_text_tells_a_failure() -> None:
    failure = Failure("It broke.", "Because.", "Do this.").to_record()
    text = report.as_text(Status(State.FAILED, failure=failure, docker_socket="/s"))
    assert "failed" in text and "Do this." in text
    assert [report.duration(s) for s in (5, 300, 7300, 100000)] == [
        "5 s",
        "5 min",
        "2 h 1 min",
        "1 d 3 h",
    ]


def test_the_docker_context(home: Home, tmp_path: Path) -> None:
    assert "docker context use cove" in context.ensure(home, tmp_path)
    assert context.endpoint(tmp_path) == home.docker_host
    assert context.ensure(home, tmp_path) == ""
    assert not (tmp_path / "config.json").exists()  # what is the default stays it
    other = Home(tmp_path / "other")
    other.create()
    assert "docker context use" in context.ensure(other, tmp_path)  # the first has no socket
    other.docker_socket.touch()
    assert "stays" in context.ensure(home, tmp_path)
    context.remove(home, tmp_path)
    assert context.endpoint(tmp_path) == other.docker_host
    context.remove(other, tmp_path)
    assert context.endpoint(tmp_path) == ""


def test_logs(home: Home) -> None:
    home.create()
    home.console_log.write_text("cove: kernel ok\r\nengine: one\nengine: two\nlast")
    assert list(logs.read(home, "engine", follow=False, count=None)) == ["one", "two"]
    assert list(logs.read(home, "console", follow=False, count=2)) == ["engine: two", "last"]
    follower = logs.read(home, "console", follow=True, count=1)
    assert next(follower) == "engine: two"
    with home.console_log.open("a") as file:
        file.write(" words\nmore\n")
    assert [next(follower), next(follower)] == ["last words", "more"]
    home.console_log.write_text("new\n")  # another boot
    assert next(follower) == "new"
