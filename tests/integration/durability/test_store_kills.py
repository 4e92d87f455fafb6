"""The engine is killed while clients load, import, commit and remove images.

Afterwards every layer is whole or not there, and what was acknowledged holds. COVE_STORE_KILLS
says how often (6 unless set).
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest

from tests.support.archives import archive_of, tar_of
from tests.support.native import NativeEngine
from tests.support.unix_http import Gone, ask, lines

pytestmark = pytest.mark.root

KILLS = int(os.environ.get("COVE_STORE_KILLS", "6"))
CLIENTS = 4
SHARED = tar_of({"shared": b"s" * 300_000, "etc/name": b"shared"})


@dataclass
class Client:
    """One client's images: what it was promised, by reference."""

    engine: NativeEngine
    number: int
    content: dict[str, bytes] = field(default_factory=dict)  # reference: its own layer's marker
    removed: set[str] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)
    rounds: int = 0
    made: int = 0

    def work(self, ending: threading.Event) -> None:
        while not ending.is_set():
            with suppress(Gone):
                random.choice((self.load, self.load, self.import_, self.commit, self.remove))()
                self.rounds += 1
            time.sleep(0.01)

    def _name(self) -> str:
        self.made += 1
        return f"store{self.number}:v{self.made}"

    def _stream(self, path: str, body: bytes) -> None:
        status, text = ask(self.engine.socket, "POST", path, body)
        errors = [line for line in lines(text) if "error" in line]
        if status != 200 or errors:
            self.complaints.append(f"{path}: {status} {errors or text[:200]}")
        elif not text:
            raise Gone  # the answer's head came, its end did not

    def load(self) -> None:
        """An image on a layer that all clients share."""
        name, marker = self._name(), os.urandom(8)
        layers = [SHARED, tar_of({"marker": marker, "big": os.urandom(200_000)})]
        self._stream("/images/load", archive_of(name, layers))
        self.content[name] = marker

    def import_(self) -> None:
        name, marker = self._name(), os.urandom(8)
        repository, tag = name.split(":")
        body = tar_of({"marker": marker, "etc/name": b"imported"})
        self._stream(f"/images/create?fromSrc=-&repo={repository}&tag={tag}", body)
        self.content[name] = marker

    def commit(self) -> None:
        """A container's layer on top of busybox."""
        name, marker = self._name(), os.urandom(4).hex()
        repository, tag = name.split(":")
        config = {"Image": "busybox", "Cmd": ["sh", "-c", f"printf {marker} > /marker"]}
        made = ask(self.engine.socket, "POST", "/containers/create", config)[1]
        id = json.loads(made)["Id"]
        ask(self.engine.socket, "POST", f"/containers/{id}/start")
        ask(self.engine.socket, "POST", f"/containers/{id}/wait")
        query = f"container={id}&repo={repository}&tag={tag}"
        status, text = ask(self.engine.socket, "POST", f"/commit?{query}", {})
        if status != 201:
            self.complaints.append(f"commit: {status} {text[:200]!r}")
            return
        # a start that the engine's death undid has ended the container without its marker
        found = ask(self.engine.socket, "GET", f"/containers/{id}/json")[1]
        if json.loads(found)["State"]["ExitCode"] == 0:
            self.content[name] = marker.encode()
        ask(self.engine.socket, "DELETE", f"/containers/{id}?force=1")

    def remove(self) -> None:
        if not self.content:
            return
        name = random.choice(list(self.content))
        del self.content[name]
        status, text = ask(self.engine.socket, "DELETE", f"/images/{quote(name)}")
        if status == 200:
            self.removed.add(name)
        else:
            self.complaints.append(f"remove {name}: {status} {text[:200]!r}")


@pytest.mark.timeout(60 + KILLS * 8)
def test_images_outlive_kills(engine: NativeEngine) -> None:
    clients = [Client(engine, number) for number in range(CLIENTS)]
    ending = threading.Event()
    threads = [threading.Thread(target=client.work, args=(ending,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.05, 0.8))
            engine.restart(kill=True)
        time.sleep(0.5)
    finally:
        ending.set()
        for thread in threads:
            thread.join(40)
    print(f"{KILLS} kills, {sum(client.rounds for client in clients)} operations acknowledged")
    complaints = [complaint for client in clients for complaint in client.complaints]
    assert not complaints, "\n".join(complaints)
    engine.docker("rm", "-f", *engine.docker("ps", "-aq").stdout.split(), "none", check=False)
    engine.restart(kill=True)
    check_promises(engine, clients)
    check_whole(engine)
    ids = set(engine.docker("images", "-aq", "--no-trunc").stdout.split())
    engine.docker("rmi", "-f", *ids, check=False)  # a commit's parent goes after its child
    engine.docker("rmi", "-f", *ids, check=False)
    check_whole(engine)
    assert not list((engine.root / "layers").iterdir())


def check_promises(engine: NativeEngine, clients: list[Client]) -> None:
    """What was told as done is there with its content, what was told as removed is not."""
    listed = set(engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split())
    for client in clients:
        assert not client.removed & listed
        assert set(client.content) <= listed
        for name, marker in client.content.items():
            path = f"/cove/images/{quote(name)}/file?path=/marker"
            assert ask(engine.socket, "GET", path) == (200, marker)


def check_whole(engine: NativeEngine) -> None:
    """The disk holds the layers and blobs of the images that are listed, and nothing else."""
    ids = set(engine.docker("images", "-aq", "--no-trunc").stdout.split())
    chains: set[str] = set()
    blobs = {id.removeprefix("sha256:") for id in ids}
    for id in ids:
        for layer in json.loads(ask(engine.socket, "GET", f"/cove/images/{id}/layers")[1]):
            chains.add(layer["ChainId"].removeprefix("sha256:"))
            blobs.add(layer["Digest"].removeprefix("sha256:"))
    assert {path.name for path in (engine.root / "layers").iterdir()} == chains
    content = engine.root / "content"
    assert {path.name for path in (content / "blobs/sha256").iterdir()} == blobs
    left = [path for path in content.rglob("*") if path.is_file() and path.name not in blobs]
    assert not left
    # beside them stands the ground below every container
    assert len(list((engine.root / "l").iterdir())) == len(chains) + 1
