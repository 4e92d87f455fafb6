"""A stage on its base image's config, as steps: what to do, and the config after each.

`vertices(plan, stage, base)` is pure. The solver adds to each step's key what only it knows: the
layers below, and the digest of the files that a copy or a mount reads.
"""

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from engine.builder import configs, history, lowering
from engine.builder.arguments import proxies
from engine.builder.errors import DockerfileError
from engine.builder.expand import Expander, expand_by
from engine.builder.history import FILES, Style
from engine.builder.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Maintainer,
    Run,
    Workdir,
)
from engine.builder.operations import (
    ConfigOp,
    CopyOp,
    MountOp,
    Operation,
    RunOp,
    WorkdirOp,
)
from engine.builder.reading import read_trigger
from engine.builder.stages import Plan, Stage
from engine.values import dataclass, field, replace

__all__ = [
    "ConfigOp",
    "CopyOp",
    "MountOp",
    "Operation",
    "RunOp",
    "Style",
    "Vertex",
    "WorkdirOp",
    "vertices",
]


@dataclass(frozen=True)
class Vertex:
    """One step. config: the image's inner config after it; author: the image's author after it.

    args: build arguments in force after it. trigger: it comes from the base image's ONBUILD.
    created_by is "" for a step that history doesn't mention (ONBUILD with BuildKit). note: what
    the classic builder says besides ("" mostly). undefined: variables in it that are
    none.
    """

    instruction: Instruction
    op: Operation
    created_by: str
    config: dict[str, Any] = field(default_factory=dict)
    author: str = ""
    trigger: bool = False
    args: dict[str, str] = field(default_factory=dict)
    note: str = ""
    undefined: tuple[str, ...] = ()

    def history(self, files: str = "") -> str:
        """The history's line; files: digest of what a copy copies (`file:HEX`, `dir:HEX`)."""
        return self.created_by.replace(FILES, files, 1)


def vertices(
    plan: Plan,
    stage: Stage,
    base: Mapping[str, Any],
    author: str = "",
    *,
    inherited: Mapping[str, str] | None = None,
    style: Style = Style.CLASSIC,
) -> tuple[Vertex, ...]:
    """The steps of a stage in order, the base's triggers first. Raises DockerfileError.

    base: inner config of the image or stage that it stands on, {} for scratch. inherited: args of
    the last vertex of the stage that it stands on; BuildKit keeps them, the classic builder not.
    """
    line = stage.from_.first_line
    triggers = [read_trigger(text, line) for text in base.get("OnBuild") or ()]
    steps = _Steps(plan, stage, base, author, style)
    if inherited and style is Style.BUILDKIT:
        steps.args = dict(inherited)
    told = [steps.take(trigger, trigger=True) for trigger in triggers]
    return (*told, *(steps.take(step) for step in stage.steps))


