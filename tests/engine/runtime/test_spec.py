"""The OCI config: Docker's defaults and what each wish changes in it."""

import pytest

from engine.errors import BadRequest
from engine.linux.devices import Device
from engine.linux.mounts import Mount
from engine.runtime.resources import DeviceRate, Resources
from engine.runtime.spec import HOST, NONE, Rlimit, SpecInputs, build, parse_device_rule
from engine.runtime.users import User


def config(**wishes):
    return build(SpecInputs(id="abc", rootfs="/r", args=("sh",), **wishes))


def namespaces(spec):
    return {entry["type"]: entry.get("path") for entry in spec["linux"]["namespaces"]}


def mount(spec, target):
    found = [entry for entry in spec["mounts"] if entry["destination"] == target]
    assert len(found) == 1
    return found[0]


def test_defaults_are_dockers():
    spec = config()
    assert spec["root"] == {"path": "/r", "readonly": False}
    assert len(spec["process"]["capabilities"]["bounding"]) == 14
    assert spec["linux"]["cgroupsPath"] == "/cove/abc"
    assert set(namespaces(spec)) == {"mount", "network", "ipc", "pid", "uts", "cgroup"}
    assert "/proc/kcore" in spec["linux"]["maskedPaths"]
    assert "/proc/sys" in spec["linux"]["readonlyPaths"]
    assert "ro" in mount(spec, "/sys")["options"]
    assert "size=67108864" in mount(spec, "/dev/shm")["options"]
    assert spec["linux"]["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    assert spec["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert spec["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "0"


def test_cgroup_namespace_is_private_on_v2_and_the_hosts_on_v1():
    assert "cgroup" in namespaces(config(cgroup_v2=True))
    assert "cgroup" not in namespaces(config(cgroup_v2=False))
    assert "cgroup" not in namespaces(config(cgroup=HOST))


def test_namespaces_of_others_and_of_the_host():
    spec = config(network="/proc/7/ns/net", ipc=HOST, pid=HOST, uts=HOST, hostname="ignored")
    assert namespaces(spec)["network"] == "/proc/7/ns/net"
    assert not {"ipc", "pid", "uts"} & set(namespaces(spec))
    assert "hostname" not in spec
    assert mount(spec, "/dev/shm")["type"] == "bind"
    assert mount(spec, "/dev/mqueue")["type"] == "mqueue"


def test_a_namespace_that_is_neither_is_refused():
    with pytest.raises(BadRequest, match="invalid pid mode: other"):
        config(pid="other")


def test_host_network_gets_no_sysctls_of_ours():
    assert config(network=HOST)["linux"]["sysctl"] == {}


def test_ipc_none_has_no_shared_memory():
    spec = config(ipc=NONE)
    assert not [entry for entry in spec["mounts"] if entry["destination"] == "/dev/shm"]
    assert "ipc" in namespaces(spec)


def test_privileged():
    spec = config(privileged=True, devices=(Device("/dev/kmsg", "c", 1, 11),))
    assert len(spec["process"]["capabilities"]["effective"]) == 41
    assert "maskedPaths" not in spec["linux"]
    assert "seccomp" not in spec["linux"]
    assert spec["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "ro" not in mount(spec, "/sys")["options"]
    assert "ro" not in mount(spec, "/sys/fs/cgroup")["options"]
    assert spec["linux"]["devices"][0]["path"] == "/dev/kmsg"


def test_only_root_has_effective_capabilities():
    caps = config(user=User(uid=1000, gid=1000))["process"]["capabilities"]
    assert set(caps) == {"bounding"}


def test_own_mounts_replace_defaults_and_parents_come_first():
    spec = config(
        mounts=(
            Mount("bind", "/b", "/data/inner/x", ("rbind",)),
            Mount("bind", "/a", "/data", ("rbind",)),
            Mount("bind", "/shm", "/dev/shm", ("rbind",)),
        )
    )
    assert mount(spec, "/dev/shm")["source"] == "/shm"
    order = [entry["destination"] for entry in spec["mounts"]]
    assert order.index("/data") < order.index("/data/inner/x")


def test_init_wraps_the_arguments():
    spec = config(init_path="/usr/bin/catatonit")
    assert spec["process"]["args"] == ["/sbin/docker-init", "--", "sh"]
    assert mount(spec, "/sbin/docker-init")["options"] == ["bind", "ro"]


def test_limits():
    limits = Resources(
        memory=64 << 20,
        nano_cpus=1_500_000_000,
        cpu_shares=512,
        cpuset_cpus="0-1",
        pids_limit=20,
        blkio_weight=300,
        blkio_read_bps=(DeviceRate(8, 0, 1024),),
    )
    found = config(resources=limits)["linux"]["resources"]
    assert found["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert found["cpu"] == {"period": 100000, "quota": 150000, "shares": 512, "cpus": "0-1"}
    assert found["pids"] == {"limit": 20}
    assert found["blockIO"]["throttleReadBpsDevice"] == [{"major": 8, "minor": 0, "rate": 1024}]


def test_rlimits():
    spec = config(rlimits=(Rlimit("nofile", 100, 200), Rlimit("core", -1, -1)))
    assert spec["process"]["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]
    with pytest.raises(BadRequest, match="invalid ulimit type: x"):
        config(rlimits=(Rlimit("x", 1, 1),))


def test_device_rules():
    assert parse_device_rule("c 1:3 rw") == {
        "allow": True,
        "type": "c",
        "access": "rw",
        "major": 1,
        "minor": 3,
    }
    assert "minor" not in parse_device_rule("b 8:* r")
    for text in ("c 1 rw", "x 1:3 r", "c 1:3 q", ""):
        with pytest.raises(BadRequest, match="invalid device cgroup rule format"):
            parse_device_rule(text)


def test_domain_name_and_console_size():
    spec = config(hostname="h", domainname="example", terminal=True, console_size=(24, 80))
    assert spec["hostname"] == "h"
    assert spec["linux"]["sysctl"]["kernel.domainname"] == "example"
    assert spec["process"]["consoleSize"] == {"height": 24, "width": 80}


def test_systempaths_unconfined():
    spec = config(masked_paths=(), readonly_paths=())
    assert spec["linux"]["maskedPaths"] == []
    assert spec["linux"]["readonlyPaths"] == []


def test_a_user_namespace_that_exists_is_entered():
    spec = config(
        user_namespace="/proc/7/fd/9",
        domainname="example.test",
        devices=(Device("/dev/inside", "c", 10, 229, source="/dev/fuse"),),
    )
    assert namespaces(spec)["user"] == "/proc/7/fd/9"
    assert spec["domainname"] == "example.test"
    assert "kernel.domainname" not in spec["linux"]["sysctl"]
    assert spec["linux"]["sysctl"]["net.ipv4.ping_group_range"] == "0 65535"
    # nobody makes nodes there: the machine's are mounted, the rules stay
    assert spec["linux"]["devices"] == []
    assert mount(spec, "/dev/inside")["source"] == "/dev/fuse"
    rule = {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"}
    assert rule in spec["linux"]["resources"]["devices"]
    assert "user" not in namespaces(config())
    shared = config(user_namespace="/proc/7/fd/9", ipc=HOST)
    assert not [one for one in shared["mounts"] if one["destination"] == "/dev/mqueue"]


@pytest.mark.parametrize(
    ("asked", "group"),
    [
        ("", "/cove/abc"),
        ("/", "/cove/abc"),
        ("/a/b/", "/a/b/abc"),
        ("a", "a/abc"),
        ("../../../tmp/x", "/tmp/x/abc"),
        ("/a/../..", "/cove/abc"),
    ],
)
def test_no_group_lies_outside_of_the_groups(asked, group):
    assert config(cgroup_parent=asked)["linux"]["cgroupsPath"] == group
