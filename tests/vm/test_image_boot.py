"""The image by itself, without the desktop: starts, services, the data disk's fates, the end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "vm-image"))

from image_build import recipe, trial  # noqa: E402

pytestmark = [pytest.mark.vm, pytest.mark.timeout(400)]
PARTS = ("kernel", "network", "disk", "sshd", "engine")
PATIENCE = 180.0


@pytest.fixture(scope="module")
def built(image: Path) -> Path:
    """The folder that holds the image's folder."""
    return image.parent


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A blank sparse disk of 2 GiB."""
    path = tmp_path / "data.img"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    return path


@pytest.fixture(scope="module")
def running(
    built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[trial.Trial, Path]]:
    """A VM with a data disk and a shared folder, for the tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("image")
    disk, share = folder / "data.img", folder / "share"
    share.mkdir()
    with disk.open("wb") as file:
        file.truncate(64 << 30)
    with trial.booted(recipe.host_architecture(), out=built, data=disk, share=share) as vm:
        vm.wait_for("cove: engine ok", PATIENCE)
        yield vm, share


def test_every_part_reports_once_it_is_ready(running: tuple[trial.Trial, Path]) -> None:
    vm, _ = running
    for part in PARTS:
        vm.wait_for(f"^cove: {part} ok", PATIENCE)
    assert vm.lines[0].text.startswith("cove: kernel ok 6.")
    assert not [line.text for line in vm.lines if " failed " in line.text]


def test_a_blank_disk_was_formatted_and_holds_the_engines_state(
    running: tuple[trial.Trial, Path],
) -> None:
    vm, _ = running
    assert vm.wait_for("cove: disk ok").text == "cove: disk ok formatted, 65536 MiB"
    listing = vm.shell("grep /var/lib/cove /proc/mounts; ls /var/lib/cove/engine")
    assert "ext4 rw,noatime" in listing and "engine.db" in listing


def test_the_host_hands_in_name_keys_and_shares(running: tuple[trial.Trial, Path]) -> None:
    vm, share = running
    vm.wait_for(f"cove: share ok {share}", PATIENCE)
    (share / "from-host").write_text("1")
    told = vm.shell(
        f"hostname; ls /host_mnt{share}; echo 2 >/host_mnt{share}/from-guest; cat /etc/resolv.conf"
    )
    assert told.split() == ["cove-trial", "from-host", "nameserver", "10.0.2.3"]
    assert (share / "from-guest").read_text() == "2\n"
    machine = json.loads(vm.shell("cat /run/cove/machine.json"))
    assert machine["shares"][0]["path"] == str(share)


def test_cgroups_and_settings_are_those_containers_need(
    running: tuple[trial.Trial, Path],
) -> None:
    vm, _ = running
    told = vm.shell(
        "cat /sys/fs/cgroup/cgroup.subtree_control /proc/sys/net/ipv4/ip_forward"
        " /proc/sys/vm/max_map_count; for m in overlay br_netfilter nft_chain_nat; do"
        " modprobe $m || echo missing $m; done; wc -l </sys/fs/cgroup/engine/cgroup.procs"
    ).splitlines()
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(told[0].split())
    assert told[1:3] == ["1", "1048576"]
    assert "missing" not in " ".join(told) and int(told[-1]) >= 1


def test_the_engines_socket_answers_through_ssh(running: tuple[trial.Trial, Path]) -> None:
    vm, _ = running
    answer = vm.forwarded("/run/cove/engine.sock", b"GET /_ping HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.") and answer.endswith(b"OK")


def test_the_guest_agent_answers(running: tuple[trial.Trial, Path]) -> None:
    vm, _ = running
    vm.wait_for_agent(60)
    assert vm.agent("guest-get-host-name") == {"host-name": "cove-trial"}
    assert len(vm.agent("guest-get-vcpus")) == 2


def test_a_killed_service_is_started_again(running: tuple[trial.Trial, Path]) -> None:
    vm, _ = running
    before = len(vm.lines)
    vm.shell("kill -9 $(pidof qemu-ga) $(head -n 1 /sys/fs/cgroup/engine/cgroup.procs)")
    vm.wait_for("cove: engine failed ended with signal 9 | it is started again", 30, before)
    vm.wait_for("cove: engine ok", PATIENCE, before)
    vm.wait_for_agent(60)


def test_a_disk_goes_through_stops_kills_growth_and_damage(built: Path, data: Path) -> None:
    host = recipe.host_architecture()
    with trial.booted(host, out=built, data=data) as vm:
        vm.wait_for("cove: engine ok", PATIENCE)
        vm.shell("echo kept >/var/lib/cove/mine; sync")
        vm.monitor("system_powerdown")
        assert vm.ended(60) == 0
        assert any(line.text == "cove: poweroff ok" for line in vm.lines)

    os.truncate(data, 3 << 30)
    with trial.booted(host, out=built, data=data) as vm:
        line = vm.wait_for("cove: disk (ok|failed)", PATIENCE)
        assert line.text == "cove: disk ok grown to 3072 MiB, 3072 MiB"
        vm.wait_for("cove: sshd ok", PATIENCE)
        assert "kept" in vm.shell("cat /var/lib/cove/mine; echo more >/var/lib/cove/more; sync")
        # the block ends by killing QEMU: the disk isn't closed

    with trial.booted(host, out=built, data=data) as vm:
        line = vm.wait_for("cove: disk (ok|failed)", PATIENCE)
        assert line.text == "cove: disk ok checked, 3072 MiB"
        vm.wait_for("cove: qga|cove: sshd ok", PATIENCE)
        vm.shell("kill -TERM 1")
        assert vm.ended(60) == 0

    with data.open("r+b") as file:
        file.seek(1024)
        file.write(b"\xff" * 1024)
    with trial.booted(host, out=built, data=data) as vm:
        line = vm.wait_for("cove: disk (ok|failed)", PATIENCE)
        assert line.text == "cove: disk ok repaired, 3072 MiB"
        vm.wait_for("cove: sshd ok", PATIENCE)
        assert vm.shell("cat /var/lib/cove/mine /var/lib/cove/more") == "kept\nmore\n"


def test_a_disk_of_something_else_is_left_alone(built: Path, data: Path) -> None:
    with data.open("r+b") as file:
        file.seek(4096)
        file.write(b"precious")
    with trial.booted(recipe.host_architecture(), out=built, data=data) as vm:
        line = vm.wait_for("cove: disk (ok|failed)", PATIENCE)
        assert "it is left as it is | restore the disk file" in line.text
        vm.wait_for("cove: engine failed there is no data disk", 30)
        vm.wait_for("cove: sshd ok", PATIENCE)
    with data.open("rb") as file:
        file.seek(4096)
        assert file.read(16) == b"precious" + bytes(8)
