"""What is read from macOS' own tools."""

from __future__ import annotations

from desktop import macos


def test_what_the_tools_print_is_understood() -> None:
    assert macos.parse_memory_mib("25769803776\n") == 24576
    assert macos.parse_hypervisor("1\n")
    assert not macos.parse_hypervisor("0\n")
    assert macos.parse_port_holder("p812\ncnginx\nf6\n") == "nginx (pid 812)"
    assert macos.parse_port_holder("") == ""
