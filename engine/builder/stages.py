"""A Dockerfile's stages: what each stands on, and which of them a target needs."""

from collections.abc import Iterable, Mapping, Sequence

from engine.builder import mounts
from engine.builder.arguments import automatic, is_known
from engine.builder.errors import DockerfileError
from engine.builder.instructions import Arg, Copy, From, Label, Run, Step
from engine.builder.parser import Dockerfile
from engine.builder.reading import read
from engine.builder.text import quote
from engine.builder.words import expand
from engine.errors import BadRequest
from engine.registry.platforms import Platform, local
from engine.values import dataclass, field, replace


@dataclass(frozen=True)
class ImageRef:
    """An image by name, as it was written (expanded, not normalized)."""

    name: str


@dataclass(frozen=True)
class StageRef:
    """An earlier stage, by its place in the Dockerfile from 0."""

    index: int


@dataclass(frozen=True)
class Scratch:
    """No image at all."""


@dataclass(frozen=True)
class ContextRef:
    """The build context."""


Base = ImageRef | StageRef | Scratch
Source = ImageRef | StageRef | ContextRef | Scratch
SCRATCH = "scratch"


@dataclass(frozen=True)
class Stage:
    """One stage. platform: of its FROM (None: the target's). steps are unexpanded, in order.

    after: other stages whose files it copies or mounts, and the one it stands on, by index.
    """

    index: int
    name: str
    base: Base
    platform: Platform | None
    from_: From
    steps: tuple[Step, ...]
    after: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The name, or `stage-N`."""
        return self.name or f"stage-{self.index}"


@dataclass(frozen=True)
class Plan:
    """What a build has to do: needed stages in order, the last one is the target.

    stages holds all of them by index: a trigger of a base image may name any earlier one.
    args: given build arguments. meta: values of the ARGs before the first FROM, which declared
    holds, and of those that are always there. unconsumed: given and nowhere declared.
    """

    stages: tuple[Stage, ...]
    needed: tuple[int, ...]
    target: int
    build_platform: Platform
    target_platform: Platform
    escape: str = "\\"
    args: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    declared: tuple[Arg, ...] = ()
    unconsumed: tuple[str, ...] = ()

    def source(self, word: str, index: int) -> Source:
        """What `--from=WORD` means in a stage. Raises DockerfileError without a place."""
        return _source(self.stages, word, index)


def plan(
    dockerfile: Dockerfile,
    *,
    args: Mapping[str, str | None] | None = None,
    target: str = "",
    platform: Platform | None = None,
    build_platform: Platform | None = None,
    labels: Mapping[str, str] | None = None,
) -> Plan:
    """Plan a build. Raises DockerfileError.

    args: build arguments; None is one without a value, which is as good as absent. labels: what
    the target's image gets on top.
    """
    given = {name: value for name, value in (args or {}).items() if value is not None}
    here = build_platform or local()
    declared, blocks = _blocks(dockerfile)
    wanted = _target(blocks, target)
    always = automatic(here, platform or here, target or blocks[-1][0].name)
    meta = _meta(declared, given, always, dockerfile.escape)
    if labels:
        _label(blocks[wanted], labels)
    stages: list[Stage] = []
    for from_, steps in blocks:
        stages.append(_stage(from_, steps, stages, meta, dockerfile.escape))
    whole = tuple(replace(stage, after=_after(stages, stage)) for stage in stages)
    return Plan(
        stages=whole,
        needed=_needed(whole, wanted),
        target=wanted,
        build_platform=here,
        target_platform=platform or here,
        escape=dockerfile.escape,
        args=given,
        meta=meta,
        declared=declared,
        unconsumed=_unconsumed(args or {}, declared, whole),
    )


_Block = tuple[From, list[Step]]


def _blocks(dockerfile: Dockerfile) -> tuple[tuple[Arg, ...], list[_Block]]:
    """The ARGs before the first FROM, and each FROM with what follows it."""
    declared: list[Arg] = []
    blocks: list[_Block] = []
    for node in dockerfile.nodes:
        instruction = read(node)
        if isinstance(instruction, From):
            blocks.append((instruction, []))
        elif blocks:
            blocks[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            declared.append(instruction)
        else:
            raise DockerfileError("no build stage in current context", instruction.first_line)
    if not blocks:
        raise DockerfileError("dockerfile contains no stages to build")
    return tuple(declared), blocks


def _target(blocks: Sequence[_Block], target: str) -> int:
    if not target:
        return len(blocks) - 1
    for index, (from_, _) in enumerate(blocks):
        if from_.name == target.lower():
            return index
    raise DockerfileError(f"target stage {quote(target)} could not be found")


def _meta(
    declared: Iterable[Arg], given: Mapping[str, str], always: Mapping[str, str], escape: str
) -> dict[str, str]:
    meta = {**always, **{name: given[name] for name in always if name in given}}
    for arg in declared:
        try:
            for name, default in arg.pairs:
                if name in given:
                    meta[name] = given[name]
                elif default is not None:
                    meta[name] = expand(default, meta, escape)
        except DockerfileError as error:
            raise error.at(arg.first_line) from error
    return meta


def _label(block: _Block, labels: Mapping[str, str]) -> None:
    from_, steps = block
    for name, value in sorted(labels.items()):
        text = f"LABEL {name}={value}"
        line = from_.first_line
        steps.append(Label(text, line, line, pairs=((name, value),), literal=True))


def _stage(
    from_: From,
    steps: Sequence[Step],
    earlier: Sequence[Stage],
    meta: Mapping[str, str],
    escape: str,
) -> Stage:
    try:
        name = expand(from_.base, meta, escape)
        if not name:
            raise DockerfileError(f"base name ({from_.base}) should not be blank")
        platform = _platform(from_.platform, meta, escape)
    except DockerfileError as error:
        raise error.at(from_.first_line) from error
    return Stage(len(earlier), from_.name, _base(name, earlier), platform, from_, tuple(steps))


def _base(name: str, earlier: Sequence[Stage]) -> Base:
    found = _named(earlier, name)
    if found is not None:
        return StageRef(found)
    return Scratch() if name == SCRATCH else ImageRef(name)


def _platform(text: str, meta: Mapping[str, str], escape: str) -> Platform | None:
    if not text:
        return None
    expanded = expand(text, meta, escape)
    if not expanded:
        raise DockerfileError(f"empty platform value from expression {text}")
    try:
        return Platform.parse(expanded)
    except BadRequest as error:
        raise DockerfileError(f"failed to parse platform {text}: {error.message}") from error


def _named(stages: Sequence[Stage], name: str) -> int | None:
    """The last one with a name."""
    for stage in reversed(stages):
        if stage.name and stage.name == name.lower():
            return stage.index
    return None


def _source(stages: Sequence[Stage], word: str, index: int) -> Source:
    if word.isascii() and word.isdigit():
        number = int(word[:9])
        if number == index:
            raise DockerfileError(f"invalid from flag value {word}: refers to current build stage")
        if number > index:
            raise DockerfileError(f"invalid from flag value {word}: index out of bounds")
        return StageRef(number)
    if (found := _named(stages[:index], word)) is not None:
        return StageRef(found)
    later = _named(stages, word)
    if later == index:
        raise DockerfileError(f"circular dependency detected on stage: {stages[index].title}")
    if later is not None:
        raise DockerfileError(
            f"cannot copy from stage {quote(word)}, it needs to be defined before current stage "
            f"{quote(stages[index].title)}"
        )
    return Scratch() if word == SCRATCH else ImageRef(word)


def _after(stages: Sequence[Stage], stage: Stage) -> tuple[int, ...]:
    found = {stage.base.index} if isinstance(stage.base, StageRef) else set()
    for step in stage.steps:
        try:
            for word in _froms(step):
                source = _source(stages, word, stage.index)
                if isinstance(source, StageRef):
                    found.add(source.index)
        except DockerfileError as error:
            raise error.at(step.first_line) from error
    return tuple(sorted(found))


def _froms(step: Step) -> tuple[str, ...]:
    """The `from` of a step's files."""
    if isinstance(step, Copy):
        return (step.from_,) if step.from_ else ()
    if isinstance(step, Run):
        return tuple(source for text in step.mount_texts if (source := mounts.source_of(text)))
    return ()


def _needed(stages: Sequence[Stage], target: int) -> tuple[int, ...]:
    found = {target}
    for index in range(target, -1, -1):  # a stage needs earlier ones alone
        if index in found:
            found.update(stages[index].after)
    return tuple(sorted(found))


def _unconsumed(
    args: Mapping[str, str | None], declared: Iterable[Arg], stages: Iterable[Stage]
) -> tuple[str, ...]:
    steps = [*declared, *(step for stage in stages for step in stage.steps)]
    known = {name for step in steps if isinstance(step, Arg) for name, _ in step.pairs}
    return tuple(sorted(name for name in args if name not in known and not is_known(name)))
