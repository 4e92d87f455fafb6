"""Mount options and the mount table."""

import pytest

from engine.linux import mounts
from engine.linux.mounts import Mount


def test_options():
    flags, propagation, data = mounts.parse_options(
        ("rbind", "ro", "nosuid", "rslave", "size=1m", "mode=755", "rw")
    )
    assert flags == mounts.MS_BIND | mounts.MS_REC | mounts.MS_RDONLY | mounts.MS_NOSUID
    assert propagation == mounts.MS_SLAVE | mounts.MS_REC
    assert data == "size=1m,mode=755"


def test_table():
    table = list(mounts.mounted())
    assert any(entry.target == "/proc" and entry.type == "proc" for entry in table)
    assert mounts.is_mounted("/proc")
    assert not mounts.is_mounted("/proc/self")


@pytest.mark.root  # umount(2) refuses other users before it looks
def test_unmounting_what_is_not_mounted(tmp_path):
    assert mounts.unmount(tmp_path) is False


def test_failure_names_the_paths():
    with pytest.raises(OSError) as caught:
        mounts.mount(Mount("bind", "/nosuch/a", "/nosuch/b", ("bind",)))
    assert caught.value.filename == "/nosuch/a"


def test_oci_form():
    assert Mount("tmpfs", "tmpfs", "/x", ("ro",)).to_oci() == {
        "destination": "/x",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["ro"],
    }
