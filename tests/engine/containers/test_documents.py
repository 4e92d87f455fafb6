"""Config and HostConfig: merged with the image, completed, refused in dockerd's words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.containers import limits
from engine.containers.assemble import container_mounts
from engine.containers.config import command_of, complete_config, complete_host_config
from engine.containers.document import check_config, check_host_config
from engine.containers.endpoints import asked_endpoints
from engine.containers.limits import Machine, check, format_set, parse_set, resources
from engine.containers.logopts import parse_size
from engine.containers.record import MountPoint, Record
from engine.containers.validate import check_create, check_policy
from engine.errors import BadRequest, EngineError

MACHINE = Machine(frozenset({0, 1}), frozenset({0}), cgroup_v2=True)
IMAGE = {
    "Cmd": ["serve"],
    "Entrypoint": ["/entry"],
    "Env": ["PATH=/bin", "A=image"],
    "Labels": {"from": "image", "both": "image"},
    "ExposedPorts": {"80/tcp": {}},
    "Volumes": {"/data": {}},
    "User": "app",
    "WorkingDir": "/srv",
    "StopSignal": "SIGQUIT",
    "Healthcheck": {"Test": ["CMD", "x"], "Retries": 5},
}


def test_the_image_fills_what_the_client_left_out() -> None:
    config = complete_config(
        {"Env": ["A=mine"], "Labels": {"both": "mine"}, "ExposedPorts": {"81/udp": {}}},
        IMAGE,
        "0123456789abcdef",
    )
    assert config["Env"] == ["A=mine", "PATH=/bin"]
    assert config["Labels"] == {"from": "image", "both": "mine"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "81/udp"}
    assert (config["User"], config["WorkingDir"]) == ("app", "/srv")
    assert config["StopSignal"] == "SIGQUIT"
    assert config["Healthcheck"]["Retries"] == 5
    assert config["Hostname"] == "0123456789ab"
    assert command_of(config) == ["/entry", "serve"]


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ({"Cmd": ["a"]}, ["/entry", "a"]),
        ({"Cmd": "a"}, ["/entry", "a"]),
        ({"Entrypoint": ["e"]}, ["e"]),
        ({"Entrypoint": ["e"], "Cmd": ["c"]}, ["e", "c"]),
        ({"Entrypoint": [""], "Cmd": ["c"]}, ["c"]),
        ({"Entrypoint": []}, ["serve"]),
    ],
)
def test_entrypoint_and_command(asked: dict[str, Any], command: list[str]) -> None:
    assert command_of(complete_config(asked, IMAGE, "i" * 64)) == command


def test_host_defaults() -> None:
    host = complete_host_config({"NetworkMode": "default", "Memory": 10 << 20}, "crun")
    assert (host["NetworkMode"], host["MemorySwap"]) == ("bridge", 20 << 20)
    assert host["RestartPolicy"] == {"Name": "no", "MaximumRetryCount": 0}
    assert "/proc/kcore" in host["MaskedPaths"]
    privileged = complete_host_config({"Privileged": True}, "crun")
    assert privileged["MaskedPaths"] is None and privileged["CgroupnsMode"] == "private"
    ports = complete_host_config({"PortBindings": {"80": [{"HostPort": "1"}]}}, "crun")
    assert ports["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "1"}]}


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"Memory": 1000}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"MemorySwap": 10 << 20}, "You should always set the Memory limit"),
        ({"Memory": 20 << 20, "MemorySwap": 10 << 20}, "should be larger than memory limit"),
        ({"MemorySwappiness": 200}, "valid memory swappiness range is 0-100"),
        ({"NanoCpus": 10**12}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs"),
        ({"NanoCpus": 10**9, "CpuQuota": 5000}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"CpuPeriod": 5}, "CPU cfs period can not be less than 1ms"),
        ({"CpusetCpus": "0,7"}, "Requested CPUs are not available - requested 0,7, available: 0-1"),
        ({"CpusetCpus": "x"}, "Invalid value x for cpuset cpus: invalid format: x"),
        ({"CpusetMems": "3"}, "Requested memory nodes are not available"),
        ({"BlkioWeight": 5}, "Range of blkio weight is from 10 to 1000"),
        ({"OomScoreAdj": 2000}, "range for oom score adj is"),
        ({"ShmSize": -1}, "SHM size can not be less than 0"),
        ({"RestartPolicy": {"Name": "x"}}, "invalid restart policy: unknown policy 'x'"),
        ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "can't create 'AutoRemove'"),
        ({"NetworkMode": "container:"}, "invalid container format container:<name|id>"),
        ({"NetworkMode": "host", "Links": ["a:b"]}, "host type networking can't be used with"),
        ({"ExtraHosts": ["x"]}, 'bad format for add-host: "x"'),
        ({"ExtraHosts": ["x:y"]}, 'invalid IP address in add-host: "y"'),
        ({"PidMode": "x"}, "invalid PID mode: x"),
        ({"IpcMode": "x"}, "invalid IPC mode: x"),
        ({"Isolation": "hyperv"}, "linux only supports 'default'"),
        ({"Runtime": "x"}, "unknown or invalid runtime name: x"),
        ({"StorageOpt": {"size": "1G"}}, "--storage-opt is supported only for overlay over xfs"),
        ({"LogConfig": {"Type": "x"}}, 'error looking up logging plugin x: plugin "x" not found'),
        ({"LogConfig": {"Type": "syslog"}}, "not built into this engine"),
        ({"LogConfig": {"Type": "json-file", "Config": {"x": "1"}}}, "unknown log opt 'x'"),
        ({"SecurityOpt": ["x"]}, 'invalid --security-opt 1: "x"'),
        ({"CapAdd": ["x"]}, 'invalid CapAdd: unknown capability: "CAP_X"'),
        ({"Sysctls": {"kernel.panic": "1"}}, "is not in a separate kernel namespace"),
        ({"PortBindings": {"x/tcp": [{}]}}, 'invalid port specification: "x"'),
    ],
)
def test_refusals(host: dict[str, Any], words: str) -> None:
    complete = complete_host_config(host, "crun")
    with pytest.raises(EngineError) as caught:
        check_create(complete_config({}, IMAGE, "i" * 64), complete, MACHINE)
    assert words in caught.value.message


def test_what_is_left_out_is_told() -> None:
    host = complete_host_config({"OomKillDisable": True, "MemorySwappiness": 5}, "crun")
    assert len(check(host, MACHINE)) == 2
    found = resources(host, MACHINE)
    assert not found.oom_kill_disable and found.memory_swappiness is None
    weightless = Machine(frozenset({0}), frozenset({0}), cgroup_v2=False, blkio_weight=False)
    host = complete_host_config({"BlkioWeight": 500}, "crun")
    assert "does not support Block I/O weight" in check(host, weightless)[0]
    assert resources(host, weightless).blkio_weight == 0


@pytest.mark.parametrize("document", [{"Memory": "x"}, {"Binds": "x"}, {"Privileged": 1}])
def test_wrong_types_of_host_config(document: dict[str, Any]) -> None:
    key = next(iter(document))
    with pytest.raises(EngineError, match=f"Go struct field .HostConfig.{key} of type"):
        check_host_config(document)


def test_wrong_types_of_config() -> None:
    with pytest.raises(EngineError, match=r"cannot unmarshal string .* field .Env of type \[\]str"):
        check_config({"Env": "x"})
    with pytest.raises(EngineError, match="EndpointsConfig"):
        check_config({"NetworkingConfig": {"EndpointsConfig": {"a": 1}}})


def test_policies() -> None:
    check_policy({"Name": "on-failure", "MaximumRetryCount": 3})
    with pytest.raises(EngineError, match="can only be used with 'on-failure'"):
        check_policy({"Name": "always", "MaximumRetryCount": 3})
    with pytest.raises(EngineError, match="cannot be negative"):
        check_policy({"Name": "on-failure", "MaximumRetryCount": -3})


@pytest.mark.parametrize(("text", "size"), [("10m", 10 << 20), ("1.5k", 1536), ("7", 7)])
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_sets_of_numbers() -> None:
    assert parse_set("0-2,7") == {0, 1, 2, 7}
    assert parse_set("2-1") is None and parse_set("") is None
    assert format_set(frozenset({0, 1, 2, 7})) == "0-2,7"


def test_limits_that_mean_none_are_null() -> None:
    host = complete_host_config({"MemorySwappiness": -1, "PidsLimit": 0}, "crun")
    assert (host["MemorySwappiness"], host["PidsLimit"]) == (None, None)
    host = complete_host_config({"MemorySwappiness": 0, "PidsLimit": -1}, "crun")
    assert (host["MemorySwappiness"], host["PidsLimit"]) == (0, None)


def test_what_was_not_asked_is_null_and_what_says_nothing_too() -> None:
    host = complete_host_config({"Devices": []}, "crun")
    assert (host["Devices"], host["Ulimits"], host["PortBindings"]) == ([], None, None)
    config = complete_config({"Env": [], "StopTimeout": 0, "Healthcheck": {}}, {}, "i" * 64)
    assert config["Env"] is None
    assert (config["StopTimeout"], config["Healthcheck"]) == (0, {})
    assert complete_config({"WorkingDir": "/a/../b/"}, {}, "i" * 64)["WorkingDir"] == "/b"


@pytest.mark.parametrize("asked", [{"Privileged": True}, {"IpcMode": "host"}, {"PidMode": "host"}])
def test_what_sees_the_machine_has_no_label(asked: dict[str, Any]) -> None:
    host = complete_host_config({**asked, "SecurityOpt": ["seccomp=unconfined"]}, "crun")
    assert host["SecurityOpt"] == ["seccomp=unconfined", "label=disable"]


@pytest.mark.parametrize("v2", [False, True])
def test_what_is_discarded_is_not_kept(v2: bool) -> None:
    machine = replace(MACHINE, cgroup_v2=v2, blkio_weight=False)
    asked = {
        "OomKillDisable": True, "MemorySwappiness": 5, "KernelMemory": 9, "KernelMemoryTCP": 9,
        "BlkioWeight": 50, "BlkioWeightDevice": [{"Path": "/x"}], "CpuPercent": 5,
    }  # fmt: skip
    host = complete_host_config(asked, "crun")
    limits.settle(host, machine)
    kept = (host["OomKillDisable"], host["MemorySwappiness"], host.get("KernelMemoryTCP"))
    assert kept == ((None, None, None) if v2 else (True, 5, 9))
    assert (host["BlkioWeight"], host["BlkioWeightDevice"], host["CpuPercent"]) == (0, [], 0)
    assert "KernelMemory" not in host


def test_addresses_that_no_network_gives() -> None:
    ipam = {"IPv4Address": "x", "LinkLocalIPs": ["y"]}
    networking = {"EndpointsConfig": {"bridge": {"IPAMConfig": ipam}}}
    with pytest.raises(BadRequest) as failure:
        asked_endpoints(networking, {}, {"NetworkMode": "bridge"})
    assert failure.value.message.splitlines()[1:] == [
        "* user specified IP address is supported on user defined networks only",
        "* invalid IPv4 address: x",
        "* invalid link-local IP address: y",
    ]


def test_only_the_networks_that_are_given_are_joined() -> None:
    networking = {"EndpointsConfig": {"mine": {"MacAddress": "02:42:ac:11:00:09"}}}
    assert list(asked_endpoints(networking, {}, {"NetworkMode": "bridge"})) == ["mine"]
    config: dict[str, Any] = {}
    asked_endpoints(networking, config, {"NetworkMode": "mine"})
    assert config["MacAddress"] == "02:42:ac:11:00:09"


def test_only_folders_are_read_only_below(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    host = complete_host_config({}, "crun")
    points = [
        MountPoint("bind", f"/{name}", source=str(tmp_path / name), writable=False)
        for name in ("", "file")
    ]
    record = Record(
        id="a",
        name="a",
        created=0,
        image_id="",
        chain_ids=[],
        config={},
        host_config=host,
        path="sh",
        args=[],
        endpoints={},
        mounts=points,
    )
    folder, file = container_mounts(record, tmp_path, "")
    assert folder.options == ("rbind", "rprivate", "ro", "rro")
    assert file.options == ("rbind", "rprivate", "ro")


def test_a_health_check_keeps_what_was_given() -> None:
    asked = {"Test": ["CMD", "y"], "Interval": None, "Timeout": 0, "Retries": 2}
    config = complete_config({"Healthcheck": asked}, {"Cmd": ["sh"]}, "0" * 64)
    assert config["Healthcheck"] == {"Test": ["CMD", "y"], "Retries": 2}
    merged = complete_config({"Healthcheck": {"Timeout": 9}}, IMAGE, "0" * 64)
    assert merged["Healthcheck"] == {"Test": ["CMD", "x"], "Retries": 5, "Timeout": 9}
