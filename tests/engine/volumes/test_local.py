"""Driver options become a mount."""

from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.linux.mounts import Mount
from engine.volumes.local import addressed, mount_of, mount_volume
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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"type": "none", "device": "/not/there", "o": "bind"}, "flags: 0x1000: "),
        ({"type": "nope", "device": "x", "o": "ro,rw,a=b"}, "flags: 0x1, data: a=b: "),
        ({"type": "nope", "device": "x"}, "_data: "),
    ],
)
def test_a_failed_mount_is_told_in_dockerds_words(tmp_path, options, told):
    place = tmp_path / "_data"
    place.mkdir()
    volume = Volume("v", place, 0, None, options)
    what = mount_of(volume, str)
    with pytest.raises(EngineError) as failed:
        mount_volume(volume, what)
    head = f"error while mounting volume '{place}': failed to mount local volume: mount "
    assert failed.value.message.startswith(f"{head}{options['device']}:{place}")
    assert told in failed.value.message


def test_nfs_server_by_name():
    found = of(type="nfs", device=":/export", o="addr=localhost,rw")
    assert found is not None
    assert found.options == ("addr=localhost", "rw")
    assert addressed(found).options in (("addr=127.0.0.1", "rw"), ("addr=::1", "rw"))
    assert found.source == ":/export"
