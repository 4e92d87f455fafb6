"""Facts of the machine, as far as any Linux has them."""

import os

from engine import system


def test_machine():
    machine = system.machine()
    assert machine.kernel == os.uname().release
    assert machine.cpus >= 1
    assert machine.memory > 1 << 26
    assert machine.go_architecture in ("amd64", "arm64", machine.architecture)
    assert machine.cgroup_version in (1, 2)


def test_file_system_of_a_folder():
    assert system.backing_file_system("/proc") == "proc"
    assert system.backing_file_system("/proc/sys/../self") == "proc"


def test_tool_versions(tmp_path):
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho 'tool version 1.2.3'\necho 'commit: abcdef'\n")
    tool.chmod(0o755)
    assert system.tool_version(str(tool)) == ("1.2.3", "abcdef")
    assert system.tool_version(str(tmp_path / "missing")) == ("", "")
