"""Health checks in their forms, restart policies over time and over a restart of the engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture
def name(native_engine: NativeEngine) -> Iterator[str]:
    name = f"h{uuid4().hex[:10]}"
    yield name
    native_engine.docker("rm", "-fv", name, check=False)


def shown(engine: NativeEngine, name: str) -> dict[str, Any]:
    return json.loads(engine.docker("inspect", name).stdout)[0]


def until(check: Callable[[], Any], limit: float = 15) -> Any:
    deadline = time.monotonic() + limit
    while not (found := check()):
        assert time.monotonic() < deadline
        time.sleep(0.03)
    return found


def events(engine: NativeEngine, name: str, since: float, *kinds: str) -> list[dict[str, Any]]:
    filters = [word for kind in kinds for word in ("--filter", f"event={kind}")]
    done = engine.docker(
        "events", "--since", f"{since:.9f}", "--until", f"{time.time():.9f}",
        "--filter", f"container={name}", *filters, "--format", "{{json .}}",
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "status", "code", "output"),
    [
        (["--health-cmd", "echo fine"], "healthy", 0, "fine\n"),
        (["--health-cmd", "echo bad >&2; exit 3"], "unhealthy", 3, "bad\n"),
        (["--health-cmd", "nosuchcmd"], "unhealthy", 127, "/bin/sh: nosuchcmd: not found\n"),
        (
            ["--health-cmd", "sleep 60", "--health-timeout", "400ms"],
            "unhealthy", -1, "Health check exceeded timeout (400ms)",
        ),
        (["--health-cmd", "yes | head -c 9000"], "healthy", 0, "y\n" * 2048 + "..."),
    ],
)  # fmt: skip
def test_checks(
    native_engine: NativeEngine,
    name: str,
    options: list[str],
    status: str,
    code: int,
    output: str,
) -> None:
    since = time.time()
    run = native_engine.docker
    fast = ["--health-interval", "100ms", "--health-retries", "1"]
    run("run", "-d", "--name", name, *fast, *options, "busybox", "sleep", "600")
    first = shown(native_engine, name)["State"]["Health"]
    assert first["Status"] in ("starting", status)
    until(lambda: shown(native_engine, name)["State"]["Health"]["Status"] == status)
    last = shown(native_engine, name)["State"]["Health"]["Log"][-1]
    assert (last["ExitCode"], last["Output"]) == (code, output)
    assert f"({status})" in run("ps", "--filter", f"name={name}", "--format", "{{.Status}}").stdout
    told = events(native_engine, name, since, "health_status")
    assert [one["Action"] for one in told] == [f"health_status: {status}"]
    if code == -1:  # each probe is killed, so there's no more than the one under way
        until(lambda: shown(native_engine, name)["State"]["Health"]["FailingStreak"] >= 3)
        assert run("top", name, "-o", "pid,args").stdout.count("sleep 60\n") <= 1


def test_the_log_keeps_five_and_the_start_is_spared(native_engine: NativeEngine, name: str) -> None:
    native_engine.docker(
        "run", "-d", "--name", name, "--health-cmd", "exit 1", "--health-interval", "60s",
        "--health-start-period", "60s", "--health-start-interval", "50ms",
        "--health-retries", "1", "busybox", "sleep", "600",
    )  # fmt: skip
    until(lambda: len(shown(native_engine, name)["State"]["Health"]["Log"]) == 5)
    first = shown(native_engine, name)["State"]["Health"]["Log"][0]["Start"]
    until(lambda: shown(native_engine, name)["State"]["Health"]["Log"][0]["Start"] != first)
    health = shown(native_engine, name)["State"]["Health"]
    assert (health["Status"], health["FailingStreak"], len(health["Log"])) == ("starting", 0, 5)


def test_restarts_come_slower_and_slower(native_engine: NativeEngine, name: str) -> None:
    since = time.time()
    native_engine.docker("run", "-d", "--name", name, "--restart=on-failure:5", "busybox", "false")
    until(lambda: shown(native_engine, name)["State"]["Status"] == "exited")
    told = events(native_engine, name, since, "die", "start")
    assert [one["Action"] for one in told] == ["start", "die"] * 6
    pauses = [
        (told[at + 1]["timeNano"] - told[at]["timeNano"]) / 1e9 for at in range(1, len(told) - 1, 2)
    ]
    for pause, wanted in zip(pauses, (0.1, 0.2, 0.4, 0.8, 1.6), strict=True):
        assert wanted <= pause < wanted + 0.6, pauses
    assert shown(native_engine, name)["RestartCount"] == 5


def test_policies_over_a_restart_of_the_engine(native_engine: NativeEngine) -> None:
    run, key = native_engine.docker, uuid4().hex[:10]
    sleep = ("busybox", "sh", "-c", "trap exit TERM; sleep 600 & wait")
    try:
        for policy in ("no", "always", "unless-stopped"):
            for what in ("runs", "stopped"):
                run("run", "-d", "--name", f"{key}-{policy}-{what}", f"--restart={policy}", *sleep)
        run(
            "stop",
            "-t",
            "1",
            *(f"{key}-{one}-stopped" for one in ("no", "always", "unless-stopped")),
        )
        run("run", "-d", "--name", f"{key}-often", "--restart=always", "busybox", "false")
        until(lambda: shown(native_engine, f"{key}-often")["RestartCount"] >= 3)
        count = shown(native_engine, f"{key}-often")["RestartCount"]
        native_engine.restart()
        until(lambda: shown(native_engine, f"{key}-often")["RestartCount"] > count)
        until(lambda: shown(native_engine, f"{key}-always-stopped")["State"]["Running"])
        alive = run("ps", "--filter", f"name={key}", "--format", "{{.Names}}").stdout.split()
        wanted = {"no-runs", "always-runs", "always-stopped", "unless-stopped-runs"}
        assert {one.partition("-")[2] for one in alive} - {"often"} == wanted
    finally:
        run("rm", "-f", *run("ps", "-aq", "--filter", f"name={key}").stdout.split())


def test_wait_conditions(native_engine: NativeEngine, name: str) -> None:
    run = native_engine.docker
    run("create", "--name", name, "busybox", "sh", "-c", "exit 3")
    client = native_engine.client()
    try:
        assert client.api.wait(name, condition="not-running")["StatusCode"] == 0
        run("start", name)
        until(lambda: shown(native_engine, name)["State"]["Status"] == "exited")
        assert client.api.wait(name)["StatusCode"] == 3
        done = run("wait", "nosuch", check=False)
        assert "No such container: nosuch" in done.stderr
        answer = client.api._post(client.api._url(f"/containers/{name}/wait?condition=x"))
        assert (answer.status_code, answer.json()["message"]) == (400, 'invalid condition: "x"')
    finally:
        client.close()


def test_prune_tells_what_it_gave_back(native_engine: NativeEngine) -> None:
    run, label = native_engine.docker, uuid4().hex
    script = "head -c 3000000 /dev/zero >/big"
    run("run", "--label", label, "busybox", "sh", "-c", script)
    run("create", "--label", label, "--label", "keep", "busybox")
    client = native_engine.client()
    try:
        done = client.containers.prune(filters={"label": label, "until": "1h"})
        assert done == {"ContainersDeleted": None, "SpaceReclaimed": 0}
        done = client.containers.prune(filters={"label": label, "label!": "keep"})
        assert len(done["ContainersDeleted"]) == 1
        assert 3_000_000 <= done["SpaceReclaimed"] < 3_100_000
        done = client.containers.prune(filters={"label": label})
        assert len(done["ContainersDeleted"]) == 1 and done["SpaceReclaimed"] < 10_000
    finally:
        client.close()
    failed = run("container", "prune", "-f", "--filter", "until=x", check=False)
    assert 'failed to parse value as time or duration: "x"' in failed.stderr
