"""The image store of a native engine: load and save of 1 GB, lists, looking inside, and a context.

Beside each stand its floors: the plain programs on the same bytes. With --peer URL the same
work is done by another engine, too.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.archives import archive_of, tar_of
from tests.support.native import new_engine
from tests.support.unix_http import ask

LAYER_FILES, LAYER_FILE_SIZE, LAYERS = 500, 400_000, 5  # 1 GB in 2,500 files
IMAGES = 1000
CONTEXT_FILES = 20_000
MANY = 60_000


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def sh(line: str, **environment: str) -> None:
    subprocess.run(line, shell=True, check=True, env={**os.environ, **environment})


def row(name: str, *figures: str) -> None:
    print(f"{name:28}" + "".join(f"{figure:>16}" for figure in figures), flush=True)


def big_archive(target: Path) -> None:
    """A docker-archive of 1 GB that compresses about as program files do."""
    layers = []
    for number in range(LAYERS):
        half = LAYER_FILE_SIZE // 2
        files = {
            f"opt/{number}/{file}": os.urandom(half) + bytes(half) for file in range(LAYER_FILES)
        }
        layers.append(tar_of(files))
    target.write_bytes(archive_of("gigabyte:1", layers))


def load_and_save(folder: Path, urls: dict[str, str]) -> None:
    archive = folder / "gigabyte.tar"
    big_archive(archive)
    row("", "load s", "save s")
    for name, url in urls.items():
        load = seconds(
            lambda url=url: sh(f"docker load -q -i {archive} >/dev/null", DOCKER_HOST=url)
        )
        saved = seconds(
            lambda url=url: sh(f"docker save -o {folder}/saved.tar gigabyte:1", DOCKER_HOST=url)
        )
        row(name, f"{load:.2f}", f"{saved:.2f}")
        sh("docker rmi gigabyte:1 >/dev/null", DOCKER_HOST=url)
    out = folder / "out"
    out.mkdir()
    unpack = seconds(
        lambda: sh(
            f"tar xf {archive} -C {out}; for l in {out}/*/*.tar; do tar xf $l -C {out}; done"
        )
    )
    digest = seconds(lambda: sh(f"sha256sum {archive} >/dev/null"))
    copy = seconds(lambda: sh(f"cat {archive} >{folder}/copy.tar"))
    row("floor: tar x, sha256sum", f"{unpack:.2f}+{digest:.2f}", "")
    row("floor: cat", "", f"{copy:.2f}")


def lists(socket: Path) -> None:
    for number in range(IMAGES):
        layers = [tar_of({"base": b"1"}), tar_of({"marker": b"%d" % number})]
        ask(socket, "POST", "/images/load?quiet=1", archive_of(f"image{number}:v1", layers))
    best = min(seconds(lambda: ask(socket, "GET", "/images/json")) for _ in range(10))
    usage = min(seconds(lambda: ask(socket, "GET", "/system/df")) for _ in range(5))
    row(f"list of {IMAGES} images", f"{best * 1000:.1f} ms")
    row("system df", f"{usage * 1000:.1f} ms")


def looking_inside(socket: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(MANY):
            tar.addfile(tarfile.TarInfo(f"usr/share/{number // 200}/{number}"))
    ask(socket, "POST", "/images/load?quiet=1", archive_of("many:1", [out.getvalue()]))
    for name, path in {
        "first page of changes": "changes",
        "first page of a folder": "tree?path=/usr/share",
        "layers": "layers",
    }.items():
        first = seconds(lambda path=path: ask(socket, "GET", f"/cove/images/many:1/{path}"))
        row(f"{name} ({MANY} files)", f"{first * 1000:.1f} ms")


def context(folder: Path, urls: dict[str, str]) -> None:
    source = folder / "context"
    source.mkdir()
    (source / "Dockerfile").write_text("FROM scratch\nCOPY . /ctx\n")
    for number in range(CONTEXT_FILES):
        (source / f"{number}.txt").write_text(f"file {number}\n")
    row("", "context s", "again s")
    line = f"docker build -q -t context:1 {source} >/dev/null"
    for name, url in urls.items():
        figures = [
            seconds(lambda url=url: sh(line, DOCKER_HOST=url, DOCKER_BUILDKIT="0"))
            for _ in range(2)
        ]
        row(name, *(f"{figure:.2f}" for figure in figures))
        sh("docker rmi context:1 >/dev/null", DOCKER_HOST=url)
    packed = seconds(lambda: sh(f"tar cf - -C {source} . | cat >/dev/null"))
    row("floor: tar c", f"{packed:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", help="another engine's socket, as unix:///PATH")
    peer = parser.parse_args().peer
    folder = Path(tempfile.mkdtemp(prefix="cvbench-", dir="/var/tmp"))
    engine = new_engine()
    try:
        engine.start()
        urls = {"cove": engine.url} | ({"peer": peer} if peer else {})
        load_and_save(folder, urls)
        lists(engine.socket)
        looking_inside(engine.socket)
        context(folder, urls)
    finally:
        engine.clean()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
