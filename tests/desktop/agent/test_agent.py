"""The agent as its clients see it: its socket, one at a time, its end, what it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from desktop import settings
from desktop.agent.client import AgentClient, AgentGone
from desktop.agent.host import Host
from desktop.agent.lock import Lock
from desktop.agent.protocol import State, Status
from desktop.agent.server import Server
from desktop.agent.tunnel import Tunnel
from desktop.failure import ExitCode, Failure
from desktop.paths import Home
from desktop.settings import Settings
from desktop.vm import machine, prepare, record
from desktop.vm.accel import Accel, Choice
from desktop.vm.image import Image
from desktop.vm.qemu import Identity
from desktop.vm.spec import Share

T = TypeVar("T")
FAKE = Path(__file__).parents[1] / "vm" / "fake_qemu.py"
BOOTS = "\n".join(f"line:cove: {n} ok" for n in ("kernel", "disk", "network", "sshd", "engine"))


@pytest.fixture
def home() -> Iterator[Home]:
    # a short path: pytest's own are too long for a socket on some computers
    with tempfile.TemporaryDirectory(prefix="ca", dir="/tmp") as folder:
        made = Home(Path(folder))
        made.create()
        yield made


@pytest.fixture
async def server(home: Home, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A served host whose QEMU is the fake one and whose SSH is always there."""
    program = home.path / "qemu-system-fake"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -SE "{FAKE}" "$@"\n')
    program.chmod(0o755)

    def prepared(home: Home, wanted: Settings) -> prepare.Prepared:
        image = Image(home.path, "x86_64", "quiet")
        return prepare.Prepared(str(program), "fake 1", image, wanted, (), {}, True)

    async def nothing(*_: object) -> None: ...

    async def answers(*_: object) -> bool:
        return True

    monkeypatch.setattr(machine, "prepare", prepared)
    monkeypatch.setattr(Tunnel, "open", nothing)
    monkeypatch.setattr(Tunnel, "engine_answers", answers)
    monkeypatch.setattr(Tunnel, "serve_ports", lambda _: None)
    monkeypatch.setenv("COVE_ACCEL", "tcg")
    monkeypatch.setenv("COVE_FAKE", BOOTS)
    host = Host(home)
    made = Server(host)
    await made.open()
    await host.adopt()
    yield made
    await host.stop()
    await made.close()
    await host.close()


async def call(function: Callable[..., T], *args: Any) -> T:
    """A client's blocking method, beside the agent's event loop."""
    return await asyncio.wait_for(asyncio.to_thread(function, *args), 20)


async def test_start_tells_each_state_and_stop_ends_the_agent(server: Server, home: Home) -> None:
    client = AgentClient(home)
    seen: list[State] = []
    status = await call(client.start, lambda status: seen.append(status.state))
    assert status.state is State.RUNNING
    assert seen[0] is State.PREPARING and seen[-1] is State.RUNNING
    assert status.machine_pid > 0 and status.agent_pid == os.getpid()
    assert status.settings["memory"] == (await call(client.config_get))["memory"]
    assert len(status.boots) == 1
    assert (await call(client.start)).state is State.RUNNING
    assert home.settings_file.exists() and home.docker_socket.exists()
    assert home.agent_socket.stat().st_mode & 0o777 == 0o600
    assert (await call(client.stop)).state is State.STOPPED
    await asyncio.wait_for(server.ended.wait(), 5)
    assert not home.docker_socket.exists() and not home.agent_socket.exists()


async def test_watchers_see_what_others_do(server: Server, home: Home) -> None:
    client = AgentClient(home)
    seen: list[Status] = []
    began = threading.Event()

    def watch() -> None:
        for status in client.events():
            seen.append(status)
            began.set()
            if status.state is State.PAUSED:
                return

    watching = asyncio.create_task(call(watch))
    await call(began.wait, 5)
    await call(client.start)
    await call(client.pause)
    await watching
    assert seen[0].state is State.STOPPED
    assert (await call(client.resume)).state is State.RUNNING


async def test_settings_tell_when_a_restart_is_needed(server: Server, home: Home) -> None:
    client = AgentClient(home)
    await call(client.start)
    answer = await call(client.config_set, {"memory": "1G"})
    assert answer["restart"] is True
    assert (await call(client.status)).pending == {"memory": "1G"}
    status = await call(client.restart)
    assert (status.settings["memory"], status.pending) == ("1G", {})


async def test_a_setting_that_cant_be_is_refused_with_its_exit_code(
    server: Server, home: Home
) -> None:
    with pytest.raises(Failure, match="cpus") as caught:
        await call(AgentClient(home).config_set, {"cpus": 100000})
    assert caught.value.exit_code == ExitCode.SETTING
    assert not home.settings_file.exists()


