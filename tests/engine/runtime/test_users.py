"""Users of a container, looked up in its own files and never outside."""

import os

import pytest

from engine.errors import BadRequest
from engine.runtime.users import User, read_inside, resolve

PASSWD = "root:x:0:0:root:/root:/bin/sh\n# note\nbob:x:1000:100:Bob:/home/bob:/bin/sh\nbad\n"
GROUP = "root:x:0:\nusers:x:100:\nwheel:x:10:root,bob\nvideo:x:44:bob\n"


@pytest.fixture
def rootfs(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


def test_empty_is_root(rootfs):
    assert resolve(rootfs, "") == User(0, 0, (10,), "/root", "root")


def test_by_name_with_supplementary_groups(rootfs):
    assert resolve(rootfs, "bob") == User(1000, 100, (10, 44), "/home/bob", "bob")


def test_by_number(rootfs):
    assert resolve(rootfs, "1000").home == "/home/bob"
    assert resolve(rootfs, "4711") == User(4711, 0, (), "/", "")
    assert resolve(rootfs, "4711:4712").gid == 4712


def test_a_group_replaces_the_supplementary_ones(rootfs):
    assert resolve(rootfs, "bob:video") == User(1000, 44, (), "/home/bob", "bob")
    assert resolve(rootfs, "bob:users", ("video", "55")).groups == (44, 55)


def test_unknown_names(rootfs):
    with pytest.raises(BadRequest, match="unable to find user eve: no matching entries in passwd"):
        resolve(rootfs, "eve")
    with pytest.raises(BadRequest, match="unable to find group eve: no matching entries in group"):
        resolve(rootfs, "bob:eve")
    with pytest.raises(BadRequest, match="must be in range"):
        resolve(rootfs, "-1")


def test_without_files(tmp_path):
    assert resolve(tmp_path, "0") == User()
    with pytest.raises(BadRequest, match="unable to find user root"):
        resolve(tmp_path, "root")


def test_links_stay_inside(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("evil:x:0:0::/:\n")
    rootfs = tmp_path / "rootfs"
    (rootfs / "etc").mkdir(parents=True)
    (rootfs / "etc/passwd").symlink_to(outside)
    assert read_inside(rootfs, "/etc/passwd") is None
    (rootfs / "etc/group").symlink_to("../../../../real")
    (rootfs / "real").write_text("x:x:7:\n")
    assert read_inside(rootfs, "/etc/group") == b"x:x:7:\n"


def test_only_plain_files_are_opened(rootfs):
    """A fifo with something in it stands for the devices that an image may hold."""
    (rootfs / "etc/passwd").unlink()
    os.mkfifo(rootfs / "etc/passwd")
    pipe = os.open(rootfs / "etc/passwd", os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(pipe, b"odd:x:7:8::/:/bin/sh\n")
        assert read_inside(rootfs, "/etc/passwd") is None
        with pytest.raises(BadRequest, match="unable to find user odd"):
            resolve(rootfs, "odd")
        assert os.read(pipe, 100)  # nobody took it
    finally:
        os.close(pipe)
