"""Debian's `docker-registry` on loopback, with the configuration that a test wants."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Registry:
    """One `docker-registry` process."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


def start_registry(
    extra: str = "",
    files: dict[str, bytes] | None = None,
    *,
    tls: bool = False,
    clients: bool = False,
    address: str = "127.0.0.1",
) -> Registry:
    """Start a registry with more lines of configuration; `{folder}` stands for its folder.

    tls: with the files `crt` and `key`; clients: of clients that the CA in `clients` signed.
    """
    folder = Path(tempfile.mkdtemp(prefix="cvr-", dir="/var/tmp"))
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    port = free_port()
    asked = f", clientcas: [{folder}/clients]" if clients else ""
    encryption = f", tls: {{certificate: {folder}/crt, key: {folder}/key{asked}}}" if tls else ""
    lines = [
        "version: 0.1",
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}",
        f'http: {{addr: "{address}:{port}"{encryption}}}',
        "log: {level: error}",
        extra.replace("{folder}", str(folder)),
    ]
    (folder / "config.yml").write_text("\n".join(lines))
    process = subprocess.Popen(
        ["docker-registry", "serve", folder / "config.yml"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    registry = Registry(folder, port, process)
    for _ in range(200):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as probe:
            if probe.connect_ex((address.strip("[]"), port)) == 0:
                return registry
        time.sleep(0.05)
    registry.stop()
    raise RuntimeError("the registry did not start")
