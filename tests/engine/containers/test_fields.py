"""Every field of Docker's API document (1.51) for a new container: what the engine does with it.

A row is honoured (the OCI config or the record shows it), refused in dockerd's words, or told in a
warning. The names are those of the document's ContainerConfig, HostConfig and what is inside them;
a field without a row fails the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.containers import assemble, config, health, logopts, points
from engine.containers.container import Container
from engine.containers.document import check_config
from engine.containers.endpoints import asked_endpoints, exposed_ports, port_requests
from engine.containers.limits import Machine
from engine.containers.neighbours import Settings
from engine.containers.record import Json, MountPoint, Record
from engine.containers.restart import policy_of
from engine.containers.shares import Shares
from engine.containers.signals import stop_signal
from engine.containers.validate import check_create, check_devices, check_link
from engine.errors import EngineError
from engine.networks import Sandbox, files
from engine.runtime import spec
from engine.runtime.users import User

CONFIG = """Hostname Domainname User AttachStdin AttachStdout AttachStderr ExposedPorts Tty
OpenStdin StdinOnce Env Cmd Healthcheck ArgsEscaped Image Volumes WorkingDir Entrypoint
NetworkDisabled MacAddress OnBuild Labels StopSignal StopTimeout Shell"""
HEALTHCHECK = "Test Interval Timeout Retries StartPeriod StartInterval"
HOST_CONFIG = """CpuShares Memory CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps
BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod CpuQuota CpuRealtimePeriod
CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemoryTCP
MemoryReservation MemorySwap MemorySwappiness NanoCpus OomKillDisable Init PidsLimit Ulimits
CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth Binds ContainerIDFile LogConfig NetworkMode
PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom Mounts ConsoleSize Annotations CapAdd
CapDrop CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj
PidMode Privileged PublishAllPorts ReadonlyRootfs SecurityOpt StorageOpt Tmpfs UTSMode UsernsMode
ShmSize Sysctls Runtime Isolation MaskedPaths ReadonlyPaths"""
INSIDE = {
    "Healthcheck": HEALTHCHECK,
    "LogConfig": "Type Config",
    "RestartPolicy": "Name MaximumRetryCount",
    "Devices": "PathOnHost PathInContainer CgroupPermissions",
    "DeviceRequests": "Driver Count DeviceIDs Capabilities Options",
    "Ulimits": "Name Soft Hard",
    "Mounts": "Target Source Type ReadOnly Consistency BindOptions VolumeOptions ImageOptions"
    " TmpfsOptions",
    "BindOptions": "Propagation NonRecursive CreateMountpoint ReadOnlyNonRecursive"
    " ReadOnlyForceRecursive",
    "VolumeOptions": "NoCopy Labels DriverConfig Subpath",
    "ImageOptions": "Subpath",
    "TmpfsOptions": "SizeBytes Mode Options",
}

V1 = Machine(frozenset({0, 1}), frozenset({0}), cgroup_v2=False, cpu_realtime=True)
V2 = Machine(frozenset({0, 1}), frozenset({0}), cgroup_v2=True)
BARE = Machine(frozenset({0, 1}), frozenset({0}), cgroup_v2=True, blkio_weight=False)


@dataclass(frozen=True)
class Honoured:
    """`asked` makes `path` (keys by dots) of the view have `value`, or contain it if a list."""

    asked: Json
    path: str
    value: Any
    machine: Machine = V2


@dataclass(frozen=True)
class Told:
    """`asked` is refused with, or warned about in, these words."""

    asked: Json
    words: str
    machine: Machine = V2


def host(**fields: Any) -> Json:
    return {"HostConfig": fields}


def mount(**fields: Any) -> Json:
    return host(Mounts=[{"Type": "volume", "Source": "data", "Target": "/d", **fields}])


def bind(**options: Any) -> Json:
    return host(
        Mounts=[{"Type": "bind", "Source": "/", "Target": "/d", "ReadOnly": True,
                 "BindOptions": options}]
    )  # fmt: skip


NULL = {"Path": "/dev/null", "Rate": 5}
RATE = {"major": 1, "minor": 3, "rate": 5}
GPU = {"Driver": "nvidia", "Count": 1, "DeviceIDs": ["0"], "Options": {"a": "b"},
       "Capabilities": [["gpu"]]}  # fmt: skip
NO_GPU = 'could not select device driver "nvidia" with capabilities: [[gpu]]'

# fields whose word is kept for those who ask (inspect), as dockerd does, and changes nothing else
KEPT = {
    "ArgsEscaped": True,
    "OnBuild": ["RUN x"],
    "AttachStdin": True,
    "AttachStdout": True,
    "AttachStderr": True,
    "Image": "box",
    "Labels": {"a": "b"},
    "StopTimeout": 3,
    "HostConfig.ContainerIDFile": "/tmp/id",
    "HostConfig.AutoRemove": True,
    "HostConfig.Runtime": "runc",
    "HostConfig.UsernsMode": "host",
    "HostConfig.Isolation": "default",
    "HostConfig.GroupAdd": ["audio"],
    "HostConfig.VolumeDriver": "local",
    "OpenStdin": True,
    "StdinOnce": True,
    "User": "app:staff",
}

ROWS: dict[str, Honoured | Told] = {
    "Hostname": Honoured({"Hostname": "web"}, "oci.hostname", "web"),
    "Domainname": Honoured(
        {"Domainname": "lan"}, "oci.linux.sysctl", {"kernel.domainname": "lan"}
    ),
    "ExposedPorts": Honoured({"ExposedPorts": {"80/tcp": {}}}, "exposed", ["80/tcp"]),
    "Tty": Honoured({"Tty": True}, "oci.process.terminal", True),
    "Env": Honoured({"Env": ["A=1"]}, "oci.process.env", ["A=1"]),
    "Cmd": Honoured({"Cmd": ["a", "b"]}, "oci.process.args", ["a", "b"]),
    "Entrypoint": Honoured({"Entrypoint": ["e"]}, "oci.process.args", ["e"]),
    "Volumes": Honoured({"Volumes": {"/v": {}}}, "oci.mounts./v.type", "bind"),
    "WorkingDir": Honoured({"WorkingDir": "/w"}, "oci.process.cwd", "/w"),
    "NetworkDisabled": Honoured({"NetworkDisabled": True}, "endpoints", ["none"]),
    "MacAddress": Told({"MacAddress": "02:42:ac:11:00:09"}, "MacAddress field is now deprecated"),
    "StopSignal": Honoured({"StopSignal": "SIGINT"}, "stop_signal", 2),
    "Shell": Honoured(
        {"Shell": ["/bin/ash", "-c"], "Healthcheck": {"Test": ["CMD-SHELL", "x"]}},
        "health.command", ["/bin/ash", "-c", "x"],
    ),
    "Healthcheck.Test": Honoured({"Healthcheck": {"Test": ["CMD", "x"]}}, "health.command", ["x"]),
    **{
        f"Healthcheck.{key}": Honoured(
            {"Healthcheck": {"Test": ["CMD", "x"], key: value}}, f"health.{name}", shown
        )
        for key, value, name, shown in (
            ("Interval", 2 * 10**9, "interval", 2),
            ("Timeout", 2 * 10**9, "timeout", 2),
            ("Retries", 7, "retries", 7),
            ("StartPeriod", 2 * 10**9, "start_period", 2),
            ("StartInterval", 2 * 10**9, "start_interval", 2),
        )
    },
    "HostConfig.CpuShares": Honoured(host(CpuShares=5), "oci.linux.resources.cpu.shares", 5),
    "HostConfig.Memory": Honoured(
        host(Memory=9 << 20), "oci.linux.resources.memory.limit", 9 << 20
    ),
    "HostConfig.MemorySwap": Honoured(
        host(Memory=9 << 20, MemorySwap=-1), "oci.linux.resources.memory.swap", -1
    ),
    "HostConfig.MemoryReservation": Honoured(
        host(MemoryReservation=9 << 20), "oci.linux.resources.memory.reservation", 9 << 20
    ),
    "HostConfig.MemorySwappiness": Honoured(
        host(MemorySwappiness=5), "oci.linux.resources.memory.swappiness", 5, V1
    ),
    "HostConfig.OomKillDisable": Honoured(
        host(OomKillDisable=True), "oci.linux.resources.memory.disableOOMKiller", True, V1
    ),
    "HostConfig.KernelMemoryTCP": Honoured(
        host(KernelMemoryTCP=9 << 20), "oci.linux.resources.memory.kernelTCP", 9 << 20, V1
    ),
    "HostConfig.CgroupParent": Honoured(
        host(CgroupParent="/mine"), "oci.linux.cgroupsPath", "/mine/" + "a" * 64
    ),
    "HostConfig.BlkioWeight": Honoured(
        host(BlkioWeight=50), "oci.linux.resources.blockIO.weight", 50
    ),
    "HostConfig.BlkioWeightDevice": Honoured(
        host(BlkioWeightDevice=[{"Path": "/dev/null", "Weight": 50}]),
        "oci.linux.resources.blockIO.weightDevice", [{"major": 1, "minor": 3, "weight": 50}],
    ),
    **{
        f"HostConfig.BlkioDevice{one}": Honoured(
            host(**{f"BlkioDevice{one}": [NULL]}),
            f"oci.linux.resources.blockIO.throttle{one.replace('IOps', 'IOPS')}Device", [RATE],
        )
        for one in ("ReadBps", "WriteBps", "ReadIOps", "WriteIOps")
    },
    "HostConfig.CpuPeriod": Honoured(
        host(CpuPeriod=5000), "oci.linux.resources.cpu.period", 5000
    ),
    "HostConfig.CpuQuota": Honoured(host(CpuQuota=5000), "oci.linux.resources.cpu.quota", 5000),
    "HostConfig.NanoCpus": Honoured(
        host(NanoCpus=5 * 10**8), "oci.linux.resources.cpu.quota", 50_000
    ),
    "HostConfig.CpuRealtimePeriod": Honoured(
        host(CpuRealtimePeriod=99), "oci.linux.resources.cpu.realtimePeriod", 99, V1
    ),
    "HostConfig.CpuRealtimeRuntime": Honoured(
        host(CpuRealtimeRuntime=99), "oci.linux.resources.cpu.realtimeRuntime", 99, V1
    ),
    "HostConfig.CpusetCpus": Honoured(host(CpusetCpus="1"), "oci.linux.resources.cpu.cpus", "1"),
    "HostConfig.CpusetMems": Honoured(host(CpusetMems="0"), "oci.linux.resources.cpu.mems", "0"),
    "HostConfig.PidsLimit": Honoured(host(PidsLimit=9), "oci.linux.resources.pids.limit", 9),
    "HostConfig.DeviceCgroupRules": Honoured(
        host(DeviceCgroupRules=["c 7:* r"]), "oci.linux.resources.devices",
        [{"allow": True, "type": "c", "access": "r", "major": 7}],
    ),
    "HostConfig.Devices.PathOnHost": Honoured(
        host(Devices=[{"PathOnHost": "/dev/null"}]), "oci.linux.devices./dev/null.minor", 3
    ),
    "HostConfig.Devices.PathInContainer": Honoured(
        host(Devices=[{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x"}]),
        "oci.linux.devices./dev/x.minor", 3,
    ),
    "HostConfig.Devices.CgroupPermissions": Honoured(
        host(Devices=[{"PathOnHost": "/dev/null", "CgroupPermissions": "r"}]),
        "oci.linux.resources.devices",
        [{"allow": True, "type": "c", "access": "r", "major": 1, "minor": 3}],
    ),
    **{
        f"HostConfig.DeviceRequests.{key}": Told(host(DeviceRequests=[GPU]), NO_GPU)
        for key in INSIDE["DeviceRequests"].split()
    },
    "HostConfig.Init": Honoured(host(Init=True), "oci.process.args", ["/sbin/docker-init"]),
    **{
        f"HostConfig.Ulimits.{key}": Honoured(
            host(Ulimits=[{"Name": "nofile", "Soft": 5, "Hard": 6}]),
            "oci.process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}],
        )
        for key in ("Name", "Soft", "Hard")
    },
    "HostConfig.CpuCount": Told(host(CpuCount=1), "CPU count. Count discarded."),
    "HostConfig.CpuPercent": Told(host(CpuPercent=1), "CPU percent. Percent discarded."),
    "HostConfig.IOMaximumIOps": Told(host(IOMaximumIOps=1), "QoS maximum IOPs configuration"),
    "HostConfig.IOMaximumBandwidth": Told(host(IOMaximumBandwidth=1), "QoS maximum bandwidth con"),
    "HostConfig.Binds": Honoured(
        host(Binds=["/:/b:ro"]), "oci.mounts./b.options", ["rbind", "rprivate", "ro"]
    ),
    "HostConfig.LogConfig.Type": Honoured(host(LogConfig={"Type": "none"}), "log.driver", "none"),
    "HostConfig.LogConfig.Config": Honoured(
        host(LogConfig={"Config": {"tag": "{{.Name}}"}}), "log.details", "tag=web"
    ),
    "HostConfig.NetworkMode": Honoured(host(NetworkMode="mine"), "endpoints", ["mine"]),
    "HostConfig.PortBindings": Honoured(
        host(PortBindings={"80/tcp": [{"HostPort": "8080"}]}), "ports", [(80, 8080)]
    ),
    "HostConfig.PublishAllPorts": Honoured(
        {"ExposedPorts": {"80/tcp": {}}, **host(PublishAllPorts=True)}, "exposed", ["80/tcp"]
    ),
    "HostConfig.RestartPolicy.Name": Honoured(
        host(RestartPolicy={"Name": "always"}), "policy.name", "always"
    ),
    "HostConfig.RestartPolicy.MaximumRetryCount": Honoured(
        host(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 3}), "policy.maximum", 3
    ),
    "HostConfig.VolumesFrom": Honoured(host(VolumesFrom=["other"]), "oci.mounts./o.source", "/vol"),
    "HostConfig.ConsoleSize": Honoured(
        {"Tty": True, **host(ConsoleSize=[5, 6])}, "oci.process.consoleSize",
        {"height": 5, "width": 6},
    ),
    "HostConfig.Annotations": Honoured(host(Annotations={"a": "b"}), "oci.annotations.a", "b"),
    "HostConfig.CapAdd": Honoured(
        host(CapAdd=["NET_ADMIN"]), "oci.process.capabilities.bounding", ["CAP_NET_ADMIN"]
    ),
    "HostConfig.CapDrop": Honoured(
        host(CapDrop=["ALL"], CapAdd=["CHOWN"]), "oci.process.capabilities",
        {"bounding": ["CAP_CHOWN"]},
    ),
    "HostConfig.CgroupnsMode": Honoured(host(CgroupnsMode="host"), "shared", ["cgroup"]),
    "HostConfig.Dns": Honoured(host(Dns=["9.9.9.9"]), "resolv", "nameserver 9.9.9.9"),
    "HostConfig.DnsOptions": Honoured(host(DnsOptions=["ndots:3"]), "resolv", "options ndots:3"),
    "HostConfig.DnsSearch": Honoured(host(DnsSearch=["lan"]), "resolv", "search lan"),
    "HostConfig.ExtraHosts": Honoured(host(ExtraHosts=["db:1.2.3.4"]), "hosts", "1.2.3.4\tdb"),
    "HostConfig.IpcMode": Honoured(host(IpcMode="host"), "shared", ["ipc"]),
    "HostConfig.PidMode": Honoured(host(PidMode="host"), "shared", ["pid"]),
    "HostConfig.UTSMode": Honoured(host(UTSMode="host"), "shared", ["uts"]),
    "HostConfig.Cgroup": Told(host(Cgroup="container:x"), "Cgroup discarded."),
    "HostConfig.Links": Honoured(host(Links=["db:alias"]), "links", ["db:alias"]),
    "HostConfig.OomScoreAdj": Honoured(host(OomScoreAdj=5), "oci.process.oomScoreAdj", 5),
    "HostConfig.Privileged": Honoured(
        host(Privileged=True), "oci.process.capabilities.bounding", ["CAP_SYS_ADMIN"]
    ),
    "HostConfig.ReadonlyRootfs": Honoured(host(ReadonlyRootfs=True), "oci.root.readonly", True),
    "HostConfig.SecurityOpt": Honoured(
        host(SecurityOpt=["no-new-privileges"]), "oci.process.noNewPrivileges", True
    ),
    "HostConfig.StorageOpt": Told(host(StorageOpt={"size": "1G"}), "supported only for overlay"),
    "HostConfig.Tmpfs": Honoured(
        host(Tmpfs={"/t": "size=1m"}), "oci.mounts./t.options", ["size=1m"]
    ),
    "HostConfig.ShmSize": Honoured(
        host(ShmSize=5 << 20), "oci.mounts./dev/shm.options", [f"size={5 << 20}"]
    ),
    "HostConfig.Sysctls": Honoured(
        host(Sysctls={"net.core.somaxconn": "9"}), "oci.linux.sysctl", {"net.core.somaxconn": "9"}
    ),
    "HostConfig.MaskedPaths": Honoured(host(MaskedPaths=["/x"]), "oci.linux.maskedPaths", ["/x"]),
    "HostConfig.ReadonlyPaths": Honoured(
        host(ReadonlyPaths=["/x"]), "oci.linux.readonlyPaths", ["/x"]
    ),
    "Mounts.Target": Honoured(mount(), "oci.mounts./d.type", "bind"),
    "Mounts.Source": Honoured(mount(), "points.name", "data"),
    "Mounts.Type": Honoured(mount(Type="tmpfs", Source=None), "oci.mounts./d.type", "tmpfs"),
    "Mounts.ReadOnly": Honoured(mount(ReadOnly=True), "oci.mounts./d.options", ["ro"]),
    "Mounts.Consistency": Told(mount(Consistency="x"), "invalid consistency: x"),
    "BindOptions.Propagation": Honoured(
        bind(Propagation="rslave"), "oci.mounts./d.options", ["rslave"]
    ),
    "BindOptions.NonRecursive": Honoured(
        bind(NonRecursive=True), "oci.mounts./d.options", ["bind"]
    ),
    "BindOptions.CreateMountpoint": Honoured(
        bind(CreateMountpoint=True), "points.create_source", True
    ),
    "BindOptions.ReadOnlyNonRecursive": Honoured(
        bind(ReadOnlyNonRecursive=True), "points.options", {"ReadOnlyNonRecursive": True}
    ),
    "BindOptions.ReadOnlyForceRecursive": Honoured(
        bind(ReadOnlyForceRecursive=True), "oci.mounts./d.options", ["rro"]
    ),
    "VolumeOptions.NoCopy": Honoured(
        mount(VolumeOptions={"NoCopy": True}), "points.copy_up", False
    ),
    "VolumeOptions.Labels": Honoured(
        mount(VolumeOptions={"Labels": {"a": "b"}}), "points.options", {"labels": {"a": "b"}}
    ),
    "VolumeOptions.DriverConfig": Honoured(
        mount(VolumeOptions={"DriverConfig": {"Name": "nfs", "Options": {"o": "x"}}}),
        "points.driver", "nfs",
    ),
    "VolumeOptions.Subpath": Honoured(
        mount(VolumeOptions={"Subpath": "a/b"}), "points.subpath", "a/b"
    ),
    "ImageOptions.Subpath": Honoured(
        mount(Type="image", ImageOptions={"Subpath": "x"}), "points.subpath", "x"
    ),
    **{
        f"TmpfsOptions.{key}": Honoured(
            mount(Type="tmpfs", Source=None, TmpfsOptions={key: value}),
            "oci.mounts./d.options", [word],
        )
        for key, value, word in (
            ("SizeBytes", 4096, "size=4096"),
            ("Mode", 0o700, "mode=700"),
            ("Options", [["noexec"]], "noexec"),
        )
    },
}  # fmt: skip


def names() -> Iterator[str]:
    """Every field of the document; one that has fields inside stands for those."""
    for outer, fields in (("", CONFIG), ("HostConfig.", HOST_CONFIG)):
        for field in fields.split():
            inside = INSIDE.get(field)
            if field == "Mounts":
                yield from (f"Mounts.{one}" for one in inside.split() if one not in INSIDE)
            elif inside:
                yield from (f"{outer}{field}.{one}" for one in inside.split())
            else:
                yield outer + field
    for field in INSIDE["Mounts"].split():
        yield from (f"{field}.{one}" for one in INSIDE.get(field, "").split())


def asked_record(body: Json, machine: Machine) -> tuple[Record, list[str]]:
    """The record that a create request makes, and its warnings. Raises EngineError."""
    check_config(body)
    id = "a" * 64
    one = config.complete_config(body, {"Cmd": ["sh"]}, id)
    asked = config.complete_host_config(body.get("HostConfig"), "crun")
    warnings = check_create(one, asked, machine)
    check_devices(asked)
    other = Record(id="b" * 64, name="other", created=1, image_id="", chain_ids=[], config={},
                   host_config={}, path="", args=[],
                   mounts=[MountPoint("volume", "/o", source="/vol")])  # fmt: skip
    mounts = points.mount_points(one, asked, Shares(Path("/none")), lambda name: other)
    for point in mounts:
        point.source = point.source or "/vol"
    path, *args = config.command_of(one)
    record = Record(id=id, name="web", created=1, image_id="sha256:1", chain_ids=[], config=one,
                    host_config=asked, path=path, args=args, mounts=mounts,
                    endpoints=asked_endpoints(None, one, asked))  # fmt: skip
    return record, warnings


def view(body: Json, machine: Machine, folder: Path) -> Json:
    """What becomes of a create request: the OCI config, and what the engine itself acts on."""
    record, _ = asked_record(body, machine)
    init = folder / "init"
    init.touch()
    settings = Settings(folder, Shares(Path("/none")), machine, init_path=str(init))
    sandbox = Sandbox(folder / "netns")
    inputs = assemble.spec_inputs(
        Container(record), sandbox, User(), settings, lambda name: Container(record)
    )
    oci: Json = spec.build(inputs)
    own = {one["type"] for one in oci["linux"]["namespaces"]}
    oci["mounts"] = {one["destination"]: one for one in oci["mounts"]}
    oci["linux"]["devices"] = {one["path"]: one for one in oci["linux"]["devices"]}
    asked = record.host_config
    return {
        "oci": oci,
        "record": {**record.config, "HostConfig": asked},
        "shared": sorted({"ipc", "pid", "uts", "cgroup"} - own),
        "endpoints": list(record.endpoints),
        "links": next(iter(record.endpoints.values())).get("Links") or asked["Links"],
        "exposed": exposed_ports(record.config),
        "ports": [
            (one.container_port, one.host_port_start)
            for one in port_requests(asked["PortBindings"] or {})
        ],
        "policy": vars_of(policy_of(asked)),
        "health": health_of(record.config),
        "stop_signal": stop_signal(record.config),
        "log": {"driver": asked["LogConfig"]["Type"], "details": logopts.details(record).decode()},
        "points": vars_of(record.mounts[-1]) if record.mounts else {},
        "resolv": files.resolv_text("nameserver 1.1.1.1\n", asked),
        "hosts": files.hosts_text([], "web", "", files.host_entries(asked["ExtraHosts"] or [], "")),
    }


def vars_of(value: Any) -> Json:
    return {name: getattr(value, name) for name in type(value).__annotations__}


def health_of(document: Json) -> Json:
    found = health.check_of(document)
    return {**vars_of(found), "command": list(found.args)} if found else {}


def at(document: Any, path: str) -> Any:
    """The value at a path of keys; a key may hold dots and slashes (/dev/shm)."""
    while path:
        key = next(one for one in document if path == one or path.startswith(f"{one}."))
        document, path = document[key], path[len(key) + 1 :]
    return document


def holds(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return all(holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return all(one in found for one in wanted)
    return bool(wanted in found if isinstance(found, str) else found == wanted)


@pytest.mark.parametrize("name", sorted({*ROWS, *KEPT}))
def test_a_field_is_honoured_refused_or_told(name: str, tmp_path: Path) -> None:
    row = ROWS.get(name)
    if row is None:
        _, _, field = name.rpartition(".")
        asked = {field: KEPT[name]}
        row = Honoured(host(**asked) if "." in name else asked, f"record.{name}", KEPT[name])
    if isinstance(row, Honoured):
        assert holds(at(view(row.asked, row.machine, tmp_path), row.path), row.value)
        return
    try:
        _, said = asked_record(row.asked, row.machine)
    except EngineError as error:
        said = [error.message]
    assert any(row.words in one for one in said), said


def test_every_field_of_the_document_has_its_row() -> None:
    assert set(names()) == {*ROWS, *KEPT}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (host(MemorySwappiness=5), "memory swappiness discarded"),
        (host(OomKillDisable=True), "OomKillDisable discarded."),
        (host(KernelMemoryTCP=9 << 20), "kernel memory TCP limits. Limit discarded."),
        (host(KernelMemory=9 << 20), "kernel memory limit is not supported. Limit discarded."),
        (host(BlkioWeight=50), "Block I/O weight or the cgroup is not mounted. Weight discarded."),
        (host(BlkioWeightDevice=[{"Path": "/dev/null", "Weight": 50}]), "Weight-device discarded."),
        (host(CpuRealtimePeriod=99), "Your kernel does not support CPU realtime scheduler"),
        (host(NetworkMode="host", PortBindings={"80/tcp": []}), "Published ports are discarded"),
        (host(StorageOpt={"x": "1"}), "Unknown option x"),
        (host(Links=["a:b:c"]), "bad format for links: a:b:c"),
    ],
)
def test_what_this_machine_cannot_do(asked: Json, words: str) -> None:
    try:
        _, said = asked_record(asked, BARE)
        said += [check_link(link) for link in asked["HostConfig"].get("Links") or ()]
    except EngineError as error:
        said = [error.message]
    assert any(words.lower() in one.lower() for one in said), said
