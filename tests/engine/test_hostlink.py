"""The link to the desktop, with an agent on the other end of a real socket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.hostlink import AddressAbsent, HostLink, HostRefused


class Agent:
    """Answers like the desktop; keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[dict[str, Any]] = []
        self.refuse: set[int] = set()
        self.silent = False
        self.slow = 0.0
        self.answered: list[int] = []
        self._next = 40000
        self._news = asyncio.Event()

    async def __aenter__(self) -> "Agent":
        self._reader, self._writer = await asyncio.open_unix_connection(str(self.path))
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._task

    async def _run(self) -> None:
        while line := await self._reader.readline():
            asked = json.loads(line)
            self.heard.append(asked)
            self._news.set()
            if "id" in asked and not self.silent:
                await asyncio.sleep(self.slow if asked["op"] == "withdraw" else 0)
                self.answered.append(asked["id"])
                answer = self._answer(asked)
                self._writer.write(json.dumps({"id": asked["id"], **answer}).encode() + b"\n")

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["host_ip"] == "::":
            return {"error": "This computer has no address ::.", "absent": True}
        if asked["host_port"] in self.refuse:
            return {"error": f"port {asked['host_port']} is in use by nginx"}
        if asked["op"] == "publish" and not asked["host_port"]:
            self._next += 1
            return {"ok": True, "host_port": self._next}
        return {"ok": True, "host_port": asked["host_port"]}

    async def until(self, count: int) -> list[dict[str, Any]]:
        """What it was asked, once that is `count` documents."""
        async with asyncio.timeout(2):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[HostLink]:
    link = HostLink(tmp_path / "run" / "link.sock", patience=0.1)
    await link.start()
    yield link
    await link.close()


async def test_an_address_that_the_users_machine_lacks(link: HostLink) -> None:
    async with Agent(link.path):
        with pytest.raises(AddressAbsent, match="no address ::"):
            await link.publish("tcp", "::", 8080, 8080)


async def test_publish_returns_the_port_that_the_agent_opened(link: HostLink) -> None:
    async with Agent(link.path) as agent:
        assert await link.publish("tcp", "0.0.0.0", 8080, 8080) == 8080
        assert await link.publish("udp", "127.0.0.1", 0, 32768) == 40001
        first, publish, any_port = await agent.until(3)
    assert first == {"op": "reset"}
    assert publish == {
        "id": 1,
        "op": "publish",
        "protocol": "tcp",
        "host_ip": "0.0.0.0",
        "host_port": 8080,
        "guest_port": 8080,
    }
    assert any_port["guest_port"] == 32768


async def test_a_refusal_says_why(link: HostLink) -> None:
    async with Agent(link.path) as agent:
        agent.refuse = {80}
        with pytest.raises(HostRefused, match="port 80 is in use by nginx"):
            await link.publish("tcp", "0.0.0.0", 80, 80)


async def test_without_an_agent_publish_fails_with_a_hint(link: HostLink) -> None:
    with pytest.raises(HostRefused, match=r"not connected.*cove restart"):
        await link.publish("tcp", "0.0.0.0", 80, 80)


async def test_an_agent_that_comes_in_time_is_waited_for(tmp_path: Path) -> None:
    link = HostLink(tmp_path / "link.sock", patience=2)
    await link.start()
    waiting = asyncio.create_task(link.publish("tcp", "0.0.0.0", 80, 80))
    await asyncio.sleep(0.02)
    async with Agent(link.path):
        assert await waiting == 80
    await link.close()


async def test_a_new_agent_gets_what_is_in_force(link: HostLink) -> None:
    async with Agent(link.path) as first:
        for port in (8001, 8002):
            await link.publish("tcp", "0.0.0.0", port, port)
        link.withdraw("tcp", "0.0.0.0", 8001)
        await first.until(4)
    link.adopt("udp", "127.0.0.1", 53, 5353)  # of a container older than this engine
    async with Agent(link.path) as second:
        heard = await second.until(3)
    assert heard[0] == {"op": "reset"}
    assert [(one["protocol"], one["host_port"], one["guest_port"]) for one in heard[1:]] == [
        ("tcp", 8002, 8002),
        ("udp", 53, 5353),
    ]


async def test_a_newer_agent_takes_the_place_of_the_older(link: HostLink) -> None:
    async with Agent(link.path) as older:
        await older.until(1)
        async with Agent(link.path) as newer:
            await newer.until(1)
            await link.publish("tcp", "0.0.0.0", 8080, 8080)
            assert len(newer.heard) == 2
        assert older.heard == [{"op": "reset"}]


async def test_an_agent_that_dies_fails_the_publish_at_once(link: HostLink) -> None:
    agent = Agent(link.path)
    agent.silent = True
    async with agent:
        waiting = asyncio.create_task(link.publish("tcp", "0.0.0.0", 8080, 8080))
        await agent.until(2)
    with pytest.raises(HostRefused, match="did not answer"):
        await asyncio.wait_for(waiting, 1)


async def test_withdraw_never_fails(link: HostLink) -> None:
    link.withdraw("tcp", "0.0.0.0", 9)
    async with Agent(link.path) as agent:
        await link.publish("tcp", "0.0.0.0", 9, 9)
        agent.refuse = {9}
        link.withdraw("tcp", "0.0.0.0", 9)
        assert (await agent.until(3))[-1]["op"] == "withdraw"


async def test_a_port_is_closed_before_it_is_opened_again(link: HostLink) -> None:
    async with Agent(link.path) as agent:
        await link.publish("tcp", "0.0.0.0", 8080, 8080)
        agent.slow = 0.05
        link.withdraw("tcp", "0.0.0.0", 8080)
        await link.publish("tcp", "127.0.0.1", 8080, 8080)
    assert [one["op"] for one in agent.heard] == ["reset", "publish", "withdraw", "publish"]
    assert agent.answered == [1, 2, 3]


async def test_nonsense_drops_the_connection_and_not_the_link(link: HostLink) -> None:
    reader, writer = await asyncio.open_unix_connection(str(link.path))
    writer.write(b"nonsense\n")
    assert await asyncio.wait_for(reader.read(), 1) == b'{"op":"reset"}\n'
    writer.close()
    async with Agent(link.path):
        assert await link.publish("tcp", "0.0.0.0", 80, 80) == 80
