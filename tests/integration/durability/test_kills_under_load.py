"""The engine is killed again and again while eight clients work; nothing promised is lost.

COVE_KILLS says how often (20 unless set; 100 and more belong into a run of its own), and
COVE_KILLED_FLAGS the engine's flags, such as `--isolation enhanced`.
"""

from __future__ import annotations

import json
import os
import random
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from engine.networks.identity import Identity
from tests.support.native import NativeEngine, new_engine
from tests.support.unix_http import Gone, ask

pytestmark = pytest.mark.root

KILLS = int(os.environ.get("COVE_KILLS", "20"))
CLIENTS = 8
LINES = "i=0; while :; do i=$((i+1)); echo $i; usleep 20000; done"


@pytest.fixture
def engine() -> Iterator[NativeEngine]:
    engine = new_engine(*os.environ.get("COVE_KILLED_FLAGS", "").split())
    engine.folder.chmod(0o711)
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        engine.clean()


@dataclass
class Client:
    """One client's work, and what the engine promised it."""

    engine: NativeEngine
    number: int
    kept: dict[str, str] = field(default_factory=dict)  # id: its name, as acknowledged
    codes: dict[str, int] = field(default_factory=dict)  # id: how it ends
    acts: Counter[str] = field(default_factory=Counter)  # what was answered
    removed: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)  # a removal or rename without an answer
    complaints: list[str] = field(default_factory=list)
    rounds: int = 0

    @property
    def seen(self) -> set[str]:
        """Every container that this client ever heard of."""
        return {*self.kept, *self.removed, *self.unsure}

    def do(self, method: str, path: str, *expected: int, body: Any = None) -> Any:
        """The answer; anything but an expected status is written down. Raises Gone."""
        status, text = ask(self.engine.socket, method, path, body)
        if status not in expected:
            self.complaints.append(f"{method} {path}: {status} {text[:300]!r}")
        act = path.partition("?")[0].rpartition("/")[2]
        self.acts["remove" if method == "DELETE" else act] += 1
        return json.loads(text) if text.startswith(b"{") else text

    def work(self, ending: threading.Event) -> None:
        """Rounds of a container's life, until told to end; each may break off anywhere."""
        while not ending.is_set():
            with suppress(Gone):
                self._round()
                self.rounds += 1
            time.sleep(0.02)

    def _round(self) -> None:
        code = random.randrange(1, 100)
        name = f"k{self.number}-{uuid4().hex[:12]}"
        script = f"echo out; until [ -e /go ]; do usleep 20000; done; echo err >&2; exit {code}"
        config = {"Image": "busybox", "Cmd": ["sh", "-c", script]}
        id = self.do("POST", f"/containers/create?name={name}", 201, body=config)["Id"]
        self.kept[id] = name
        self.codes[id] = code
        self._started(id)
        self._exec(id)
        self._renamed(id)
        ended = self.do("POST", f"/containers/{id}/wait", 200)
        # 137: the engine was killed in the middle of the start that it then undid
        if ended["StatusCode"] != code:
            self.complaints.append(f"{id[:12]} ended with {ended} instead of {code}")
        logged = self.do("GET", f"/containers/{id}/logs?stdout=1&stderr=1", 200)
        # a start that the engine's death undid may have come as far as to write before
        out, err = streams(logged)
        if set(out.split()) != {b"out"} or set(err.split()) != {b"err"}:
            self.complaints.append(f"{id[:12]} logged {logged!r}")
        if random.random() < 0.9:
            self._removed(id)

    def _started(self, id: str) -> None:
        while True:
            try:
                self.do("POST", f"/containers/{id}/start", 204, 304)
                return
            except Gone:
                time.sleep(0.1)
                if self._status(id) not in ("created", "exited"):
                    return
                if self._inspect(id)["State"]["StartedAt"] > "0002" and not self._undone(id):
                    return

    def _undone(self, id: str) -> bool:
        return bool(self._inspect(id)["State"]["ExitCode"] == 137)

    def _status(self, id: str) -> str:
        return str(self._inspect(id)["State"]["Status"])

    def _inspect(self, id: str) -> Any:
        for _ in range(100):
            try:
                return self.do("GET", f"/containers/{id}/json", 200)
            except Gone:
                time.sleep(0.1)
        raise Gone

    def _exec(self, id: str) -> None:
        """Tell the container to end; until then it runs, so that nothing may be refused."""
        for attempt in range(100):
            with suppress(Gone):
                command = {"Cmd": ["touch", "/go"]}
                made = self.do("POST", f"/containers/{id}/exec", 201, 409, body=command)
                if "Id" not in made:  # it was told by an attempt that nobody answered
                    if not attempt:
                        self.complaints.append(f"exec: {made}")
                    return
                path = f"/exec/{made['Id']}/start"
                status, text = ask(self.engine.socket, "POST", path, {"Detach": True})
                if status == 200:
                    return
                # 404: another engine by now, and sessions end with theirs
                if status != 404 and not attempt:
                    self.complaints.append(f"exec: {status} {text[:300]!r}")
            time.sleep(0.1)
        raise Gone

    def _renamed(self, id: str) -> None:
        name = f"r{self.number}-{uuid4().hex[:12]}"
        try:
            self.do("POST", f"/containers/{id}/rename?name={name}", 204)
        except Gone:
            self.kept[id] = ""
            raise
        self.kept[id] = name

    def _removed(self, id: str) -> None:
        del self.kept[id]
        self.unsure.add(id)
        self.do("DELETE", f"/containers/{id}?force=1", 204)
        self.unsure.discard(id)
        self.removed.add(id)


