"""Driver options become a mount."""

from pathlib import Path

from engine.linux.mounts import Mount
from engine.volumes.local import addressed, mount_of
from engine.volumes.volume import Volume


def of(**options: str) -> Mount | None:
    volume = Volume("v", Path("/v/_data"), 0, None, options)
    return mount_of(volume, lambda path: f"/host{path}")


def test_plain_folder():
    assert of() is None
    assert mount_of(Volume("v", Path("/v/_data"), 0), str) is None


def test_tmpfs():
    assert of(type="tmpfs", device="tmpfs", o="size=1m,uid=5") == Mount(
        "tmpfs", "tmpfs", "/v/_data", ("size=1m", "uid=5")
    )


def test_bind_is_looked_for_on_the_users_machine():
    assert of(type="none", device="/home/me", o="bind") == Mount(
        "none", "/host/home/me", "/v/_data", ("bind",)
    )


def test_nfs_server_by_name():
    found = of(type="nfs", device=":/export", o="addr=localhost,rw")
    assert found is not None
    assert found.options == ("addr=localhost", "rw")
    assert addressed(found).options in (("addr=127.0.0.1", "rw"), ("addr=::1", "rw"))
    assert found.source == ":/export"
