"""Builds that are cut short, run at the same time, or lose their engine or their images."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.builder.conftest import Builds
from tests.support.archives import tar_of
from tests.support.docker_registry import Registry
from tests.support.native import NativeEngine, new_engine

pytestmark = pytest.mark.root


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Builds]:
    """An engine that a test may kill."""
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield Builds(engine, tmp_path)
    finally:
        engine.clean()


def processes(marker: str) -> list[int]:
    """Processes that have `marker` as a word on their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if marker.encode() in words:
                    found.append(int(entry.name))
    return found


def leftovers(engine: NativeEngine) -> list[str]:
    """What builds have left of folders, mounts and half-made layers."""
    builds = engine.root / "builds"
    found = [str(path) for name in ("runs", "views") for path in (builds / name).glob("*")]
    found += [str(path) for path in (engine.root / "layers").glob(".new-*")]
    assert engine.process is not None
    table = Path(f"/proc/{engine.process.pid}/mountinfo").read_text()
    found += [line for line in table.splitlines() if f"{builds}/" in line]
    return found + [str(path) for path in (engine.root / "run/bundles").glob("*")]


def wait_for(holds: object, seconds: float = 10.0) -> bool:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def begin(builds: Builds, dockerfile: str) -> subprocess.Popen[bytes]:
    builds.write(dockerfile)
    return subprocess.Popen(
        ["docker", "build", str(builds.folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "DOCKER_HOST": builds.engine.url, "DOCKER_BUILDKIT": "0"},
    )


def test_a_client_that_goes_away_ends_its_build(builds: Builds) -> None:
    marker = "86401.25"
    client = begin(builds, f"FROM busybox\nRUN touch /a; sleep {marker}\n")
    assert wait_for(lambda: processes(marker))
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert wait_for(lambda: not processes(marker), 1.0)
    assert wait_for(lambda: not leftovers(builds.engine), 2.0), leftovers(builds.engine)
    assert wait_for(lambda: not list((builds.engine.root / "builds/contexts").glob("*")), 2.0)


def test_clients_that_go_away_at_any_moment(builds: Builds) -> None:
    engine, chance = builds.engine, random.Random(7)
    files = {f"f{number}": b"x" * 2000 for number in range(200)}
    context = tar_of(
        {
            **files,
            "Dockerfile": b"FROM busybox AS a\nRUN --mount=type=cache,target=/c echo 1 > /a\n"
            b"FROM busybox\nVOLUME /v\nCOPY . /x\n"
            b"RUN --mount=target=/m --mount=from=a,source=/a,target=/aa cat /aa > /b\n"
            b"COPY --from=a /a /z/\nWORKDIR /q\nRUN echo 3 > /c\n",
        }
    )
    request = (
        "POST /build?nocache=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n"
        f"Content-Length: {len(context)}\r\n\r\n"
    ).encode()
    builds.run("FROM busybox\nRUN true\n")
    assert engine.process is not None
    descriptors = Path(f"/proc/{engine.process.pid}/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(engine.socket))
            connection.sendall(request + context)
            time.sleep(chance.random())
    assert wait_for(lambda: not leftovers(engine)), leftovers(engine)
    assert wait_for(lambda: not list((engine.root / "builds/contexts").iterdir()))
    assert not list((engine.root / "content/ingest").iterdir())
    assert wait_for(lambda: len(list(descriptors.iterdir())) <= before + 1)


def test_a_killed_engine_leaves_a_clean_store(own: Builds) -> None:
    marker = "86402.25"
    own.run("FROM busybox\nRUN echo kept > /kept\n")
    client = begin(own, f"FROM busybox\nRUN echo kept > /kept\nRUN touch /a; sleep {marker}\n")
    assert wait_for(lambda: processes(marker))
    own.engine.restart(kill=True)
    client.wait()
    assert wait_for(lambda: not processes(marker))
    assert wait_for(lambda: not leftovers(own.engine), 5.0), leftovers(own.engine)
    said = own.run("FROM busybox\nRUN echo kept > /kept\n").stdout
    assert "Using cache" in said


def test_a_restarted_engine_knows_its_cache(own: Builds) -> None:
    dockerfile = "FROM busybox\nRUN head -c 9 /dev/urandom > /r\nCOPY Dockerfile /d\nCMD x\n"
    first = own.run(dockerfile).stdout.splitlines()[-1]
    own.engine.docker("rmi", first.split()[-1])
    own.engine.restart()
    again = own.run(dockerfile).stdout
    assert again.count("Using cache") == 3 and again.splitlines()[-1] == first


def test_pruning_never_takes_what_a_build_uses(own: Builds) -> None:
    engine = own.engine
    client = begin(
        own,
        "FROM busybox AS one\nRUN echo 1 > /one\nFROM busybox\nCOPY --from=one /one /\n"
        "RUN touch /go; sleep 2; cat /one\nRUN ls /one\n",
    )
    assert wait_for(lambda: processes("touch /go; sleep 2; cat /one"))
    engine.docker("rmi", "-f", "busybox")
    engine.docker("system", "prune", "-af")
    assert client.wait(30) == 0
    assert leftovers(engine) == []


def test_the_same_step_runs_once(builds: Builds) -> None:
    stamp = time.time_ns()
    dockerfile = f"FROM busybox\nRUN sleep 1; echo {stamp}; head -c 9 /dev/urandom > /r\n"
    ids: list[str] = []

    def build() -> None:
        with contextlib.closing(builds.engine.client()) as client:
            image, lines = client.images.build(fileobj=io.BytesIO(dockerfile.encode()))
            assert str(stamp) in "".join(line.get("stream", "") for line in lines)
            ids.append(str(image.id))

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 3 and len(set(ids)) == 1


def test_stages_run_side_by_side(builds: Builds) -> None:
    stages = "".join(f"FROM busybox AS s{n}\nRUN sleep 1; echo {n} > /o{n}\n" for n in range(4))
    copies = "".join(f"COPY --from=s{n} /o{n} /\n" for n in range(4))
    begun = time.monotonic()
    builds.run(f"{stages}FROM busybox\n{copies}", "--no-cache")
    assert time.monotonic() - begun < 3.0


def test_a_failing_stage_ends_the_others(builds: Builds) -> None:
    marker = "86403.25"
    said = builds.failure(
        f"FROM busybox AS one\nRUN sleep {marker}\nFROM busybox AS two\nRUN sleep 0.3; exit 9\n"
        "FROM busybox\nCOPY --from=one / /\nCOPY --from=two / /\n"
    )
    assert "returned a non-zero code: 9" in said
    assert processes(marker) == []
    assert wait_for(lambda: not leftovers(builds.engine), 2.0), leftovers(builds.engine)


def rows(engine: NativeEngine) -> list[dict[str, object]]:
    with contextlib.closing(engine.client()) as client:
        found: list[dict[str, object]] = client.df()["BuildCache"]
    return found


def test_the_cache_is_told_and_pruned(own: Builds) -> None:
    engine = own.engine
    own.run("FROM busybox\nRUN head -c 5000 /dev/zero > /zero\n", "-t", "cached:1")
    own.run("FROM busybox\nRUN --mount=type=cache,target=/c head -c 700 /dev/zero > /c/z\n")
    layer = next(row for row in rows(engine) if "zero > /zero" in str(row["Description"]))
    assert (layer["Type"], layer["Size"], layer["Shared"]) == ("regular", 5000, True)
    mount = next(row for row in rows(engine) if row["Type"] == "exec.cachemount")
    assert (mount["Size"], mount["InUse"], mount["UsageCount"]) == (700, False, 1)

    nothing = engine.docker("builder", "prune", "-f", "--filter", "until=24h").stdout
    assert nothing.strip().endswith("0B")
    said = engine.docker("builder", "prune", "-f").stdout  # what images have stays known
    assert str(mount["ID"]) in said and str(layer["ID"]) not in said
    assert "700B" in said
    engine.docker("rmi", "cached:1")
    assert any(row["ID"] == layer["ID"] and not row["Shared"] for row in rows(engine))
    kept = engine.docker("builder", "prune", "-f", "--keep-storage", "1GB").stdout
    assert kept.strip().endswith("0B")
    assert "5kB" in engine.docker("builder", "prune", "-af").stdout
    assert rows(engine) == []
    assert "Using cache" not in own.run("FROM busybox\nRUN head -c 5000 /dev/zero > /zero\n").stdout


def test_layers_that_a_push_compressed_stay_in_the_cache(own: Builds, registry: Registry) -> None:
    engine, name = own.engine, f"{registry.host}/built/{time.time_ns()}:1"
    dockerfile = "FROM busybox\nRUN head -c 300000 /dev/zero > /zero\n"
    own.run(dockerfile, "-t", name)
    engine.docker("push", "-q", name)
    blobs = engine.root / "content/blobs/sha256"
    assert wait_for(
        lambda: all(
            path.stat().st_size < 300000
            for path in blobs.iterdir()
            if path.stat().st_size < 1000000
        )
    )  # the plain one gave way
    engine.docker("rmi", name)
    assert "Using cache" in own.run(dockerfile, "-t", "again:1").stdout
    engine.docker("rmi", "again:1")
    engine.restart()
    assert "Using cache" in own.run(f"{dockerfile}RUN ls -l /zero\n", "-t", name).stdout
    engine.docker("push", "-q", name)
    engine.docker("rmi", name)
    own.run(f"FROM {name}\nRUN ls -l /zero\n", "--pull")


def test_a_cache_mount_that_is_locked_is_had_by_one(builds: Builds) -> None:
    alone = "ls /c; touch /c/$N; sleep 0.4; ls /c; rm -f /c/$N"
    both = (
        "touch /c/$N; i=0; while [ $(ls /c | wc -l) -lt 2 ] && [ $i -lt 100 ]; "
        "do sleep 0.1; i=$((i+1)); done; ls /c"
    )

    def together(sharing: str, command: str) -> list[str]:
        mount = f"--mount=type=cache,target=/c,id=lock-{sharing},sharing={sharing}"
        dockerfile = "".join(
            f"FROM busybox AS s{n}\nENV N={n}\nRUN {mount} {command}\n" for n in range(2)
        )
        dockerfile += "FROM busybox\nCOPY --from=s0 /bin/sh /0\nCOPY --from=s1 /bin/sh /1\n"
        said = builds.run(dockerfile, "--no-cache").stdout
        return sorted(line for line in said.splitlines() if line in ("0", "1"))

    assert together("locked", alone) == ["0", "1"]
    assert together("private", alone) == ["0", "1"]
    assert together("shared", both) == ["0", "0", "1", "1"]
