"""Ranges of ids: who has one, and that nobody shares it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.isolation.conftest import Boxes
from tests.support.native import NativeEngine

pytestmark = pytest.mark.root
ENHANCED = ("--security-opt", "cove.isolation=enhanced")
STANDARD = ("--security-opt", "cove.isolation=standard")


def ids_of(pid: int) -> list[int]:
    """The numbers of the first line of a process's uid_map."""
    return [int(word) for word in Path(f"/proc/{pid}/uid_map").read_text().split()[:3]]


def owner_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def test_root_inside_is_nobody_outside(boxes: Boxes) -> None:
    first, second = boxes.run(), boxes.run()
    found = [ids_of(box.pid) for box in (first, second)]
    for box, (inside, outside, count) in zip((first, second), found, strict=True):
        assert box.sh("id -u") == "0\n"
        assert (inside, count) == (0, 65536)
        assert outside >= 0x70000000 and owner_of(box.pid) == outside
        told = box.document()["HostConfig"]["IDMappings"]
        assert told == {"UidMap": [f"0:{outside}:65536"], "GidMap": [f"0:{outside}:65536"]}
    assert abs(found[0][1] - found[1][1]) >= 65536


def test_a_container_keeps_its_range(boxes: Boxes, engine: NativeEngine) -> None:
    box = boxes.run()
    before = ids_of(box.pid)
    engine.docker("restart", "-t", "0", box.name)
    assert ids_of(box.pid) == before
    engine.restart(kill=True)
    assert ids_of(box.pid) == before
    engine.docker("restart", "-t", "0", box.name)
    assert ids_of(box.pid) == before
    other = boxes.run()
    assert ids_of(other.pid) != before


def test_standard_isolation_can_be_asked_for(boxes: Boxes) -> None:
    whole = [0, 0, 4294967295]
    for flags in (STANDARD, ("--userns", "host"), ("--label", "dev.cove.isolation=standard")):
        box = boxes.run(*flags)
        assert ids_of(box.pid) == whole
        assert "IDMappings" not in box.document()["HostConfig"]
    both = boxes.run("--label", "dev.cove.isolation=standard", *ENHANCED)
    assert ids_of(both.pid) != whole


def test_the_label_of_an_image_does_not_count(boxes: Boxes, engine: NativeEngine) -> None:
    box = boxes.run()
    image = f"{box.name}:lax"
    engine.docker("commit", "-c", "LABEL dev.cove.isolation=standard", box.name, image)
    try:
        other = boxes.run(command=(image, "sleep", "600"))
        assert ids_of(other.pid)[1] >= 0x70000000
        engine.docker("rm", "-f", other.name)
    finally:
        engine.docker("rmi", image)


def test_info_tells(engine: NativeEngine, native_engine: NativeEngine) -> None:
    for one, wanted in ((engine, True), (native_engine, False)):
        options = json.loads(one.docker("info", "-f", "{{json .SecurityOptions}}").stdout)
        assert ("name=userns" in options) is wanted


def test_enhanced_isolation_of_one_container(native_engine: NativeEngine) -> None:
    native_engine.folder.chmod(0o700)
    argv = ("run", "--rm", *ENHANCED, "busybox", "true")
    refused = native_engine.docker(*argv, check=False)
    assert f"chmod o+x {native_engine.folder}" in refused.stderr
    native_engine.folder.chmod(0o711)
    shown = native_engine.docker(
        "run", "--rm", *ENHANCED, "busybox", "sh", "-c", "id -u; cat /proc/self/uid_map"
    ).stdout.split()
    assert shown[:2] == ["0", "0"] and int(shown[2]) >= 0x70000000


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--privileged",), "privileged mode is incompatible with user namespaces."),
        (
            ("--network", "host"),
            "cannot share the host's network namespace when user namespaces are enabled",
        ),
        (
            ("--pid", "host"),
            "cannot share the host PID namespace when user namespaces are enabled",
        ),
        (
            ("--userns", "host", *ENHANCED),
            "conflicting options: --userns=host and cove.isolation=enhanced",
        ),
        (
            ("--security-opt", "cove.isolation=much"),
            'invalid --security-opt 2: "cove.isolation=much": use enhanced or standard',
        ),
    ],
)
def test_what_cannot_be_combined_is_refused(
    engine: NativeEngine, flags: tuple[str, ...], words: str
) -> None:
    done = engine.docker("run", "--rm", *flags, "busybox", "true", check=False)
    assert done.returncode == 125
    assert words in done.stderr


@pytest.mark.parametrize("flags", [("--privileged",), ("--network", "host"), ("--pid", "host")])
def test_standard_isolation_allows_them(engine: NativeEngine, flags: tuple[str, ...]) -> None:
    argv = ("run", "--rm", "--userns", "host", *flags, "busybox", "echo", "on")
    assert engine.docker(*argv).stdout == "on\n"


def test_the_engines_socket_is_not_for_them(engine: NativeEngine) -> None:
    mount = ("-v", f"{engine.socket}:/var/run/docker.sock")
    done = engine.docker("run", "--rm", *mount, "busybox", "true", check=False)
    assert done.returncode != 0
    assert "the engine's socket can't be mounted with enhanced isolation" in done.stderr
    engine.docker("run", "--rm", *mount, *STANDARD, "busybox", "true")
