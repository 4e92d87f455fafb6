"""What each container has under its image, as dockerd's init layer gives it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.support.native import NativeEngine

pytestmark = pytest.mark.root

PLACES = {".dockerenv", "dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab"}


def exported(engine: NativeEngine, name: str) -> dict[str, tarfile.TarInfo]:
    client = engine.client()
    try:
        pieces = b"".join(client.containers.get(name).export())
    finally:
        client.close()
    with tarfile.open(fileobj=io.BytesIO(pieces)) as archive:
        return {member.name: member for member in archive}


def test_programs_find_out_that_they_are_in_a_container(native_engine: NativeEngine) -> None:
    done = native_engine.docker("run", "--rm", "busybox", "ls", "/.dockerenv", "/etc/mtab")
    assert done.stdout.split() == ["/.dockerenv", "/etc/mtab"]


def test_a_container_that_never_started_has_the_places(native_engine: NativeEngine) -> None:
    native_engine.docker("create", "--name", "ground", "busybox")
    try:
        assert PLACES <= exported(native_engine, "ground").keys()
        assert native_engine.docker("diff", "ground").stdout == ""
        assert native_engine.docker("cp", "ground:/etc/hosts", "-").returncode == 0
    finally:
        native_engine.docker("rm", "-f", "ground")


@pytest.mark.parametrize("isolation", ["standard", "enhanced"])
def test_an_export_holds_nothing_that_is_mounted(
    native_engine: NativeEngine, tmp_path: Path, isolation: str
) -> None:
    native_engine.folder.chmod(0o711)  # root inside is nobody outside, who has to pass
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    native_engine.docker("rm", "-fv", "ground", check=False)
    native_engine.docker(
        "run", "-d", "--name", "ground", "--security-opt", f"cove.isolation={isolation}",
        "-v", f"{secret}:/secret", "-v", "/data", "busybox",
        "sh", "-c", "echo own > /new; echo lost > /data/x; sleep 600",
    )  # fmt: skip
    try:
        while native_engine.docker(
            "exec", "ground", "test", "-e", "/data/x", check=False
        ).returncode:
            pass
        found = exported(native_engine, "ground")
        assert PLACES <= found.keys()
        assert found["secret"].size == 0 and found["etc/hosts"].size == 0
        assert found["new"].size == 4 and "data/x" not in found
        assert native_engine.docker("diff", "ground").stdout.split("\n")[:-1] == [
            "A /data",
            "A /new",
            "A /secret",
        ]
    finally:
        native_engine.docker("rm", "-fv", "ground")


def test_a_commit_has_no_places(native_engine: NativeEngine) -> None:
    native_engine.docker("run", "--name", "ground", "busybox", "touch", "/own")
    try:
        image = native_engine.docker("commit", "ground").stdout.strip()
        shown = native_engine.docker("history", "--format", "{{.Size}}", image).stdout.split()
        assert shown[0] == "0B"
        native_engine.docker("rmi", image)
    finally:
        native_engine.docker("rm", "-f", "ground")
