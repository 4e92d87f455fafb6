"""A plan carried out: stages side by side, each step after step, only what the target needs."""

import asyncio

from engine.builder.bases import Bases
from engine.builder.context import Context
from engine.builder.errors import DockerfileError
from engine.builder.graph import vertices
from engine.builder.mounting import Files
from engine.builder.operations import CopyOp, RunOp
from engine.builder.progress import Narrator, StageLog
from engine.builder.stages import ContextRef, ImageRef, Plan, Scratch, Source, Stage, StageRef
from engine.builder.state import State
from engine.builder.steps import Steps
from engine.errors import EngineError


class Solver:
    """Solves one plan."""

    def __init__(
        self,
        plan: Plan,
        context: Context,
        bases: Bases,
        narrator: Narrator,
        *,
        cold: bool,
    ) -> None:
        """`cold`: nothing comes from the cache. `steps` must be set before `solve`."""
        self._plan = plan
        self._context = context
        self._bases = bases
        self._narrator = narrator
        self._cold = cold
        self._tasks: dict[int, asyncio.Task[State]] = {}
        self._group = asyncio.TaskGroup()
        self.steps: Steps | None = None

    async def solve(self) -> State:
        """The target's state. Raises what the first stage that failed has raised."""
        try:
            async with self._group:
                numbers = self._numbers()
                for index in self._plan.needed:
                    self._begin(index, numbers[index])
        except BaseExceptionGroup as failures:
            raise _first(failures) from None
        return self._tasks[self._plan.target].result()

    def _numbers(self) -> dict[int, int]:
        """The number of each stage's first step."""
        numbers, number = {}, 1 + len(self._plan.declared)
        for index in self._plan.needed:
            numbers[index] = number
            number += 1 + len(self._plan.stages[index].steps)
        return numbers

    def _begin(self, index: int, number: int) -> asyncio.Task[State]:
        task = self._tasks.get(index)
        if task is None:
            log = self._narrator.stage(index, number)
            task = self._group.create_task(self._stage(self._plan.stages[index], log))
            self._tasks[index] = task
        return task

    async def _solved(self, index: int) -> State:
        """The state of a stage; a trigger may ask for one that nobody else needs."""
        return await self._begin(index, 0)

    async def _stage(self, stage: Stage, log: StageLog) -> State:
        log.step(stage.from_.text)
        state = await self._base(stage, log)
        log.result(state.image_id)
        try:
            steps = vertices(self._plan, stage, state.config, state.author)
        except DockerfileError as error:
            log.wrong([(step.first_line, step.text) for step in stage.steps], error.line)
            raise
        log.triggers(sum(vertex.trigger for vertex in steps))
        assert self.steps is not None
        for vertex in steps:
            if not vertex.trigger:
                log.step(vertex.instruction.text)
            if vertex.note:
                log.text(vertex.note)
            if isinstance(vertex.op, RunOp | CopyOp):
                for source in _sources(vertex.op):
                    await self._await_source(source)
            state = await self.steps.do(vertex, state, log, cold=self._cold)
            log.result(state.image_id)
        log.end(state.image_id)
        return state

    async def _base(self, stage: Stage, log: StageLog) -> State:
        base = stage.base
        if isinstance(base, Scratch):
            return State.scratch(stage.platform or self._plan.target_platform)
        if isinstance(base, StageRef):
            return await self._solved(base.index)
        platform = stage.platform
        if platform is None and self._plan.target_platform != self._plan.build_platform:
            platform = self._plan.target_platform
        image = await self._bases.find(base.name, platform, lambda fields: log.fields(**fields))
        return State.of(image)

    async def _await_source(self, source: Source | None) -> None:
        if isinstance(source, StageRef):
            await self._solved(source.index)

    async def files_of(self, source: Source) -> Files:
        """The files of a source. Raises EngineError for an image that can't be had."""
        if isinstance(source, ContextRef):
            return Files(folder=self._context.root)
        if isinstance(source, StageRef):
            return Files((await self._solved(source.index)).chain)
        assert isinstance(source, ImageRef)
        try:
            image = await self._bases.find(source.name, None, lambda fields: None)
        except EngineError as error:
            raise EngineError(f"invalid from flag value {source.name}: {error.message}") from error
        return Files(image.chain_ids)


def _sources(op: RunOp | CopyOp) -> list[Source | None]:
    if isinstance(op, CopyOp):
        return [op.source]
    return [mount.source for mount in op.mounts]


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that came first; the others are stages that were told to stop."""
    found: BaseException = failures
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
