"""`docker run -it` at a terminal: keys, sizes and exit codes."""

from __future__ import annotations

import os
import time

import pytest

from tests.support.native import NativeEngine
from tests.support.terminal import Terminal

pytestmark = pytest.mark.root


def at_terminal(engine: NativeEngine, *words: str) -> Terminal:
    environment = os.environ | {"DOCKER_HOST": engine.url, "TERM": "xterm"}
    return Terminal(["docker", "run", "-it", "--rm", *words], environment)


def test_ctrl_c_reaches_a_trap(native_engine: NativeEngine) -> None:
    script = 'trap "exit 9" INT; echo go; while :; do sleep 1; done'
    with at_terminal(native_engine, "busybox", "sh", "-c", script) as terminal:
        terminal.expect(b"go")
        terminal.type(b"\x03")
        assert terminal.wait() == 9
        assert b"^C" in terminal.seen


@pytest.mark.parametrize("init", [(), ("--init",)])
def test_ctrl_c_ends_a_command_of_the_shell(native_engine: NativeEngine, init: list[str]) -> None:
    script = "echo go; sleep 100; exit $?"
    with at_terminal(native_engine, *init, "busybox", "sh", "-c", script) as terminal:
        terminal.expect(b"go")
        terminal.type(b"\x03")
        assert terminal.wait() == 130


def test_a_first_process_without_a_handler_ignores_ctrl_c(native_engine: NativeEngine) -> None:
    """As with dockerd: the kernel keeps signals from PID 1 that it has no handler for."""
    with at_terminal(native_engine, "--name", "deaf", "busybox", "sleep", "100") as terminal:
        deadline = time.monotonic() + 20
        while "deaf" not in native_engine.docker("ps", "--format", "{{.Names}}").stdout:
            assert time.monotonic() < deadline
        terminal.type(b"\x03")
        assert terminal.runs(0.7)
        native_engine.docker("kill", "deaf")
        assert terminal.wait() == 137


def test_the_size_follows_the_window(native_engine: NativeEngine) -> None:
    script = "read x; stty size; read x; stty size; exit 3"
    with at_terminal(native_engine, "busybox", "sh", "-c", script) as terminal:
        time.sleep(0.7)
        terminal.type(b"1\n")
        terminal.expect(b"30 100")
        terminal.resize(41, 77)
        time.sleep(0.7)
        terminal.type(b"2\n")
        terminal.expect(b"41 77")
        assert terminal.wait() == 3


def test_exec_at_a_terminal(native_engine: NativeEngine) -> None:
    native_engine.docker("run", "-d", "--name", "shell", "busybox", "sleep", "100")
    try:
        environment = os.environ | {"DOCKER_HOST": native_engine.url, "TERM": "xterm"}
        script = 'trap "exit 9" INT; echo go; while :; do sleep 1; done'
        argv = ["docker", "exec", "-it", "shell", "sh", "-c", script]
        with Terminal(argv, environment) as terminal:
            terminal.expect(b"go")
            terminal.type(b"\x03")
            assert terminal.wait() == 9
    finally:
        native_engine.docker("rm", "-f", "shell")


def test_detach_keys_leave_the_container_running(native_engine: NativeEngine) -> None:
    with at_terminal(native_engine, "--name", "left", "busybox", "sh") as terminal:
        terminal.expect(b"# ")
        terminal.type(b"\x10")
        terminal.type(b"\x11")
        assert terminal.wait() == 0
    assert "left" in native_engine.docker("ps", "--format", "{{.Names}}").stdout
    native_engine.docker("rm", "-f", "left")
