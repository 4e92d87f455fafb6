"""Health checks: the probe run every interval, its last five results, the status they add up to."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol

from engine.containers.container import Container, Health
from engine.containers.record import Json, Status
from engine.containers.store import Store
from engine.containers.tasks import Tasks
from engine.errors import EngineError
from engine.times import SECOND, format_duration, format_time
from engine.values import dataclass

KEPT = 5
_OUTPUT_LIMIT = 4096
_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True)
class Check:
    """A container's health check; times in seconds."""

    args: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    start_interval: float = 5.0
    retries: int = 3


@dataclass(frozen=True)
class Result:
    """One run of the probe: ns since 1970; -1 when it took too long or couldn't run."""

    started: int
    ended: int
    exit_code: int
    output: str

    def to_api(self) -> Json:
        """The entry of State.Health.Log."""
        return {
            "Start": format_time(self.started),
            "End": format_time(self.ended),
            "ExitCode": self.exit_code,
            "Output": self.output,
        }


class Prober(Protocol):
    """Runs a program in a container; `exec.Execs` satisfies it."""

    async def probe(
        self, container: Container, args: Sequence[str], timeout: float
    ) -> tuple[int, bytes]:
        """Exit code and output. Raises TimeoutError after killing it."""
        ...


def check_of(config: Json) -> Check | None:
    """The check that a container's config asks for; None without one."""
    asked: dict[str, Any] = config.get("Healthcheck") or {}
    test = asked.get("Test") or []
    if not test or test[0] not in ("CMD", "CMD-SHELL") or len(test) < 2:
        return None
    args = tuple(test[1:])
    if test[0] == "CMD-SHELL":
        args = (*(config.get("Shell") or _SHELL), test[1])

    def seconds(key: str, default: float) -> float:
        return (asked.get(key) or 0) / SECOND or default

    return Check(
        args,
        seconds("Interval", 30.0),
        seconds("Timeout", 30.0),
        seconds("StartPeriod", 0.0),
        seconds("StartInterval", 5.0),
        asked.get("Retries") or 3,
    )


def judge(health: Health, check: Check, result: Result, started_at: int) -> None:
    """Add a result to the log and draw the conclusion, as dockerd does."""
    health.log.append(result.to_api())
    del health.log[:-KEPT]
    if result.exit_code == 0:
        health.failing_streak, health.status = 0, "healthy"
        return
    age = (result.started - started_at) / SECOND
    if health.status == "starting" and age < check.start_period:
        return
    health.failing_streak += 1
    if health.failing_streak >= check.retries:
        health.status = "unhealthy"


class Monitor:
    """Follows the health of running containers."""

    def __init__(self, store: Store, prober: Prober, tasks: Tasks) -> None:
        self._store = store
        self._prober = prober
        self._tasks = tasks

    def start(self, container: Container) -> None:
        """Begin to probe, if the container has a check."""
        check = check_of(container.record.config)
        if check is None:
            container.health = None
            return
        container.health = health = Health()
        health.task = self._tasks.spawn(
            self._follow(container, health, check), f"health {container.id[:12]}"
        )

    def stop(self, container: Container) -> None:
        """The container ended; dockerd calls what isn't probed unhealthy."""
        health = container.health
        if health is not None:
            if health.task is not None:
                health.task.cancel()
            health.status = "unhealthy"

    async def _follow(self, container: Container, health: Health, check: Check) -> None:
        started = container.record.state.started_at
        while True:
            age = (time.time_ns() - started) / SECOND
            early = health.status == "starting" and age < check.start_period
            await asyncio.sleep(check.start_interval if early else check.interval)
            if container.record.state.status is Status.PAUSED:
                continue
            before = health.status
            judge(health, check, await self._probe(container, check), started)
            if health.status != before:
                self._store.tell(container, f"health_status: {health.status}")

    async def _probe(self, container: Container, check: Check) -> Result:
        began = time.time_ns()
        try:
            code, output = await self._prober.probe(container, check.args, check.timeout)
            text = output[:_OUTPUT_LIMIT].decode(errors="replace")
            if len(output) > _OUTPUT_LIMIT:
                text += "..."
        except TimeoutError:
            code, text = -1, f"Health check exceeded timeout ({_shown(check.timeout)})"
        except EngineError as error:
            code, text = -1, error.message
        return Result(began, time.time_ns(), code, text)


def _shown(seconds: float) -> str:
    return format_duration(round(seconds * SECOND))
