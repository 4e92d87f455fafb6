"""What only macOS needs, as small functions over the output of its own tools."""

from __future__ import annotations

import subprocess


def parse_memory_mib(text: str) -> int:
    """MiB from what `sysctl -n hw.memsize` prints (bytes)."""
    return int(text.strip()) // 1048576


def memory_mib() -> int:
    """The physical memory of this Mac in MiB."""
    answer = subprocess.run(
        ["/usr/sbin/sysctl", "-n", "hw.memsize"], capture_output=True, text=True, check=True
    )
    return parse_memory_mib(answer.stdout)


def parse_hypervisor(text: str) -> bool:
    """Whether `sysctl -n kern.hv_support` says that Hypervisor.framework works here."""
    return text.strip() == "1"


def hypervisor() -> bool:
    """Whether this Mac can run a VM by Hypervisor.framework (HVF)."""
    answer = subprocess.run(
        ["/usr/sbin/sysctl", "-n", "kern.hv_support"], capture_output=True, text=True, check=False
    )
    return answer.returncode == 0 and parse_hypervisor(answer.stdout)


def process_began(pid: int) -> str:
    """When a process started, as `ps` prints it; "" when there is none."""
    answer = subprocess.run(
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


def parse_port_holder(text: str) -> str:
    """`name (pid N)` from what `lsof -Fpc` prints; "" when it prints nothing."""
    words = {line[0]: line[1:] for line in text.splitlines() if line}
    return f"{words['c']} (pid {words['p']})" if {"c", "p"} <= words.keys() else ""


def port_holder(protocol: str, port: int) -> str:
    """Which program holds a port, as far as `lsof` may see it."""
    state = ["-sTCP:LISTEN"] if protocol == "tcp" else []
    answer = subprocess.run(
        ["/usr/sbin/lsof", "-nP", f"-i{protocol.upper()}:{port}", *state, "-Fpc"],
        capture_output=True,
        text=True,
        check=False,
    )
    return parse_port_holder(answer.stdout)
