"""The list's filters, by the CLI, as dockerd 28 answers them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def named(native_engine: NativeEngine) -> Iterator[str]:
    """The beginning of the names of some containers: a runs, b has run, c is new, d of a child."""
    run, name = native_engine.docker, f"l{uuid4().hex[:8]}"
    sleep = ("busybox", "sleep", "600")
    run("run", "-d", "--name", f"{name}-a", "-p", "127.0.0.1::80", "--expose", "90/udp", *sleep)
    run(
        "run",
        "--name",
        f"{name}-b",
        "--expose",
        "90/udp",
        "busybox",
        "sh",
        "-c",
        "exit 3",
        check=False,
    )
    run("create", "--name", f"{name}-c", "-v", f"{name}:/data", "busybox")
    run("commit", f"{name}-c", f"{name}:child")
    run("create", "--name", f"{name}-d", f"{name}:child")
    run("commit", f"{name}-d", f"{name}:grandchild")
    yield name
    run("rm", "-fv", *(f"{name}-{letter}" for letter in "abcd"))
    run("rmi", "-f", f"{name}:grandchild", f"{name}:child")
    run("volume", "rm", "-f", name)


def letters(engine: NativeEngine, name: str, *filters: str, all: bool = True) -> str:
    """The last letters of the containers that the filters find, sorted."""
    args = [word for one in (f"name={name}", *filters) for word in ("--filter", one)]
    flag = ["-a"] if all else []
    found = engine.docker("ps", *flag, *args, "--format", "{{.Names}}").stdout.split()
    return "".join(sorted(one[-1] for one in found))


@pytest.mark.parametrize(
    ("filter", "of_all", "of_running"),
    [
        ("ancestor=busybox", "abcd", "a"),
        ("ancestor=NAME:child", "d", ""),
        ("ancestor=NAME:grandchild", "", ""),
        ("ancestor=nosuch", "", ""),
        ("before=NAME-b", "a", "a"),
        ("since=NAME-b", "cd", ""),
        ("exited=3", "b", ""),
        ("expose=90/udp", "a", "a"),
        ("expose=89-91/udp", "a", "a"),
        ("publish=80", "", ""),
        ("status=exited", "b", "b"),
        ("status=created", "cd", "cd"),
        ("volume=NAME", "c", ""),
        ("volume=/data", "c", ""),
        ("isolation=hyperv", "abcd", "a"),
        ("is-task=true", "", ""),
        ("name=-[ab]$", "abcd", "a"),  # names are alternatives
        ("network=bridge", "abcd", "a"),
        ("health=none", "abcd", "a"),
    ],
)
def test_filters(
    native_engine: NativeEngine, named: str, filter: str, of_all: str, of_running: str
) -> None:
    asked = filter.replace("NAME", named)
    assert letters(native_engine, named, asked) == of_all
    assert letters(native_engine, named, asked, all=False) == of_running


def test_a_published_port_is_that_of_the_machine(native_engine: NativeEngine, named: str) -> None:
    shown = native_engine.docker("inspect", f"{named}-a", "-f", "{{json .NetworkSettings.Ports}}")
    port = json.loads(shown.stdout)["80/tcp"][0]["HostPort"]
    assert letters(native_engine, named, f"publish={port}") == "a"
    assert letters(native_engine, named, f"publish={port}/udp") == ""


@pytest.mark.parametrize(
    ("filter", "words"),
    [
        ("exited=x", "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax"),
        ("expose=x", 'error while looking up for expose x: strconv.ParseUint: parsing "x"'),
        ("publish=70000", 'parsing "70000": value out of range'),
        ("health=x", "must be one of none, starting, healthy, unhealthy"),
        ("status=x", "invalid value for state (x)"),
        ("label!=x", "invalid filter 'label!'"),
        ("before=nosuch", "No such container: nosuch"),
    ],
)
def test_filters_that_are_none(native_engine: NativeEngine, filter: str, words: str) -> None:
    done = native_engine.docker("ps", "-a", "--filter", filter, check=False)
    assert done.returncode == 1 and words in done.stderr


def test_a_paused_container_is_not_probed(native_engine: NativeEngine) -> None:
    run, name = native_engine.docker, f"l{uuid4().hex[:8]}"
    run("run", "-d", "--name", name, "--health-cmd", "true", "busybox", "sleep", "600")
    try:
        assert "(health: starting)" in run("ps", "--filter", f"name={name}").stdout
        run("pause", name)
        assert "(Paused)" in run("ps", "--filter", "health=unhealthy").stdout
    finally:
        run("rm", "-f", name)