class _Steps:
    """A stage being told step by step: the config and the arguments so far."""

    def __init__(
        self, plan: Plan, stage: Stage, base: Mapping[str, Any], author: str, style: Style
    ) -> None:
        self._plan = plan
        self._stage = stage
        self._style = style
        self._config = configs.of_base(base)
        self._author = author
        self._cmd_set = False
        self._asked: set[str] = set()  # names of ARGs, those without a value too
        self._later: dict[str, str] = {}  # ARGs that came after an ENV of their name
        self._entries: Any = None  # what `_known` was made from
        self._known: dict[str, str] = {}
        self.args: dict[str, str] = {}  # replaced, never changed: vertices keep it

    def take(self, step: Instruction, *, trigger: bool = False) -> Vertex:
        """One more step."""
        try:
            by = Expander({}, self._plan.escape)
            vertex = self._take(step, by)
            undefined = tuple(sorted(by.unknown - self._asked))
            return replace(vertex, trigger=trigger, undefined=undefined)
        except DockerfileError as error:
            if isinstance(step, Expose) and self._style is Style.BUILDKIT:
                reason = error.reason[:1].lower() + error.reason[1:]
                raise DockerfileError(reason, step.first_line) from error
            raise error.at(step.first_line) from error

    def _variables(self) -> Mapping[str, str]:
        """What a step may refer to: an ENV is stronger than an ARG of its name.

        With BuildKit it's the later one of both.
        """
        return ChainMap(self._environment(), self.args)

    def _environment(self) -> dict[str, str]:
        """The variables of the config; made again only after an ENV or ARG."""
        entries = self._config.get("Env")
        if entries is not self._entries:
            self._entries = entries
            self._known = {**configs.variables(self._config), **self._later}
        return self._known

    def _take(self, step: Instruction, by: Expander) -> Vertex:
        note = self._note(step)
        by = replace(by, variables=self._variables())
        step = self._declare(step, by) if isinstance(step, Arg) else expand_by(by, step)
        if isinstance(step, Run):
            return self._run(step)
        self._config = configs.apply(self._config, step, cmd_stays=self._cmd_set)
        if isinstance(step, Copy | Add):
            return self._copy(step)
        if isinstance(step, Maintainer):
            self._author = step.name
        if isinstance(step, Env):
            self._know(step)
        if isinstance(step, Cmd):
            self._cmd_set = bool(step.command.words)
            if self._style is Style.BUILDKIT:
                self._config = {**self._config, "ArgsEscaped": True}
        told = history.other(self._style, step, self._config)
        return replace(self._vertex(step, self._plain(step), told), note=note)

    def _know(self, env: Env) -> None:
        """Variables that are new, or have new values."""
        for name, value in env.pairs:
            self._later.pop(name, None)
            self._known[name] = value
        self._entries = self._config["Env"]

    def _plain(self, step: Instruction) -> Operation:
        workdir = self._config.get("WorkingDir") or "/"
        if isinstance(step, Workdir) and workdir != "/":
            # the classic builder leaves the folder to root
            user = self._config.get("User") or ""
            return WorkdirOp(workdir, "" if self._style is Style.CLASSIC else user)
        return ConfigOp()

    def _note(self, step: Instruction) -> str:
        test = (self._config.get("Healthcheck") or {}).get("Test") or ["NONE"]
        if isinstance(step, Healthcheck) and test[0] != "NONE":
            return f"Note: overriding previous HEALTHCHECK: [{' '.join(test)}]\n"
        return ""

    def _vertex(self, step: Instruction, op: Operation, told: str) -> Vertex:
        return Vertex(step, op, told, self._config, self._author, args=self.args)

    def _declare(self, arg: Arg, by: Expander) -> Arg:
        """Put arguments in force; what is told of them is the default, or BuildKit's the value."""
        told: list[tuple[str, str | None]] = []
        for pattern, default in arg.pairs:
            if self._style is Style.BUILDKIT:  # one may refer to those before it
                by = replace(by, variables=self._variables())
            name = by.word(pattern)
            value = self._plan.args.get(name)
            if default is not None:
                default = by.word(default)
            if value is None:
                value = self._plan.meta.get(name) if default is None else default
            if value is not None:
                self.args = {**self.args, name: value}
                if self._style is Style.BUILDKIT and name in self._environment():
                    self._later[name] = value
                    self._entries = None
            elif self._style is Style.CLASSIC:
                self.args = {each: kept for each, kept in self.args.items() if each != name}
            self._asked.add(name)
            told.append((name, default if self._style is Style.CLASSIC else value))
        return replace(arg, pairs=tuple(told))

    def _arguments(self) -> list[str]:
        """Arguments as a RUN's history tells them."""
        environment = self._environment()
        if self._style is Style.BUILDKIT:
            return [f"{name}={environment.get(name, value)}" for name, value in self.args.items()]
        return sorted(
            f"{name}={value}" for name, value in self.args.items() if name not in environment
        )

    def _run(self, run: Run) -> Vertex:
        argv, script = lowering.program(run.command, self._config)
        if not argv:
            raise DockerfileError("no command specified")
        if run.security == "insecure":
            raise DockerfileError(
                "granting entitlement security.insecure is not allowed by build daemon "
                "configuration"
            )
        environment = self._environment()
        own = {name: value for name, value in self.args.items() if name not in environment}
        key_env = {**environment, **dict(sorted(own.items()))}
        workdir = self._config.get("WorkingDir") or "/"
        mounts = lowering.mounts(run.mounts, workdir, self._source)
        env = {**lowering.agent(mounts), **proxies(self._plan.args), **key_env}
        op = RunOp(
            argv=argv,
            env=tuple(f"{name}={value}" for name, value in env.items()),
            key_env=tuple(f"{name}={value}" for name, value in key_env.items()),
            workdir=workdir,
            user=self._config.get("User") or "",
            mounts=mounts,
            network=run.network,
            security=run.security,
            script=script,
        )
        return self._vertex(run, op, history.run(self._style, argv, self._arguments()))

    def _copy(self, copy: Copy | Add) -> Vertex:
        workdir = self._config.get("WorkingDir") or "/"
        op = lowering.files(copy, workdir, self._source)
        return self._vertex(copy, op, history.files(self._style, copy, self._config))

    def _source(self, word: str) -> Any:
        return self._plan.source(word, self._stage.index)
