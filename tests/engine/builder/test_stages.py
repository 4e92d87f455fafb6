"""Which stages a build has, what they stand on, and which of them a target needs."""

from __future__ import annotations

import pytest

from engine.builder.errors import DockerfileError
from engine.builder.instructions import Label
from engine.builder.parser import parse
from engine.builder.stages import ImageRef, Plan, Scratch, StageRef, plan
from engine.registry.platforms import Platform

HERE = Platform("linux", "amd64")


def planned(text: str, target: str = "", **args: str | None) -> Plan:
    return plan(parse(text), args=args, target=target, build_platform=HERE)


def test_bases() -> None:
    text = """
    ARG VERSION=1
    ARG BASE=busybox:$VERSION
    FROM ${BASE} AS one
    FROM One
    FROM scratch AS three
    FROM --platform=linux/arm64 ${REGISTRY:-localhost}/x
    """
    stages = planned(text).stages
    assert [stage.base for stage in stages] == [
        ImageRef("busybox:1"), StageRef(0), Scratch(), ImageRef("localhost/x"),
    ]  # fmt: skip
    assert [stage.title for stage in stages] == ["one", "stage-1", "three", "stage-3"]
    assert stages[3].platform == Platform("linux", "arm64")
    assert planned(text, BASE="alpine").stages[0].base == ImageRef("alpine")
    assert planned(text, BASE=None).stages[0].base == ImageRef("busybox:1")
    assert planned(text, VERSION="2").stages[0].base == ImageRef("busybox:2")


def test_the_last_stage_of_a_name_is_meant() -> None:
    stages = planned("FROM a AS x\nFROM b AS x\nFROM x").stages
    assert stages[2].base == StageRef(1)


GRAPH = """
FROM a AS base
FROM base AS build
FROM b AS docs
FROM scratch AS assets
COPY --from=docs /x /
RUN --mount=type=bind,from=build,target=/b --mount=type=cache,target=/c true
FROM base
COPY --from=3 /y /
COPY --from=alpine /z /
"""


@pytest.mark.parametrize(
    ("target", "needed"),
    [
        ("", (0, 1, 2, 3, 4)),
        ("base", (0,)),
        ("BUILD", (0, 1)),
        ("docs", (2,)),
        ("assets", (0, 1, 2, 3)),
    ],
)
def test_only_needed_stages_are_built(target: str, needed: tuple[int, ...]) -> None:
    found = planned(GRAPH, target)
    assert (found.needed, found.target) == (needed, needed[-1])


def test_unused_stages_are_left_out() -> None:
    assert planned("FROM a AS x\nFROM b AS y\nFROM x").needed == (0, 2)


def test_automatic_arguments() -> None:
    text = "FROM --platform=$BUILDPLATFORM b-$TARGETARCH-$TARGETVARIANT-$TARGETOS-$TARGETSTAGE"
    found = plan(parse(text), platform=Platform("linux", "arm", "v7"), build_platform=HERE)
    assert found.stages[0].base == ImageRef("b-arm-v7-linux-default")
    assert found.stages[0].platform == HERE
    assert found.meta["BUILDPLATFORM"] == "linux/amd64"
    assert found.meta["TARGETPLATFORM"] == "linux/arm/v7"
    assert found.target_platform == Platform("linux", "arm", "v7")


def test_labels_come_last_and_stay_as_they_are() -> None:
    found = plan(parse("FROM a AS x\nCMD b\nFROM c"), target="x", labels={"z": "$z", "a": "b"})
    labels = [step for step in found.stages[0].steps if isinstance(step, Label)]
    assert [(label.text, label.literal) for label in labels] == [
        ("LABEL a=b", True), ("LABEL z=$z", True),
    ]  # fmt: skip
    assert found.stages[1].steps == ()


def test_arguments_that_nothing_declares_are_told() -> None:
    text = "ARG A\nFROM a\nARG B=1\nFROM b\nARG C"
    args: dict[str, str | None] = dict.fromkeys("ZABCY", "1")
    args |= {"HTTP_PROXY": "p", "no_proxy": "q", "TARGETARCH": "x", "BUILDKIT_X": "1", "U": None}
    assert plan(parse(text), args=args).unconsumed == ("U", "Y", "Z")


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("RUN a", "no build stage in current context", 1),
        ("ARG a", "dockerfile contains no stages to build", 0),
        ("FROM ${X}", "base name (${X}) should not be blank", 1),
        ("FROM ${X", 'failed to process "${X": unsupported modifier (\ufffd) in substitution', 1),
        ("FROM --platform=$X a", "empty platform value from expression $X", 1),
        (
            "FROM --platform=a/b/c/d x",
            'failed to parse platform a/b/c/d: "a/b/c/d" is an invalid OS or architecture: '
            "invalid argument",
            1,
        ),
        ("FROM a AS x\nCOPY --from=x b c", "circular dependency detected on stage: x", 2),
        (
            "FROM a AS x\n\nCOPY --from=y b c\nFROM d AS y",
            'cannot copy from stage "y", it needs to be defined before current stage "x"',
            3,
        ),
        ("FROM a\nCOPY --from=1 b c", "invalid from flag value 1: index out of bounds", 2),
        (
            "FROM a\nCOPY --from=0 b c",
            "invalid from flag value 0: refers to current build stage",
            2,
        ),
        ("FROM a\nFOO", "dockerfile parse error on line 2: unknown instruction: FOO "
         "(did you mean FROM?)", 2),
        ("ARG x=${y?no}\nFROM a", 'failed to process "${y?no}": y: no', 1),
    ],
)  # fmt: skip
def test_errors(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        planned(text)
    assert (caught.value.message, caught.value.line) == (message, line)


def test_unknown_target() -> None:
    with pytest.raises(DockerfileError, match='target stage "x" could not be found'):
        planned("FROM a AS b", "x")


def test_sources_of_triggers() -> None:
    found = planned("FROM a AS x\nFROM b AS y")
    assert found.source("X", 1) == StageRef(0)
    assert found.source("0", 1) == StageRef(0)
    assert found.source("alpine", 1) == ImageRef("alpine")
    assert found.source("scratch", 1) == Scratch()
