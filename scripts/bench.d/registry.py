"""Pull and push at registries on loopback, and the engine's memory while it pulls.

Beside each stand its floors: the plain programs on the same bytes. With --peer URL the same work
is done by another engine, too; it must reach this machine's loopback.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from isal import isal_zlib

from tests.support.docker_registry import Registry, start_registry
from tests.support.native import NativeEngine, new_engine

LAYERS = 4
BLOCK = 1 << 20
REPOSITORY = "bench/big"
OCI = "application/vnd.oci.image."


def sh(line: str, **environment: str) -> float:
    """Run a line of shell; how many seconds it took."""
    started = time.perf_counter()
    subprocess.run(line, shell=True, check=True, env={**os.environ, **environment})
    return time.perf_counter() - started


def row(name: str, *figures: str) -> None:
    print(f"{name:24}" + "".join(f"{figure:>16}" for figure in figures), flush=True)


class Writer:
    """Writes an image into a registry by hand, so that no engine had it before."""

    def __init__(self, registry: Registry) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=60)

    def _ask(self, method: str, path: str, body: object = b"", kind: str = "") -> str:
        headers = {"Content-Type": kind} if kind else {}
        self._connection.request(method, path, body, headers)  # type: ignore[arg-type]
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {content!r}")
        return str(answer.headers.get("Location") or "")

    def blob(self, pieces: Iterator[bytes], kind: str) -> dict[str, object]:
        """Store a blob; its descriptor."""
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                yield piece

        octets = "application/octet-stream"
        location = self._ask("POST", f"/v2/{REPOSITORY}/blobs/uploads/")
        location = self._ask("PATCH", location, counted(), octets)
        name = f"sha256:{digest.hexdigest()}"
        self._ask("PUT", f"{location}&digest={name}", b"", octets)
        return {"mediaType": OCI + kind, "digest": name, "size": size}

    def image(self, megabytes: int) -> None:
        """An image of a few layers that compress to about half."""
        diff_ids: list[str] = []
        layers = [self._layer(number, megabytes, diff_ids) for number in range(LAYERS)]
        machine = os.uname().machine.replace("x86_64", "amd64").replace("aarch64", "arm64")
        rootfs = {"type": "layers", "diff_ids": diff_ids}
        config = json.dumps({"os": "linux", "architecture": machine, "rootfs": rootfs}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}manifest.v1+json",
            "config": self.blob(iter([config]), "config.v1+json"),
            "layers": layers,
        }
        content = json.dumps(manifest).encode()
        self._ask("PUT", f"/v2/{REPOSITORY}/manifests/1", content, f"{OCI}manifest.v1+json")

    def _layer(self, number: int, megabytes: int, diff_ids: list[str]) -> dict[str, object]:
        plain = hashlib.sha256()
        packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)

        def pieces() -> Iterator[bytes]:
            for piece in tar_pieces(f"file{number}", megabytes // LAYERS):
                plain.update(piece)
                yield packer.compress(piece)
            yield packer.flush()

        descriptor = self.blob((piece for piece in pieces() if piece), "layer.v1.tar+gzip")
        diff_ids.append(f"sha256:{plain.hexdigest()}")
        return descriptor


def tar_pieces(name: str, megabytes: int) -> Iterator[bytes]:
    """A tar of one file."""
    info = tarfile.TarInfo(name)
    info.size = megabytes * BLOCK
    yield info.tobuf()
    for _ in range(megabytes):
        yield os.urandom(BLOCK // 2) + bytes(BLOCK // 2)
    yield bytes(1024)


class Memory:
    """The largest resident size of a process in a `with` block, in MB."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.idle = self.now()
        self.peak = self.idle

    def now(self) -> float:
        line = next(x for x in self._status.read_text().splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self.now())

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def pull_and_push(name: str, url: str, source: Registry, target: Registry, pid: int = 0) -> None:
    """One engine's row."""
    wanted, other = f"{source.host}/{REPOSITORY}:1", f"{target.host}/{name}:1"
    above = ""
    if pid:
        sh("docker version >/dev/null", DOCKER_HOST=url)
        time.sleep(2)
        with Memory(pid) as memory:
            pull = sh(f"docker pull -q {wanted} >/dev/null", DOCKER_HOST=url)
        above = f"{memory.peak - memory.idle:.1f}"
    else:
        pull = sh(f"docker pull -q {wanted} >/dev/null", DOCKER_HOST=url)
    sh(f"docker tag {wanted} {other}", DOCKER_HOST=url)
    push = sh(f"docker push -q {other} >/dev/null", DOCKER_HOST=url)
    sh(f"docker rmi -f {wanted} {other} >/dev/null", DOCKER_HOST=url)
    row(name, f"{pull:.2f}", f"{push:.2f}", above)


def floors(registry: Registry, out: Path) -> None:
    """The same blobs, one after another, by the plain programs."""
    blobs = sorted((registry.folder / "data").rglob("data"), key=lambda path: path.stat().st_size)
    files = " ".join(str(path) for path in blobs[-LAYERS:])
    for name, line in (
        ("sha256sum", f"sha256sum {files} >/dev/null"),
        ("gzip -t", f"for b in {files}; do gzip -t < $b; done"),
        ("tar xz", f"for b in {files}; do tar -xzf $b -C {out}; done"),
    ):
        row(f"floor: {name}", f"{sh(line):.2f}")
    row("floor: cp", "", f"{sh(f'for b in {files}; do cp $b {out}/copy; done'):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=2048, help="unpacked size of the image")
    parser.add_argument("--peer", default="", help="another engine's socket, as unix:///PATH")
    parser.add_argument("--no-floors", action="store_true", help="leave the plain programs out")
    chosen = parser.parse_args()
    if not shutil.which("docker-registry"):
        sys.exit("docker-registry is not installed")
    folder = Path(tempfile.mkdtemp(prefix="cvbench-", dir="/var/tmp"))
    engine: NativeEngine = new_engine()
    source, target = start_registry(), start_registry()
    try:
        engine.start()
        Writer(source).image(chosen.megabytes)
        row(f"{chosen.megabytes} MB", "pull s", "push s", "above idle MB")
        assert engine.process is not None
        pull_and_push("cove", engine.url, source, target, engine.process.pid)
        if chosen.peer:
            pull_and_push("peer", chosen.peer, source, target)
        if not chosen.no_floors:
            floors(source, folder)
    finally:
        engine.clean()
        source.stop()
        target.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
