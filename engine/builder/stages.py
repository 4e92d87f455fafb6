"""A Dockerfile's stages: what each stands on, and which of them a target needs."""

from engine.builder.instructions import Arg, From, Step
from engine.registry.platforms import Platform
from engine.values import dataclass, field


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
Source = ImageRef | StageRef | ContextRef


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


@dataclass(frozen=True)
class Plan:
    """What a build has to do: needed stages in order, the last one is the target.

    stages holds all of them by index: a trigger of a base image may name any earlier one.
    meta: values of the ARGs before the first FROM; declared: those instructions.
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
