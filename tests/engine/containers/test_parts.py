"""The small pure parts: names, words, signals, detach keys, mounts, files, restart policies."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.containers.clock import human
from engine.containers.detach import DEFAULT, DetachWatch, parse_keys
from engine.containers.endpoints import asked_endpoints, exposed_ports, port_requests
from engine.containers.links import Link, link_environment
from engine.containers.names import check_name, new_id, random_name
from engine.containers.paths import resolve_in
from engine.containers.points import mount_points, parse_bind, parse_mount
from engine.containers.record import MountPoint, Record, State, Status
from engine.containers.restart import Backoff, Policy
from engine.containers.shares import Shares
from engine.containers.signals import parse_signal, stop_signal
from engine.containers.words import command_text, status_text
from engine.errors import BadRequest, EngineError
from engine.networks.files import host_entries, hosts_text, resolv_text

SHARES = Shares(Path("/run/engine.sock"))
SECOND = 1_000_000_000


def record(**state: Any) -> Record:
    return Record(
        id="a" * 64,
        name="web",
        created=1,
        image_id="sha256:b",
        chain_ids=["c"],
        config={"Image": "busybox", "Labels": {}},
        host_config={"NetworkMode": "bridge"},
        path="sh",
        args=["-c", "echo hi"],
        mounts=[MountPoint("bind", "/b", source="/a")],
        state=State(**state),
    )


def test_a_record_goes_to_json_and_back() -> None:
    one = record(status=Status.EXITED, exit_code=3)
    again = Record.from_json({**one.to_json(), "newer": 1})
    assert again == one and again.state.status is Status.EXITED


def test_a_record_is_read_before_any_was_made() -> None:
    """As at the start of an engine that finds containers."""
    text = json.dumps({**record().to_json(), "of a newer version": 1})
    code = (
        "import json, sys; from engine.containers.record import Record;"
        "print(Record.from_json(json.load(sys.stdin)).id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == record().id


def test_names() -> None:
    assert check_name("/ok-1") == "ok-1"
    for bad in ("a", "a b", "-x", "", "a/b"):
        with pytest.raises(BadRequest, match=r"only \[a-zA-Z0-9\]\[a-zA-Z0-9_.-\] are allowed"):
            check_name(bad)
    assert check_name(random_name()) and len(new_id()) == 64


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (180, "3 minutes"),
        (3600, "About an hour"),
        (7200, "2 hours"),
        (3 * 86400, "3 days"),
        (21 * 86400, "3 weeks"),
        (90 * 86400, "3 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert human(seconds) == text


UP = {"status": Status.RUNNING, "started_at": SECOND}
ENDED = {"exit_code": 3, "finished_at": SECOND}


@pytest.mark.parametrize(
    ("state", "health", "text"),
    [
        ({"status": Status.CREATED}, "", "Created"),
        (UP, "", "Up 2 hours"),
        (UP, "healthy", "Up 2 hours (healthy)"),
        (UP, "starting", "Up 2 hours (health: starting)"),
        ({**UP, "status": Status.PAUSED}, "", "Up 2 hours (Paused)"),
        ({**ENDED, "status": Status.EXITED}, "", "Exited (3) 2 hours ago"),
        ({**ENDED, "status": Status.RESTARTING}, "", "Restarting (3) 2 hours ago"),
        ({"status": Status.REMOVING}, "", "Removal In Progress"),
    ],
)
def test_status_words(state: dict[str, Any], health: str, text: str) -> None:
    assert status_text(record(**state), health, now_ns=7201 * SECOND) == text


def test_command_words() -> None:
    assert command_text(record()) == "sh -c 'echo hi'"


@pytest.mark.parametrize(
    ("text", "number"), [("KILL", 9), ("sigterm", 15), ("9", 9), ("RTMIN+3", 37), ("RTMAX-1", 63)]
)
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


def test_signals_that_are_none() -> None:
    for text in ("FOO", "0", "RTMIN+99", "-1"):
        with pytest.raises(BadRequest, match="invalid signal"):
            parse_signal(text)
    with pytest.raises(BadRequest, match="the linux daemon does not support signal 99"):
        parse_signal("99")
    assert stop_signal({"StopSignal": "SIGINT"}) == 2 and stop_signal({}) == 15


def test_detach_keys() -> None:
    assert parse_keys("") == DEFAULT
    assert parse_keys("ctrl-a,b,ctrl-@,ctrl-\\") == b"\x01b\x00\x1c"
    for bad in ("ctrl-", "ctrl-1", "ab", "ctrl-é"):
        with pytest.raises(BadRequest, match="Unknown character"):
            parse_keys(bad)


def test_detach_in_pieces() -> None:
    watch = DetachWatch(DEFAULT)
    assert watch.feed(b"ab\x10") == (b"ab", False)
    assert watch.feed(b"\x11cd") == (b"", True)
    watch = DetachWatch(DEFAULT)
    assert watch.feed(b"\x10x\x10\x10\x11") == (b"\x10x\x10", True)


@given(st.lists(st.binary(max_size=6), max_size=8))
def test_input_without_the_keys_comes_through(pieces: list[bytes]) -> None:
    whole = b"".join(pieces).replace(DEFAULT, b"") + b"."
    watch = DetachWatch(b"\xfe\xff\xfe")
    if b"\xfe\xff\xfe" in whole:
        return
    out = b"".join(watch.feed(whole[at : at + 3])[0] for at in range(0, len(whole), 3))
    assert out == whole


def test_binds() -> None:
    bind = parse_bind("/a/../b:/c/:ro,rslave", SHARES)
    assert (bind.type, bind.source, bind.destination) == ("bind", "/b", "/c")
    assert not bind.writable and bind.propagation == "rslave" and bind.create_source
    named = parse_bind("vol:/c:nocopy", SHARES)
    assert (named.type, named.name, named.copy_up) == ("volume", "vol", False)
    assert parse_bind("/c", SHARES).anonymous


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
        ("/a:b", "invalid mount path: 'b' mount path must be absolute"),
        ("/a:/b:foo", "invalid mode: foo"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:/", "destination can't be '/'"),
        ("a b:/c", "includes invalid characters for a local volume name"),
        ("a:/c", "volume name is too short"),
        ("rel", "mount path must be absolute"),
    ],
)
def test_binds_that_are_none(text: str, words: str) -> None:
    with pytest.raises(EngineError) as caught:
        parse_bind(text, SHARES)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({"Type": "foo", "Target": "/x"}, "mount type unknown"),
        ({"Type": "bind", "Target": "/x"}, "field Source must not be empty"),
        ({"Type": "bind", "Target": "/x", "Source": "/no/such"}, "bind source path does not exist"),
        ({"Type": "image", "Target": "/x"}, "field Source must not be empty"),
        ({"Type": "volume"}, "field Target must not be empty"),
        ({"Type": "volume", "Target": "x"}, "mount path must be absolute"),
        ({"Type": "volume", "Target": "/x", "ReadOnly": True}, "must not set ReadOnly mode"),
        ({"Type": "tmpfs", "Target": "/x", "Source": "a"}, "field Source must not be specified"),
        ({"Type": "volume", "Target": "/x", "BindOptions": {"NonRecursive": True}}, "must not be"),
    ],
)  # fmt: skip
def test_mounts_that_are_none(mount: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_mount(mount, SHARES)
    assert words in caught.value.message


def test_mounts_together() -> None:
    other = record()
    other.mounts.append(MountPoint("volume", "/data", name="theirs", source="/v"))
    points = mount_points(
        {"Volumes": {"/data": {}, "/new": {}}},
        {"VolumesFrom": ["web:ro"], "Binds": ["mine:/b"]},
        SHARES,
        lambda name: other,
    )
    found = {point.destination: point for point in points}
    assert found["/b"].name == "mine"
    assert found["/data"].name == "theirs" and not found["/data"].writable
    assert found["/new"].anonymous
    with pytest.raises(BadRequest, match="Duplicate mount point: /b"):
        mount_points({}, {"Binds": ["aa:/b", "bb:/b"]}, SHARES, lambda name: other)


def test_shares_of_a_vm(tmp_path: Path) -> None:
    description = tmp_path / "machine.json"
    description.write_text('{"shares": [{"tag": "home", "path": "/home/me"}]}')
    shares = Shares(Path("/run/e.sock"), description)
    assert shares.locate("/home/me/x") == "/host_mnt/home/me/x"
    assert shares.locate("/var/run/docker.sock") == "/run/e.sock"
    for outside in ("/home/meant", "/home/me/../you", "/etc"):
        with pytest.raises(BadRequest, match="is not below a folder that is shared with the VM"):
            shares.locate(outside)


def test_hosts_and_resolver_files() -> None:
    extra = host_entries(["db:1.2.3.4", "v6:[::1]", "up:host-gateway"], "10.0.0.1")
    assert extra == [("1.2.3.4", "db"), ("::1", "v6"), ("10.0.0.1", "up")]
    text = hosts_text(["10.0.0.2"], "box", "example.org", extra)
    assert "1.2.3.4\tdb\n" in text and text.endswith("10.0.0.2\tbox.example.org box\n")
    base = "nameserver 9.9.9.9\nsearch lan\noptions ndots:1\n"
    assert resolv_text(base, {}) == base
    changed = resolv_text(base, {"Dns": ["8.8.8.8"], "DnsSearch": ["."]})
    assert changed == "nameserver 8.8.8.8\noptions ndots:1\n"


def test_ports() -> None:
    assert exposed_ports({"ExposedPorts": {"80-82/tcp": {}, "53/udp": {}}}) == [
        "80/tcp",
        "81/tcp",
        "82/tcp",
        "53/udp",
    ]
    (request,) = port_requests({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000-8002"}]})
    assert dataclasses.astuple(request) == (80, "tcp", "127.0.0.1", 8000, 8002)


def test_endpoints() -> None:
    host = {"NetworkMode": "mine", "Links": None}
    networking = {"EndpointsConfig": {"mine": {"Aliases": ["x"]}, "other": None}}
    found = asked_endpoints(networking, {}, host)
    assert found == {"mine": {"Aliases": ["x"]}, "other": {}}
    assert asked_endpoints({}, {}, {"NetworkMode": "container:x"}) == {}
    bridge = {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "1.2.3.4"}}}}
    with pytest.raises(BadRequest, match="user specified IP address is supported on user defined"):
        asked_endpoints(bridge, {}, {"NetworkMode": "bridge"})


def test_variables_of_links() -> None:
    other = record()
    other.config["ExposedPorts"] = {"53/udp": {}, "80/tcp": {}}
    other.config["Env"] = ["PASS=a=b", "PATH=/bin", "bare"]
    found = list(link_environment("me", [Link("my-db", other, "172.17.0.2")]))
    assert found[0] == "MY_DB_PORT=tcp://172.17.0.2:80"
    assert "MY_DB_PORT_80_TCP_ADDR=172.17.0.2" in found and "MY_DB_PORT_53_UDP_PORT=53" in found
    assert found[-2:] == ["MY_DB_NAME=/me/my-db", "MY_DB_ENV_PASS=a=b"]


def test_backoff_doubles_and_forgets() -> None:
    backoff = Backoff()
    assert [backoff.next(0) for _ in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert backoff.next(10) == 0.1
    assert max(backoff.next(0) for _ in range(20)) == 60


def test_policies_at_boot() -> None:
    assert Policy("always").wants_at_boot(0, stopped=True)
    assert not Policy("unless-stopped").wants_at_boot(0, stopped=True)
    assert Policy("on-failure", 3).wants_at_boot(1, 2, stopped=False)
    assert not Policy("on-failure", 3).wants_at_boot(1, 3, stopped=False)
    assert not Policy("no").wants_at_boot(1, stopped=False)


def test_paths_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "up").symlink_to("../../../../..")
    (tmp_path / "absolute").symlink_to("/real")
    (tmp_path / "loop").symlink_to("loop")
    assert resolve_in(tmp_path, "/up/etc/passwd") == tmp_path / "etc/passwd"
    assert resolve_in(tmp_path, "absolute/x/../y") == tmp_path / "real/y"
    assert resolve_in(tmp_path, "../..") == tmp_path
    assert resolve_in(tmp_path, "up", follow_last=False) == tmp_path / "up"
    with pytest.raises(OSError, match="too many levels"):
        resolve_in(tmp_path, "loop")
