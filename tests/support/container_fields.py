"""Every field of Docker's API document (1.51) for a new container: what the engine does with it.

A row is honoured (the OCI config or the record shows it), refused in dockerd's words, or told in a
warning. The names are those of the document's ContainerConfig, HostConfig and what is inside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.containers.limits import Machine
from engine.containers.record import Json

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

# fields that the record keeps and that are acted on outside of the OCI config, or only shown
KEPT: dict[str, tuple[Any, str]] = {
    "ArgsEscaped": (True, "shown; concerns Windows alone"),
    "OnBuild": (["RUN x"], "shown; goes into a commit"),
    "AttachStdin": (True, "shown; an attach says itself what it wants"),
    "AttachStdout": (True, "shown; an attach says itself what it wants"),
    "AttachStderr": (True, "shown; an attach says itself what it wants"),
    "Image": ("box", "the layers and the defaults of the container"),
    "Labels": ({"a": "b"}, "filters, events, logs"),
    "StopTimeout": (3, "seconds between a stop's signal and the kill"),
    "HostConfig.ContainerIDFile": ("/tmp/id", "shown; the client writes the file"),
    "HostConfig.AutoRemove": (True, "removed at its end, with its anonymous volumes"),
    "HostConfig.Runtime": ("runc", "crun and runc name the engine's runtime, others are refused"),
    "HostConfig.UsernsMode": ("host", "standard isolation"),
    "HostConfig.Isolation": ("default", "others are refused"),
    "HostConfig.GroupAdd": (["audio"], "additional groups, by the image's /etc/group"),
    "HostConfig.VolumeDriver": ("local", "the driver of volumes that are made"),
    "OpenStdin": (True, "a standard input that stays open"),
    "StdinOnce": (True, "the input ends with the client that gives it"),
    "User": ("app:staff", "user and groups, by the image's /etc/passwd and /etc/group"),
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
    "MacAddress": Honoured(
        {"MacAddress": "02:42:ac:11:00:09"}, "macs", {"bridge": "02:42:ac:11:00:09"}
    ),
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
    "Mounts.Consistency": Honoured(mount(Consistency="cached"), "points.name", "data"),
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

# what a machine with no more than cgroup v2 can't do, and requests that contradict themselves
UNABLE: list[tuple[Json, str]] = [
    ({"MacAddress": "02:42:ac:11:00:09"}, "MacAddress field is now deprecated"),
    (mount(Consistency="x"), "invalid consistency: x"),
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
    *(
        (host(LogConfig={"Type": driver}), f"'{driver}' is not built into this engine")
        for driver in ("syslog", "journald", "fluentd", "gelf", "awslogs", "splunk")
    ),
    (host(SecurityOpt=["apparmor=mine"]), "AppArmor is not supported here"),
    (host(Privileged=True, SecurityOpt=["cove.isolation=x"]), "use enhanced or standard"),
    (host(Runtime="kata"), "unknown or invalid runtime name: kata"),
    (host(Isolation="hyperv"), "linux only supports 'default'"),
    (host(UsernsMode="mine"), "invalid userns mode: mine"),
    (host(Sysctls={"vm.swappiness": "1"}), "is not in a separate kernel namespace"),
    (host(Sysctls={"net.core.somaxconn": "9"}, NetworkMode="host"), "shared with the host"),
    (host(RestartPolicy={"Name": "always"}, AutoRemove=True), "can't create 'AutoRemove'"),
    (host(Memory=1 << 20), "Minimum memory limit allowed is 6MB"),
    (host(CapAdd=["NOSUCH"]), "unknown capability"),
]
