"""Clients that hang or mean harm: the others go on, and the engine's memory stays bounded."""

from __future__ import annotations

import json
import tarfile
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.crowd import (
    Crowd,
    ask,
    chunk,
    connected,
    create,
    head,
    life,
    resident,
    soon,
)
from tests.support.native import NativeEngine, new_engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

# seconds; alone it is a fifth of one, and a busy machine has other things to do
BEARABLE = 8.0
CHUNKED = ("Transfer-Encoding: chunked", "Content-Type: application/json")
UPGRADE = ("Connection: Upgrade", "Upgrade: tcp")


@pytest.fixture(scope="module")
def engine() -> Iterator[NativeEngine]:
    """One of this module's own, so that its memory tells about these clients alone."""
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        life(engine)
        yield engine
    finally:
        engine.clean()


@pytest.fixture
def crowd(engine: NativeEngine) -> Iterator[Crowd]:
    crowd = Crowd(engine)
    try:
        yield crowd
    finally:
        crowd.leave()


def tar_header(size: int) -> bytes:
    """The beginning of a tar with one file of `size` bytes."""
    member = tarfile.TarInfo("endless")
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def check(engine: NativeEngine, before: float, most: float) -> None:
    """Others are served, and no more than `most` MB came on top."""
    assert min(life(engine) for _ in range(2)) < BEARABLE
    assert resident(engine) < before + most


@pytest.mark.parametrize("sending", [False, True], ids=["silent", "flooding"])
@pytest.mark.parametrize("what", ["create", "cp", "load", "import", "build"])
def test_bodies_that_never_end(
    engine: NativeEngine, crowd: Crowd, what: str, sending: bool
) -> None:
    id = create(engine, "true")
    method, path, first = {
        "create": ("POST", "/containers/create", b'{"Image": "'),
        "cp": ("PUT", f"/containers/{id}/archive?path=/none", tar_header(1 << 40)),
        "load": ("POST", "/images/load", b""),
        "import": ("POST", "/images/create?fromSrc=-&repo=endless", b""),
        "build": ("POST", "/build?t=endless", b""),
    }[what]
    before = resident(engine)
    for _ in range(20):
        crowd.join(head(method, path, *CHUNKED) + (chunk(first) if first else b""))
    if sending:
        crowd.say(chunk(b"x" * 8000), 1.0)
    check(engine, before, 60)
    if what in ("load", "import", "build"):  # the same can still be done by others
        saved = ask(engine, "GET", "/images/busybox/get")
        (engine.folder / "saved.tar").write_bytes(saved)
        engine.docker("load", "-i", str(engine.folder / "saved.tar"), timeout=30)
        engine.docker("import", str(engine.folder / "busybox.tar"), "another:1", timeout=30)
    crowd.leave()
    ask(engine, "DELETE", f"/containers/{id}?force=1")


@pytest.mark.parametrize("what", ["put", "get"])
def test_a_stopped_container_that_is_held_can_be_removed(
    engine: NativeEngine, crowd: Crowd, what: str
) -> None:
    id = create(engine, "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null")
    ask(engine, "POST", f"/containers/{id}/start")
    ask(engine, "POST", f"/containers/{id}/wait")
    if what == "put":
        data = head("PUT", f"/containers/{id}/archive?path=/tmp", *CHUNKED)
        crowd.join(data + chunk(tar_header(1 << 40)))
    else:
        crowd.join(head("GET", f"/containers/{id}/export"))
    time.sleep(0.3)
    engine.docker("rm", "-f", id, timeout=10)
    assert id not in engine.docker("ps", "-aq", "--no-trunc").stdout
    soon(lambda: not (engine.root / "containers" / id).exists())


@pytest.mark.parametrize(
    "path",
    [
        "/containers/{talker}/logs?stdout=1",
        "/containers/{talker}/logs?stdout=1&timestamps=1&follow=1",
        "/containers/{talker}/export",
        "/containers/{talker}/archive?path=/",
        "/containers/{talker}/stats",
        "/images/busybox/get",
    ],
    ids=["logs", "follow", "export", "cp", "stats", "save"],
)
def test_answers_that_nobody_reads(
    engine: NativeEngine, crowd: Crowd, talker: str, path: str
) -> None:
    before = resident(engine)
    for _ in range(20):
        crowd.join(head("GET", path.format(talker=talker)))
    time.sleep(1)
    check(engine, before, 80)


