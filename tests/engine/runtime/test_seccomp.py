"""The default profile is as strict as Docker's; users' own are converted as they are."""

import json

import pytest

from engine.errors import BadRequest
from engine.runtime import capabilities, seccomp


def verdicts(profile, name):
    """(action, errno, has arguments) of every rule that names `name`."""
    return [
        (rule["action"], rule.get("errnoRet"), bool(rule.get("args")))
        for rule in profile["syscalls"]
        if name in rule["names"]
    ]


@pytest.fixture
def profile():
    return seccomp.default(capabilities.DEFAULT)


@pytest.mark.parametrize(
    "name", "unshare mount setns keyctl bpf reboot io_uring_setup syslog mbind pivot_root".split()
)
def test_refused_without_capabilities(profile, name):
    assert verdicts(profile, name) == [("SCMP_ACT_ERRNO", 1, False)]


def test_new_namespaces_are_refused_but_threads_are_not(profile):
    allowed, *refused = verdicts(profile, "clone")
    assert allowed == ("SCMP_ACT_ALLOW", None, True)
    assert refused == [("SCMP_ACT_ERRNO", 1, True)] * 7  # by each flag of a namespace
    assert verdicts(profile, "clone3") == [("SCMP_ACT_ERRNO", 38, False)]
    assert verdicts(profile, "openat") == [("SCMP_ACT_ALLOW", None, False)]


def test_a_capability_opens_its_calls():
    admin = seccomp.default((*capabilities.DEFAULT, "CAP_SYS_ADMIN"))
    for name in ("unshare", "mount", "clone", "clone3", "bpf"):
        assert verdicts(admin, name) == [("SCMP_ACT_ALLOW", None, False)]
    assert verdicts(admin, "io_uring_setup") == [("SCMP_ACT_ERRNO", 1, False)]


def test_sockets_of_the_hypervisor_are_closed(profile):
    found = verdicts(profile, "socket")
    assert [action for action, _, arguments in found if not arguments] == []
    assert ("SCMP_ACT_ERRNO", 1, True) in found


def test_conditions_of_a_custom_profile():
    text = json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_BPF"]}},
                {"name": "rmdir", "action": "SCMP_ACT_ERRNO", "includes": {"caps": ["CAP_BPF"]}},
                {"names": ["link"], "action": "SCMP_ACT_ERRNO", "includes": {"minKernel": "99.0"}},
                {"names": ["sync"], "action": "SCMP_ACT_KILL", "includes": {"arches": ["none"]}},
            ],
        }
    )
    plain = seccomp.custom(text, ())
    assert [rule["names"] for rule in plain["syscalls"]] == [["mkdir"]]
    assert [r["names"] for r in seccomp.custom(text, ("CAP_BPF",))["syscalls"]] == [["rmdir"]]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"defaultAction": "x", "syscalls": [1]}'])
def test_malformed(text):
    with pytest.raises(BadRequest, match="seccomp profile"):
        seccomp.custom(text, ())
