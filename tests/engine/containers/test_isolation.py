"""Who gets enhanced isolation, and which ids."""

from types import SimpleNamespace

import pytest

from engine.containers import isolation
from engine.containers.config import complete_host_config
from engine.containers.isolation import END, FIRST, LABEL, Ranges, enhanced
from engine.containers.shares import Shares
from engine.errors import BadRequest, EngineError
from engine.linux.userns import SIZE

ENHANCED, STANDARD = "cove.isolation=enhanced", "cove.isolation=standard"


def host(**fields):
    return complete_host_config(fields, "crun")


@pytest.mark.parametrize(
    ("fields", "labels", "default", "wanted"),
    [
        ({}, {}, "standard", False),
        ({}, {}, "enhanced", True),
        ({"SecurityOpt": [ENHANCED]}, {}, "standard", True),
        ({"SecurityOpt": [STANDARD]}, {}, "enhanced", False),
        ({"SecurityOpt": [STANDARD, ENHANCED]}, {}, "standard", True),
        ({}, {LABEL: "enhanced"}, "standard", True),
        ({}, {LABEL: "standard"}, "enhanced", False),
        ({"SecurityOpt": [ENHANCED]}, {LABEL: "standard"}, "standard", True),
        ({"UsernsMode": "host"}, {}, "enhanced", False),
        ({"UsernsMode": "host", "SecurityOpt": [STANDARD]}, {}, "enhanced", False),
        ({"Privileged": True}, {}, "standard", False),
        ({"Privileged": True, "UsernsMode": "host"}, {}, "enhanced", False),
    ],
)
def test_who_gets_it(fields, labels, default, wanted):
    assert enhanced(host(**fields), labels, default) is wanted


@pytest.mark.parametrize(
    ("fields", "labels", "words"),
    [
        ({"Privileged": True}, {}, "privileged mode is incompatible with user namespaces"),
        ({"NetworkMode": "host"}, {}, "cannot share the host's network namespace"),
        ({"PidMode": "host"}, {}, "cannot share the host PID namespace"),
        ({"UsernsMode": "host", "SecurityOpt": [ENHANCED]}, {}, "conflicting options"),
        ({"UsernsMode": "host"}, {LABEL: "enhanced"}, "conflicting options"),
        ({}, {LABEL: "much"}, "use enhanced or standard"),
    ],
)
def test_what_is_refused(fields, labels, words):
    with pytest.raises(BadRequest, match=words):
        enhanced(host(**fields), labels, "enhanced")


def test_words_of_the_option():
    assert isolation.is_option(ENHANCED)
    assert not isolation.is_option("seccomp=unconfined")
    with pytest.raises(EngineError, match='invalid --security-opt 2: "cove.isolation="'):
        isolation.is_option("cove.isolation=")


def test_whose_namespaces_are_joined():
    assert isolation.joins(host()) == []
    modes = {"NetworkMode": "container:a", "PidMode": "container:b", "IpcMode": "container:a"}
    assert isolation.joins(host(**modes)) == ["a", "b"]


class Held(list):
    """Containers with ranges."""

    def hold(self, base):
        self.append(SimpleNamespace(record=SimpleNamespace(id_base=base)))


def test_no_range_is_given_twice():
    held = Held()
    held.hold(FIRST + SIZE)
    ranges = Ranges(held)
    first, second = ranges.take("a"), ranges.take("b")
    assert (first, second) == (FIRST, FIRST + 2 * SIZE)
    ranges.settle("a")
    held.hold(first)
    assert ranges.take("c") == FIRST + 3 * SIZE


def test_a_range_given_back_comes_last(monkeypatch):
    assert (END - FIRST) // SIZE == 4094
    monkeypatch.setattr(isolation, "END", FIRST + 20 * SIZE)
    ranges = Ranges(Held())
    assert len({ranges.take(str(number)) for number in range(20)}) == 20
    with pytest.raises(EngineError, match="no range of ids is left"):
        ranges.take("more")
    ranges.settle("7")
    ranges.settle("7")
    assert ranges.take("more") == FIRST + 7 * SIZE


def test_the_machine_tells_the_default(tmp_path):
    machine = tmp_path / "machine.json"
    for text, wanted in (("{}", ""), ('{"isolation": "enhanced"}', "enhanced")):
        machine.write_text(text)
        assert Shares(tmp_path / "s", machine).isolation == wanted