async def test_a_disk_only_grows(server: Server, home: Home) -> None:
    with home.disk.open("wb") as file:
        file.truncate(64 << 30)
    with pytest.raises(Failure, match="can only grow"):
        await call(AgentClient(home).config_set, {"disk": "32G"})
    await call(AgentClient(home).config_set, {"disk": "65G"})
    assert settings.load(home.settings_file).disk_gib == 65


async def test_a_failed_start_is_told_and_remembered(
    server: Server, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVE_FAKE", "line:cove: kernel ok\nline:cove: network failed x | y")
    client = AgentClient(home)
    with pytest.raises(Failure, match="Bring up the network") as caught:
        await call(client.start)
    assert caught.value.hint == "y"
    status = await call(client.status)
    assert status.state is State.FAILED and status.failure is not None
    await server.close()
    without = await call(client.status)
    assert without.failure == status.failure


async def test_a_broken_settings_file_fails_the_start(server: Server, home: Home) -> None:
    home.settings_file.write_text('{"cpus": "many"}')
    with pytest.raises(Failure, match=r"settings\.json") as caught:
        await call(AgentClient(home).start)
    assert caught.value.exit_code == ExitCode.SETTING
    assert (await call(AgentClient(home).status)).state is State.STOPPED


async def test_a_docker_client_wakes_a_paused_vm(server: Server, home: Home) -> None:
    client = AgentClient(home)
    await call(client.start)
    await call(client.pause)

    def connect() -> bytes:
        with socket.socket(socket.AF_UNIX) as docker:
            docker.settimeout(10)
            docker.connect(str(home.docker_socket))
            docker.sendall(b"GET /_ping HTTP/1.1\r\n\r\n")
            return docker.recv(100)

    answer = await call(connect)
    assert answer.startswith(b"HTTP/1.1 503")  # the tests have no SSH behind it
    assert (await call(client.status)).state is State.RUNNING


@pytest.mark.parametrize(
    "line, told",
    [
        (b"nonsense\n", "isn't understood"),
        (b"[]\n", "isn't understood"),
        (b'{"op": 5}\n', "isn't understood"),
        (b'{"op": "fly", "args": {}}\n', "doesn't know 'fly'"),
        (b'{"op": "config.set", "args": {"changes": 1}}\n', "isn't understood"),
    ],
)
async def test_requests_that_make_no_sense(
    server: Server, home: Home, line: bytes, told: str
) -> None:
    reader, writer = await asyncio.open_unix_connection(str(home.agent_socket))
    writer.write(line)
    answer = json.loads(await asyncio.wait_for(reader.readline(), 5))
    writer.close()
    assert answer["ok"] is False and told in answer["error"]["what"]


async def test_a_client_that_leaves_doesnt_end_what_it_began(server: Server, home: Home) -> None:
    _, writer = await asyncio.open_unix_connection(str(home.agent_socket))
    writer.write(b'{"op": "start", "args": {"progress": true}}\n')
    await writer.drain()
    writer.close()
    client = AgentClient(home)
    for _ in range(500):
        if (await call(client.status)).state is State.RUNNING:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the start ended with its client")


def test_without_an_agent_there_is_still_a_status(home: Home) -> None:
    client = AgentClient(home)
    assert client.status().state is State.STOPPED
    assert client.stop().state is State.STOPPED
    with pytest.raises(AgentGone, match="cove start"):
        client.pause()
    with pytest.raises(AgentGone):
        next(client.events())
    assert client.config_set({"disk": "70G"})["settings"]["disk"] == "70G"
    assert client.config_get()["disk"] == "70G"


def test_a_stale_socket_is_no_agent(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(home.agent_socket))
    home.agent_pid.write_text("999999999\n")
    assert not AgentClient(home).alive()
    assert AgentClient(home).status().state is State.STOPPED


def test_a_vm_without_its_agent_is_told(home: Home) -> None:
    me = Identity.of(os.getpid())
    assert me is not None
    choice = Choice(Accel.TCG, "it was asked for")
    wanted = Settings(cpus=1, memory_mib=512, shares=("/a",))
    running = record.Running(me, choice, wanted, (Share("share0", "/a"),), 5.0, None)
    record.save(home.machine_record, running)
    assert record.load(home.machine_record) == running
    status = AgentClient(home).status()
    assert status.state is State.FAILED and status.machine_pid == os.getpid()
    assert status.failure is not None and "cove start" in status.failure["hint"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}'])
def test_a_record_that_cant_be_understood_is_none(home: Home, text: str) -> None:
    home.machine_record.write_text(text)
    assert record.load(home.machine_record) is None
    assert AgentClient(home).status().state is State.STOPPED


def test_one_agent_at_a_time(home: Home) -> None:
    first, second = (Lock(home.agent_lock, home.agent_pid) for _ in range(2))
    first.take()
    with pytest.raises(Failure, match="Another agent") as caught:
        second.take(0.1)
    assert str(os.getpid()) in caught.value.why
    first.close()
    second.take()
    second.close()
    assert not home.agent_pid.exists()
