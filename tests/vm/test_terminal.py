"""A terminal of a container in the VM: keys, sizes and exit codes through the forwarded socket."""

from __future__ import annotations

import time

import pytest

from tests.support.terminal import Terminal
from tests.vm.conftest import VM

pytestmark = [pytest.mark.vm, pytest.mark.timeout(300)]


def at_terminal(vm: VM, script: str) -> Terminal:
    argv = ["docker", "run", "-it", "--rm", "cove/welcome", "sh", "-c", script]
    return Terminal(argv, vm.environment | {"TERM": "xterm"}, limit=90)


def test_ctrl_c_reaches_a_trap(vm: VM) -> None:
    script = 'trap "exit 9" INT; echo go; while :; do sleep 1; done'
    with at_terminal(vm, script) as terminal:
        terminal.expect(b"go")
        terminal.type(b"\x03")
        assert terminal.wait() == 9


def test_ctrl_c_ends_a_command_of_the_shell(vm: VM) -> None:
    with at_terminal(vm, "echo go; sleep 100; exit $?") as terminal:
        terminal.expect(b"go")
        time.sleep(1)  # until the shell has started sleep
        terminal.type(b"\x03")
        assert terminal.wait() == 130


def test_the_size_follows_the_window(vm: VM) -> None:
    script = "echo go; read x; stty size; read x; stty size; exit 3"
    with at_terminal(vm, script) as terminal:
        terminal.expect(b"go")
        time.sleep(2)
        terminal.type(b"1\n")
        terminal.expect(b"30 100")
        terminal.resize(41, 77)
        time.sleep(2)
        terminal.type(b"2\n")
        terminal.expect(b"41 77")
        assert terminal.wait() == 3