@pytest.fixture(scope="module")
def talker(engine: NativeEngine) -> str:
    """A running container with a long log."""
    script = "yes 0123456789 | head -n 400000; touch /said; sleep 1000"
    id = create(engine, "sh", "-c", script)
    ask(engine, "POST", f"/containers/{id}/start")
    soon(lambda: engine.docker("exec", id, "test", "-e", "/said", check=False).returncode == 0, 60)
    return id


def test_attached_clients_that_never_read(engine: NativeEngine, crowd: Crowd) -> None:
    id = create(
        engine, "sh", "-c", "while :; do yes; done", HostConfig={"LogConfig": {"Type": "none"}}
    )
    before = resident(engine)
    for _ in range(20):
        path = f"/containers/{id}/attach?stream=1&stdout=1&stderr=1"
        assert b"101" in crowd.join(head("POST", path, *UPGRADE)).recv(16)
    ask(engine, "POST", f"/containers/{id}/start")
    time.sleep(1)
    check(engine, before, 80)
    ask(engine, "DELETE", f"/containers/{id}?force=1")


def test_five_thousand_idle_connections(engine: NativeEngine, crowd: Crowd) -> None:
    before = resident(engine)
    for number in range(5000):
        crowd.join((b"", b"GET /_ping HTT", head("GET", "/_ping"))[number % 3])
    check(engine, before, 60)
    # nobody was sent away
    crowd.sockets[0].sendall(head("GET", "/_ping"))
    assert crowd.sockets[0].recv(64).startswith(b"HTTP/1.1 200")


def test_thousands_of_pipelined_requests(engine: NativeEngine, crowd: Crowd) -> None:
    before = resident(engine)
    for _ in range(20):
        crowd.join().setblocking(False)
    crowd.say(head("GET", "/_ping") * 1000, 1.0)
    check(engine, before, 60)


def test_a_thousand_slow_subscribers(engine: NativeEngine, crowd: Crowd) -> None:
    """They may lose events; a quick one beside them loses none."""
    names = [f"loud{number}" for number in range(150)]
    heard: list[str] = []
    with connected(engine.socket) as quick:
        quick.sendall(head("GET", '/events?filters={"type":["volume"]}'))
        assert quick.recv(4096).startswith(b"HTTP/1.1 200")
        before = resident(engine)
        for _ in range(1000):
            crowd.join(head("GET", "/events"))
        soon(lambda: ask(engine, "GET", "/info")["NEventsListener"] > 1000)
        check(engine, before, 60)

        def listen() -> None:
            for line in quick.makefile("rb"):
                if line.startswith(b"{"):
                    event = json.loads(line)
                    heard.append(f"{event['Action']} {event['Actor']['ID']}")
                if len(heard) == 2 * len(names):
                    return

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        for name in names:
            ask(engine, "POST", "/volumes/create", {"Name": name})
            ask(engine, "DELETE", f"/volumes/{name}")
        listener.join(20)
    assert heard == [f"{act} {name}" for name in names for act in ("create", "destroy")]
    check(engine, before, 80)


def test_history_and_live_events_join_without_a_hole(engine: NativeEngine) -> None:
    names = [f"joint{number}" for number in range(150)]
    started = f"{time.time() - 1:.9f}"

    def work() -> None:
        for name in names:
            ask(engine, "POST", "/volumes/create", {"Name": name})

    working = threading.Thread(target=work)
    working.start()
    heard: list[list[str]] = []
    try:
        for _ in range(6):  # joining again and again while they come
            time.sleep(0.05)
            with connected(engine.socket) as client:
                path = f'/events?since={started}&filters={{"type":["volume"]}}'
                client.sendall(head("GET", path))
                found: list[str] = []
                for line in client.makefile("rb"):
                    if line.startswith(b"{"):
                        name = json.loads(line)["Actor"]["ID"]
                        found += [name] if name.startswith("joint") else []
                    if len(found) >= min(len(names), len(heard) * 25 + 25):
                        break
                heard.append(found)
    finally:
        working.join()
        for name in names:
            ask(engine, "DELETE", f"/volumes/{name}")
    for found in heard:
        assert found == names[: len(found)]