def streams(data: bytes) -> tuple[bytes, bytes]:
    """Both streams of output that the API multiplexed."""
    found = {1: b"", 2: b""}
    while data:
        stream, size = struct.unpack_from(">BxxxL", data)
        found[stream] += data[8 : 8 + size]
        data = data[8 + size :]
    return found[1], found[2]


@pytest.mark.timeout(60 + KILLS * 8)
def test_kills_under_load(engine: NativeEngine) -> None:
    witnesses = start_witnesses(engine)
    mounts = own_mounts(engine)
    ending = threading.Event()
    clients = [Client(engine, number) for number in range(CLIENTS)]
    threads = [threading.Thread(target=client.work, args=(ending,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.05, 0.6))
            engine.restart(kill=True)
        time.sleep(1)
    finally:
        ending.set()
        for thread in threads:
            thread.join(40)
    rounds = sum(client.rounds for client in clients)
    acts = sum((client.acts for client in clients), Counter[str]())
    print(f"{KILLS} kills, {rounds} whole rounds of {CLIENTS} clients; answered: {dict(acts)}")
    complaints = [complaint for client in clients for complaint in client.complaints]
    assert not complaints, "\n".join(complaints)
    assert rounds > KILLS // 4
    check_promises(engine, clients)
    check_witnesses(engine, witnesses)
    # an exec dies with its engine: a container that wasn't told to end runs on
    running = set(engine.docker("ps", "-q", "--no-trunc").stdout.split())
    assert {one["Id"] for one in witnesses} <= running
    check_nothing_leaked(engine, clients, running)
    assert own_mounts(engine) == mounts
    checked = check_states(engine, clients, running)
    ids = engine.docker("ps", "-aq").stdout.split()
    engine.docker("rm", "-f", *ids)
    check_nothing_leaked(engine, clients, set())
    removed = sum(len(client.removed) for client in clients)
    print(f"{removed} removals stayed, {checked} of what was kept ran again to the right code")


def start_witnesses(engine: NativeEngine) -> list[Any]:
    """Containers that run from before the first kill to after the last, as inspected."""
    run = ("run", "-d", "--name")
    engine.docker(*run, "steady", "busybox", "sh", "-c", LINES)
    engine.docker(*run, "ever", "--restart", "always", "busybox", "sh", "-c", LINES)
    engine.docker(*run, "alone", "--network", "none", "-v", "/kept", "busybox", "sh", "-c", LINES)
    engine.docker(*run, "frozen", "busybox", "sleep", "100000")
    engine.docker("pause", "frozen")
    names = ("steady", "ever", "alone", "frozen")
    found: list[Any] = json.loads(engine.docker("inspect", *names).stdout)
    return found


def check_witnesses(engine: NativeEngine, before: list[Any]) -> None:
    """What ran all the time still does, with the same process; its log has no hole."""
    for one in before:
        now = json.loads(engine.docker("inspect", one["Id"]).stdout)[0]
        for key in ("Status", "Running", "Paused", "Pid", "StartedAt"):
            assert now["State"][key] == one["State"][key]
        assert now["RestartCount"] == 0 and now["Mounts"] == one["Mounts"]
        lines = [int(line) for line in engine.docker("logs", one["Id"]).stdout.split()]
        assert lines == list(range(1, len(lines) + 1))
        assert len(lines) > 50 or one["State"]["Paused"]


def check_states(engine: NativeEngine, clients: list[Client], running: set[str]) -> int:
    """Each record has the files that it needs: it can be started, and ends as it should."""
    codes = {id: code for client in clients for id, code in client.codes.items()}
    kept = set(engine.docker("ps", "-aq", "--no-trunc").stdout.split()) - running
    for id in kept:
        engine.docker("start", id)
    for id in kept:
        # one whose exec was never heard waits for it
        engine.docker("exec", id, "touch", "/go", check=False)
        code = int(engine.docker("wait", id).stdout)
        assert code == codes.get(id, code)
    return len(kept)


def own_mounts(engine: NativeEngine) -> set[str]:
    """What is mounted below the engine's root in the namespace of everybody."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {word for word in (line.split()[4] for line in lines) if str(engine.root) in word}


def check_promises(engine: NativeEngine, clients: list[Client]) -> None:
    """Records are as acknowledged, removals too."""
    rows = engine.docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}").stdout
    names = dict(row.split() for row in rows.splitlines())
    for client in clients:
        assert not client.removed & set(names)
        for id, name in client.kept.items():
            assert id in names and name in (names[id], "")


def check_nothing_leaked(engine: NativeEngine, clients: list[Client], live: set[str]) -> None:
    """Nothing on this machine is of a container but what belongs to the live ones."""
    seen = {id for client in clients for id in client.seen} | live
    kept = set(engine.docker("ps", "-aq", "--no-trunc").stdout.split())
    bridge = engine.docker("network", "inspect", "bridge").stdout
    port = json.loads(bridge)[0]["Options"]["com.docker.network.bridge.name"]
    soon(lambda: ids_of(engine.root / "containers"), kept)
    soon(lambda: ids_of(engine.root / "snapshots"), kept)
    soon(lambda: monitored(engine), live)
    soon(lambda: mounted(engine) - live, set())
    soon(lambda: ids_of(engine.root / "run/netns"), live)
    soon(lambda: ids_of(engine.root / "run/bundles"), live)
    soon(lambda: ids_of(engine.root / "run/state"), live)
    soon(lambda: cgroups_of(seen), live)
    wired = json.loads(bridge)[0]["Containers"]
    soon(lambda: set(os.listdir(f"/sys/class/net/{port}/brif")), interfaces(engine))
    soon(lambda: len(interfaces(engine)), len(wired))
    assert set(wired) <= live
    soon(lambda: strangers(engine), set())


def soon(look: Callable[[], Any], wanted: Any) -> None:
    """What is cleared in the background is cleared within seconds."""
    deadline = time.monotonic() + 8
    while (found := look()) != wanted:
        if time.monotonic() > deadline:
            assert found == wanted
        time.sleep(0.1)


def ids_of(folder: Path) -> set[str]:
    """Names of 64 hexadecimal digits in a folder."""
    return {entry.name for entry in folder.iterdir() if len(entry.name) == 64}


def mounted(engine: NativeEngine) -> set[str]:
    """The containers that have mounts in the engine's namespace."""
    assert engine.process is not None
    lines = Path(f"/proc/{engine.process.pid}/mountinfo").read_text().splitlines()
    below = f"{engine.root}/containers/"
    targets = [line.split()[4] for line in lines]
    return {one.removeprefix(below).split("/")[0] for one in targets if one.startswith(below)}


def cgroups_of(ids: set[str]) -> set[str]:
    """Those of `ids` that have a cgroup in any hierarchy."""
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found |= ids & set(names)
        if folder.endswith("/cove"):
            names.clear()
    return found


def interfaces(engine: NativeEngine) -> set[str]:
    """The machine's ends of the containers' interfaces, wherever they are."""
    prefix = f"v{Identity.of(engine.root).tag[:5]}"
    return {name for name in os.listdir("/sys/class/net") if name.startswith(prefix)}


def strangers(engine: NativeEngine) -> set[str]:
    """Programs of an earlier engine that work for it still, conmon left out."""
    assert engine.process is not None
    found = set()
    for pid, words in commands():
        ours = os.fsencode(engine.root) in b" ".join(words)
        if ours and pid != engine.process.pid and not words[0].endswith(b"conmon"):
            found.add(b" ".join(words).decode())
    return found


def commands() -> Iterator[tuple[int, list[bytes]]]:
    """Each process of this machine and its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield int(entry.name), (entry / "cmdline").read_bytes().split(b"\0")


def monitored(engine: NativeEngine) -> set[str]:
    """The ids of the containers that a conmon of this engine watches."""
    found = set()
    for _, words in commands():
        if words[0].endswith(b"conmon") and os.fsencode(engine.root) in b" ".join(words):
            found.add(words[words.index(b"-c") + 1].decode())
    return found
