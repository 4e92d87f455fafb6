"""Pull and push at a registry on loopback, and the engine's memory while it pulls.

Beside each stand its floors: the plain programs on the same bytes. With --peer URL the same work
is done by another engine, too; it must reach this machine's loopback.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from tests.support.docker_registry import Registry, start_registry
from tests.support.native import NativeEngine, new_engine

LAYERS = 4
BLOCK = 1 << 20
NAME = "bench/big:1"


def sh(line: str, **environment: str) -> float:
    """Run a line of shell; how many seconds it took."""
    started = time.perf_counter()
    subprocess.run(line, shell=True, check=True, env={**os.environ, **environment})
    return time.perf_counter() - started


def row(name: str, *figures: str) -> None:
    print(f"{name:34}" + "".join(f"{figure:>18}" for figure in figures), flush=True)


def write_layers(folder: Path, megabytes: int) -> None:
    """Tars of large files that compress to about half."""
    for number in range(LAYERS):
        root = folder / f"layer{number}"
        root.mkdir()
        with (root / f"file{number}").open("wb") as file:
            for _ in range(megabytes // LAYERS):
                file.write(os.urandom(BLOCK // 2) + bytes(BLOCK // 2))
        sh(f"tar -C {root} -cf {folder}/layer{number}.tar . && rm -r {root}")


def import_image(engine: NativeEngine, folder: Path) -> None:
    """The layers as an image in an engine: each file is one COPY's worth."""
    (folder / "Dockerfile").write_text(
        "FROM scratch\n" + "".join(f"ADD layer{number}.tar /\n" for number in range(LAYERS))
    )
    sh(
        f"docker build -q -t {NAME} {folder} >/dev/null",
        DOCKER_HOST=engine.url,
        DOCKER_BUILDKIT="0",
    )


class Memory:
    """The largest resident size of a process in a `with` block, in MB."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.idle = self.now()
        self.peak = self.idle

    def now(self) -> float:
        words = dict(
            line.split(":", 1) for line in self._status.read_text().splitlines() if ":" in line
        )
        return int(words["VmRSS"].split()[0]) / 1024

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self.now())

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def run(
    engine: NativeEngine, registry: Registry, folder: Path, peer: str, *, with_floors: bool
) -> None:
    reference = f"{registry.host}/{NAME}"
    env = {"DOCKER_HOST": engine.url}
    import_image(engine, folder)
    sh(f"docker tag {NAME} {reference}", **env)
    row("", "push s", "pull s", "above idle MB")
    push = sh(f"docker push -q {reference} >/dev/null", **env)
    sh(f"docker rmi -f {reference} {NAME} >/dev/null; docker builder prune -af >/dev/null", **env)
    engine.restart()
    assert engine.process is not None
    sh("docker images -q >/dev/null", **env)
    time.sleep(2)
    with Memory(engine.process.pid) as memory:
        pull = sh(f"docker pull -q {reference} >/dev/null", **env)
    row("cove", f"{push:.2f}", f"{pull:.2f}", f"{memory.peak - memory.idle:.1f}")
    if peer:
        pull = sh(f"docker pull -q {reference} >/dev/null", DOCKER_HOST=peer)
        sh(f"docker rmi -f {reference} >/dev/null", DOCKER_HOST=peer)
        row("peer", "", f"{pull:.2f}", "")
    if with_floors:
        floors(registry, folder)


def floors(registry: Registry, folder: Path) -> None:
    blobs = sorted((registry.folder / "data").rglob("data"), key=lambda path: path.stat().st_size)
    files = " ".join(str(path) for path in blobs[-LAYERS:])
    out = folder / "out"
    out.mkdir()
    for name, line in (
        ("sha256sum", f"sha256sum {files} >/dev/null"),
        ("gzip -t", f"for b in {files}; do gzip -t < $b; done"),
        ("tar xz", f"for b in {files}; do tar -xzf $b -C {out}; done"),
    ):
        row(f"floor: {name}", "", f"{sh(line):.2f}", "")
    packed = sh(f"gzip -1 < {folder}/layer0.tar > {folder}/packed.gz")
    row(f"floor: gzip -1 of 1/{LAYERS}", f"{packed:.2f}", "", "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=2048, help="unpacked size of the image")
    parser.add_argument("--peer", default="", help="another engine's socket, as unix:///PATH")
    parser.add_argument("--no-floors", action="store_true", help="leave the plain programs out")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cvbench-", dir="/var/tmp"))
    engine, registry = new_engine(), start_registry()
    try:
        engine.start()
        write_layers(folder, chosen.megabytes)
        run(engine, registry, folder, chosen.peer, with_floors=not chosen.no_floors)
    finally:
        engine.clean()
        registry.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
