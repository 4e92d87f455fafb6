"""The process of an exec takes after its container's."""

from engine.runtime.process import exec_process, merge_environment
from engine.runtime.spec import SpecInputs, build
from engine.runtime.users import User

SPEC = build(
    SpecInputs(id="a", rootfs="/r", args=("sh",), env=("PATH=/bin", "HOME=/root", "A=1"), cwd="/w")
)


def test_inherits():
    found = exec_process(SPEC, ["ls", "-l"])
    assert found["args"] == ["ls", "-l"]
    assert found["cwd"] == "/w"
    assert found["env"] == ["PATH=/bin", "HOME=/root", "A=1"]
    assert found["user"]["uid"] == 0
    assert len(found["capabilities"]["effective"]) == 14
    assert found["terminal"] is False


def test_another_user_and_place():
    user = User(1000, 1000, (10,), "/home/bob", "bob")
    found = exec_process(SPEC, ["id"], env=["A=2"], cwd="/tmp", user=user)
    assert found["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [1000, 10]}
    assert found["cwd"] == "/tmp"
    assert sorted(found["env"]) == ["A=2", "HOME=/home/bob", "PATH=/bin"]
    assert set(found["capabilities"]) == {"bounding"}


def test_privileged_and_terminal():
    found = exec_process(SPEC, ["sh"], privileged=True, terminal=True, console_size=(30, 90))
    assert len(found["capabilities"]["effective"]) == 41
    assert "TERM=xterm" in found["env"]
    assert found["consoleSize"] == {"height": 30, "width": 90}


def test_environment():
    assert merge_environment(["A=1", "B=2"], ["A=3", "B", "C="]) == ["A=3", "C="]
