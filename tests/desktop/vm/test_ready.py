"""Boot readiness from the console's lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from desktop.vm import ready
from desktop.vm.console import Console, tail
from desktop.vm.ready import Readiness
from desktop.vm.states import Progress, Requirement


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def states(readiness: Readiness) -> dict[str, str]:
    return {each.name: str(each.state) for each in readiness.requirements}


@pytest.mark.parametrize(
    "line, expected",
    [
        ("cove: kernel ok", ready.Line("kernel", True)),
        ("cove: disk ok clean, 64 GB\r", ready.Line("disk", True, "clean, 64 GB")),
        (
            "[    1.2] cove: disk failed no such device | build it again",
            ready.Line("disk", False, "no such device", "build it again"),
        ),
        ("cove: poweroff ok", ready.Line("poweroff", True)),
        ("cove: disk: checking", None),
        ("engine: cove: kernel okay", None),
        ("", None),
    ],
)
def test_lines(line: str, expected: ready.Line | None) -> None:
    assert ready.parse(line) == expected


def test_each_requirement_has_its_own_time() -> None:
    clock = Clock()
    readiness = Readiness(clock=clock)
    for seconds, what in [
        (0.5, "check"),
        (0.25, "machine"),
    ]:
        clock.now += seconds
        readiness.done(what)
    clock.now += 3
    readiness.feed("cove: kernel ok 6.12")
    clock.now += 1
    readiness.feed("cove: network ok")
    readiness.feed("cove: sshd ok port 22")
    assert states(readiness)["disk"] == "running"
    clock.now += 1
    readiness.feed("cove: disk ok formatted")
    clock.now += 2
    readiness.done("engine")
    assert readiness.current is None
    assert [each.seconds for each in readiness.requirements] == [0.5, 0.25, 3, 2, 1, 0, 3]


def test_engine_ok_is_not_believed_until_it_answers() -> None:
    readiness = Readiness()
    for name in ready.GUEST:
        readiness.feed(f"cove: {name} ok")
    assert readiness.current is not None and readiness.current.name == "engine"


def test_a_failure_has_cause_and_hint_and_may_be_overcome() -> None:
    readiness = Readiness()
    readiness.feed("cove: kernel ok")
    readiness.feed("cove: engine failed exit 1 | look at its log")
    engine = next(each for each in readiness.requirements if each.name == "engine")
    assert (engine.state, engine.cause) == (Progress.FAILED, "exit 1")
    assert engine.hint == "look at its log"
    readiness.done("engine", "again")
    engine = readiness.requirements[-1]
    assert (engine.state, engine.cause, engine.hint) == (Progress.DONE, "", "")


def test_a_second_boot_starts_the_list_anew() -> None:
    told: list[int] = []
    readiness = Readiness(lambda: told.append(1))
    readiness.done("check")
    readiness.feed("cove: kernel ok")
    readiness.again()
    assert states(readiness)["check"] == "done"
    assert states(readiness)["machine"] == "running"
    assert states(readiness)["kernel"] == "waiting"
    assert len(told) == 3


def test_a_kernel_that_falls_over_is_seen() -> None:
    assert ready.oops("[    0.9] Oops: int3: 0000 [#1] SMP PTI")
    assert ready.oops("Kernel panic - not syncing: Attempted to kill init!")
    assert not ready.oops("cove: kernel ok")


def test_requirements_survive_json_and_unknown_words() -> None:
    record = {"name": "disk", "title": "Disk", "state": "done", "seconds": 1.5, "colour": "red"}
    assert Requirement.from_record(record) == Requirement("disk", "Disk", Progress.DONE, 1.5)


def test_the_console_gives_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    console = Console(path)
    assert console.lines() == []
    with path.open("ab", buffering=0) as file:
        file.write(b"one\r\ntw")
        assert console.lines() == ["one"]
        file.write(b"o\nbad \xff\n")
        assert console.lines() == ["two", "bad \ufffd"]
        assert console.lines() == []
    console.rotate()
    assert console.lines() == [] and path.read_bytes() == b""
    assert tail(tmp_path / "console.log.1", 2) == ["two", "bad \ufffd"]
