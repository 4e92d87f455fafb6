"""The small parts of a config: ports, signals, variables, paths, times."""

from __future__ import annotations

import pytest

from engine.builder.configs import absolute, apply
from engine.builder.errors import DockerfileError
from engine.builder.history import duration
from engine.builder.instructions import Env, StopSignal
from engine.builder.ports import exposed
from engine.builder.sources import is_git, is_url


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ("80", ["80/tcp"]),
        ("80/UDP", ["80/udp"]),
        ("80/sctp", ["80/sctp"]),
        ("8000-8002/tcp", ["8000/tcp", "8001/tcp", "8002/tcp"]),
        ("90:91", ["91/tcp"]),
        ("127.0.0.1:90:91/udp", ["91/udp"]),
        ("[::1]:90:91", ["91/tcp"]),
        ("127.0.0.1::91", ["91/tcp"]),
        ("80-81:90-91", ["90/tcp", "91/tcp"]),
        ("80-90:91", ["91/tcp"]),
        ("0", ["0/tcp"]),
    ],
)
def test_exposed(spec: str, ports: list[str]) -> None:
    assert list(exposed([spec])) == ports


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("x", "Invalid containerPort: x"),
        ("70000", "Invalid containerPort: 70000"),
        ("90-80", "Invalid containerPort: 90-80"),
        ("٨٠", "Invalid containerPort: ٨٠"),
        ("80/foo", "Invalid proto: foo"),
        ("x:80", "Invalid hostPort: x"),
        ("1-3:80-81", "Invalid ranges specified for container and host Ports: 80-81 and 1-3"),
        ("1:2:3:4", "Invalid ip address: 1:2"),
        ("80:", "No port specified: 80:<empty>"),
    ],
)
def test_refused(spec: str, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        exposed([spec])
    assert caught.value.reason == reason


def test_each_port_once() -> None:
    assert exposed(["80-81", "81", "81/udp"]) == ("80/tcp", "81/tcp", "81/udp")


@pytest.mark.parametrize(
    ("signal", "known"),
    [
        ("SIGTERM", True),
        ("kill", True),
        ("9", True),
        ("SIGRTMIN", True),
        ("RTMIN+3", True),
        ("SIGRTMAX-1", True),
        ("RTMIN+99", False),
        ("RTMIN3", False),
        ("0", False),
        ("99999", False),
        ("SIG", False),
        ("_DFL", False),
        ("", False),
    ],
)
def test_signals(signal: str, known: bool) -> None:
    step = StopSignal(signal=signal)
    if known:
        assert apply({}, step)["StopSignal"] == signal
        return
    with pytest.raises(DockerfileError, match="invalid signal"):
        apply({}, step)


def test_variables_keep_their_place() -> None:
    config = {"Env": ["A=1", "B=2", "C"]}
    after = apply(config, Env(pairs=(("A", "9"), ("C", "3"), ("D", "4"))))
    assert after["Env"] == ["A=9", "B=2", "C=3", "D=4"]
    assert config == {"Env": ["A=1", "B=2", "C"]}


@pytest.mark.parametrize(
    ("workdir", "path", "expected"),
    [
        ("/", "a", "/a"),
        ("/a", "b/../c/", "/a/c"),
        ("/a", "/b", "/b"),
        ("/a", "../../..", "/"),
        ("/a", "//b//c", "/b/c"),
        ("a", "b", "/a/b"),
        ("/", "", "/"),
    ],
)
def test_absolute(workdir: str, path: str, expected: str) -> None:
    assert absolute(workdir, path) == expected


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (2_000_000, "2ms"),
        (1_000_000_000, "1s"),
        (61_500_000_000, "1m1.5s"),
        (3_600_000_000_000, "1h0m0s"),
        (90_061_000_000_001, "25h1m1.000000001s"),
    ],
)
def test_durations(time: int, expected: str) -> None:
    assert duration(time) == expected


@pytest.mark.parametrize(
    ("source", "git", "url"),
    [
        ("https://example.com/a.tar", False, True),
        ("http://example.com", False, True),
        ("https://example.com/a.git", True, False),
        ("https://example.com/a.git#main:dir", True, False),
        ("https://example.com/a.git/info", False, True),
        ("git@example.com:a/b", True, False),
        ("git://example.com/a", True, False),
        ("ssh://git@example.com/a", True, False),
        ("github.com/a/b", True, False),
        ("a.git", False, False),
        ("a@b", False, False),
        ("/x", False, False),
    ],
)
def test_sources(source: str, git: bool, url: bool) -> None:
    assert (is_git(source), is_url(source)) == (git, url)
