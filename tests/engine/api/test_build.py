"""Routes of the builder: what the query asks for, as plain fields."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from engine.api.body import ClientGone
from engine.api.build import routes
from engine.api.query import Query
from engine.builder.request import Request as Asked
from engine.errors import BadRequest
from engine.images.streams import Progress
from engine.runtime.spec import Rlimit


class Backend:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def progress(self) -> Progress:
        return Progress()

    async def build(self, asked: Any, body: Any, lines: Progress) -> None:
        self.asked.append(asked)
        lines.emit(stream="".join([piece.decode() async for piece in body]))

    async def prune(self, filters: Any, *, everything: bool, keep: int) -> tuple[list[str], int]:
        self.asked.append((filters.values("until"), everything, keep))
        return ["one"], 5


class Request:
    version = (1, 51)

    def __init__(self, headers: dict[str, str] | None = None, **query: Any) -> None:
        self.query = Query(urlencode(query, doseq=True))
        self.headers = headers or {}
        self.closed = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"the "
        yield b"context"


async def ask(path: str, request: Request) -> tuple[Any, Any]:
    backend = Backend()
    handler = next(one.handler for one in routes(backend) if one.pattern == path)
    return backend.asked, await handler(request)  # type: ignore[arg-type]


async def asked(request: Request) -> Asked:
    found, _ = await ask("/build", request)
    return Asked.of(found[0])


async def test_a_silent_build_ends_with_its_client() -> None:
    class Silent(Backend):
        ended = ""

        async def build(self, asked: Any, body: Any, lines: Progress) -> None:
            request.closed.set()
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                self.ended = "cleaned up"
                raise

    request, backend = Request(q="1"), Silent()
    handler = next(one.handler for one in routes(backend) if one.pattern == "/build")
    with pytest.raises(ClientGone):
        await handler(request)  # type: ignore[arg-type]
    assert backend.ended == "cleaned up"


async def test_everything_that_can_be_asked() -> None:
    auth = base64.urlsafe_b64encode(json.dumps({"r:1": {"username": "u"}}).encode()).decode()
    found = await asked(
        Request(
            {"x-registry-config": auth.rstrip("=")},
            dockerfile="D",
            t=["a:1", "b"],
            target="last",
            buildargs='{"A":"1","B":null}',
            labels='{"l":"v"}',
            platform="linux/arm64",
            cachefrom='["x","y"]',
            nocache="1",
            pull="1",
            rm="0",
            forcerm="0",
            q="1",
            networkmode="host",
            extrahosts=["a:1.1.1.1", "b:2.2.2.2,c:3.3.3.3"],
            memory=str(64 << 20),
            memswap="-1",
            cpushares="5",
            cpuperiod="6",
            cpuquota="7",
            cpusetcpus="0",
            cpusetmems="0",
            shmsize="9",
            cgroupparent="/p",
            ulimits='[{"Name":"nofile","Soft":1,"Hard":2}]',
        )
    )
    assert (found.dockerfile, found.tags, found.target) == ("D", ("a:1", "b"), "last")
    assert (found.args, found.labels) == ({"A": "1", "B": None}, {"l": "v"})
    assert (found.platform, found.cache_from) == ("linux/arm64", ("x", "y"))
    assert (found.no_cache, found.pull, found.remove, found.quiet) == (True, True, False, True)
    assert found.auth == {"r:1": {"username": "u"}}
    run, limits = found.run, found.run.resources
    assert (run.network, run.extra_hosts) == ("host", ("a:1.1.1.1", "b:2.2.2.2", "c:3.3.3.3"))
    assert (run.shm_size, run.cgroup_parent, run.rlimits) == (9, "/p", (Rlimit("nofile", 1, 2),))
    assert (limits.memory, limits.memory_swap, limits.cpu_shares) == (64 << 20, -1, 5)
    assert (limits.cpu_period, limits.cpu_quota) == (6, 7)
    assert (limits.cpuset_cpus, limits.cpuset_mems) == ("0", "0")


async def test_nothing_asked_is_the_default() -> None:
    found = await asked(Request(cachefrom="null", ulimits="null", securityopt="null"))
    assert found == Asked()


@pytest.mark.parametrize(
    "query",
    [
        {"version": "2"},
        {"squash": "1"},
        {"remote": "client-session"},
        {"buildargs": "["},
        {"buildargs": '{"a":1}'},
        {"labels": "[]"},
        {"cachefrom": "{}"},
        {"memory": "many"},
        {"ulimits": '[{"Name":"x"}]'},
        {"securityopt": '["a"]'},
    ],
)
async def test_what_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        await ask("/build", Request(**query))


async def test_a_limit_that_is_too_small() -> None:
    with pytest.raises(BadRequest, match="Minimum memory limit"):
        await asked(Request(memory="1000"))


async def test_the_body_reaches_the_builder() -> None:
    _, answer = await ask("/build", Request())
    assert b"".join([line async for line in answer.body]) == b'{"stream":"the context"}\r\n'


async def test_prune_and_cancel() -> None:
    filters = '{"until":["1h"]}'
    found, answer = await ask("/build/prune", Request(all="1", filters=filters))
    assert found == [(["1h"], True, 0)]
    assert json.loads(answer.body) == {"CachesDeleted": ["one"], "SpaceReclaimed": 5}
    found, _ = await ask("/build/prune", Request(**{"reserved-space": "7"}))
    assert found == [([], False, 7)]
    assert (await ask("/build/cancel", Request(id="x")))[1].status == 204
    with pytest.raises(BadRequest, match="build ID not provided"):
        await ask("/build/cancel", Request())


@pytest.mark.parametrize("text", ["5", '"x"', '{"Name": "nofile"}', "[" * 100_000])
async def test_limits_that_are_no_list(text: str) -> None:
    with pytest.raises(BadRequest, match="error reading ulimits"):
        await asked(Request(ulimits=text))


async def test_credentials_that_are_nested_too_deep() -> None:
    header = base64.b64encode(b"[" * 20_000).decode()
    assert (await asked(Request({"x-registry-config": header}))).auth == {}
