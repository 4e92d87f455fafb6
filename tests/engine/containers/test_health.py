"""Health checks: what a config asks for, and what results add up to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from engine.containers.container import Health
from engine.containers.health import KEPT, Check, Monitor, Result, check_of, judge
from engine.containers.tasks import Tasks

SECOND = 1_000_000_000


def failed(at: float = 0) -> Result:
    return Result(int(at * SECOND), int(at * SECOND) + 1, 1, "no")


@pytest.mark.parametrize("test", [None, [], ["NONE"], ["CMD"], ["FOO", "x"]])
def test_no_check(test: Any) -> None:
    assert check_of({"Healthcheck": {"Test": test}}) is None


def test_forms_of_a_check() -> None:
    shell = check_of({"Healthcheck": {"Test": ["CMD-SHELL", "a b"], "Interval": SECOND // 2}})
    assert shell == Check(("/bin/sh", "-c", "a b"), interval=0.5)
    own = check_of({"Shell": ["ash", "-ec"], "Healthcheck": {"Test": ["CMD-SHELL", "x"]}})
    assert own is not None and own.args == ("ash", "-ec", "x")
    plain = check_of({"Healthcheck": {"Test": ["CMD", "a", "b"], "Retries": 1}})
    assert plain is not None and (plain.args, plain.retries) == (("a", "b"), 1)


def test_retries_make_it_unhealthy_and_one_success_healthy() -> None:
    health, check = Health(), Check(("x",), retries=2)
    judge(health, check, failed(), 0)
    assert (health.status, health.failing_streak) == ("starting", 1)
    judge(health, check, failed(), 0)
    assert health.status == "unhealthy"
    judge(health, check, Result(0, 1, 0, ""), 0)
    assert (health.status, health.failing_streak) == ("healthy", 0)


def test_failures_of_the_start_period_do_not_count() -> None:
    health, check = Health(), Check(("x",), retries=1, start_period=10)
    judge(health, check, failed(5), 0)
    assert (health.status, health.failing_streak) == ("starting", 0)
    judge(health, check, failed(11), 0)
    assert health.status == "unhealthy"


def test_the_log_keeps_five() -> None:
    health = Health()
    for number in range(8):
        judge(health, Check(("x",), retries=99), failed(number), 0)
    assert len(health.log) == KEPT
    assert health.log[0]["Start"] == "1970-01-01T00:00:03Z"


async def test_a_monitor_tells_each_change_once(world: Any) -> None:
    answers = iter([(1, b"bad"), (0, b"good"), (0, b"good")])
    done = asyncio.Event()

    class Prober:
        async def probe(
            self, container: Any, args: Sequence[str], timeout: float
        ) -> tuple[int, bytes]:
            try:
                return next(answers)
            except StopIteration:
                done.set()
                raise TimeoutError from None

    id = await world.started()
    container = world.containers.store.get(id)
    container.record.config["Healthcheck"] = {
        "Test": ["CMD", "x"],
        "Interval": SECOND // 1000,
        "Retries": 2,
    }
    tasks = Tasks()
    monitor = Monitor(world.containers.store, Prober(), tasks)
    monitor.start(container)
    await asyncio.wait_for(done.wait(), 5)
    monitor.stop(container)
    await tasks.close()
    told = [action for action in world.actions() if action.startswith("health_status")]
    assert told[0] == "health_status: healthy"
    assert container.health.status == "unhealthy"
