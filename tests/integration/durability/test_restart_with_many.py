"""An engine that was killed with two hundred running containers: it is back at once, and right."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.crowd import ask, create, life, soon
from tests.support.native import NativeEngine, new_engine

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

RUNNING = 200
ANSWER_SECONDS = 2.0


@pytest.fixture
def engine() -> Iterator[NativeEngine]:
    engine = new_engine()
    try:
        engine.start()
        engine.seed()
        yield engine
    finally:
        with ThreadPoolExecutor(4) as pool:
            ids = [one["Id"] for one in ask(engine, "GET", "/containers/json?all=1")]
            list(pool.map(lambda id: ask(engine, "DELETE", f"/containers/{id}?force=1"), ids))
        engine.clean()


def busy() -> float:
    """How many times slower things go than on an idle machine."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def states(engine: NativeEngine) -> dict[str, Any]:
    """State and status of each container, by id."""
    rows = ask(engine, "GET", "/containers/json?all=1")
    return {one["Id"]: (one["State"], one["Status"]) for one in rows}


def test_two_hundred_containers(engine: NativeEngine) -> None:
    def run(number: int) -> tuple[str, int]:
        """Its id and its exit code: -1 for one that runs on, 137 for one that will be killed."""
        script, code = "sleep 1000", -1
        if number % 10 == 1:
            script, code = f"until [ -e /go ]; do usleep 50000; done; exit {number}", number
        elif number % 10 == 2:
            code = 137
        policy = {"Name": "always"} if number % 10 == 3 else {}
        id = create(engine, "sh", "-c", script, HostConfig={"RestartPolicy": policy})
        ask(engine, "POST", f"/containers/{id}/start")
        return id, code

    with ThreadPoolExecutor(4) as pool:
        made = dict(pool.map(run, range(RUNNING)))
    found = {id: ask(engine, "GET", f"/containers/{id}/json") for id in made}
    pids = {id: one["State"]["Pid"] for id, one in found.items()}
    engine.stop(signal.SIGKILL)
    for id, code in made.items():
        if code == 137:
            os.kill(pids[id], signal.SIGKILL)
        elif code >= 0:  # its own files, through its process
            with open(f"/proc/{pids[id]}/root/go", "w"):
                pass
    time.sleep(0.5)
    begun = time.monotonic()
    engine.start()
    ask(engine, "GET", "/_ping")
    took = time.monotonic() - begun
    assert took < ANSWER_SECONDS * busy()

    def right() -> bool:
        shown = states(engine)
        return all(
            shown[id][0] == "running"
            if code < 0
            else shown[id][0] == "exited" and f"({code})" in shown[id][1]
            for id, code in made.items()
        )

    soon(right)
    for id, code in made.items():
        state = ask(engine, "GET", f"/containers/{id}/json")["State"]
        assert (state["Pid"] == pids[id]) is (code < 0)
        assert state["ExitCode"] == max(0, code)
    assert life(engine) < 8
    print(f"the API answered {took:.2f} s after the start")
