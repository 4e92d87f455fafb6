"""Docker's published checks of Dockerfiles."""

from __future__ import annotations

from typing import Any

import pytest

from engine.builder.errors import DockerfileError
from engine.builder.ignore import Matcher
from engine.builder.lint import base_platform, check, violation
from engine.builder.parser import parse
from engine.builder.rules import Finding, Options, Rule
from engine.builder.stages import plan
from engine.registry.platforms import Platform

HERE = Platform("linux", "amd64")
EVERYTHING = Options(all_experimental=True)


def checked(text: str, args: dict[str, str] | None = None, **options: Any) -> tuple[Finding, ...]:
    dockerfile = parse(text)
    planned = plan(dockerfile, args=args, build_platform=HERE)
    return check(dockerfile, planned, **{"options": EVERYTHING, **options})


def told(text: str, **options: Any) -> list[str]:
    return [
        f"{finding.first_line} {finding.rule}: {finding.message}"
        for finding in checked(text, **options)
    ]


CASES = [
    ("FROM a\nRUN b\nCMD [\"c\"]", []),
    ("FROM a AS Base", ["1 StageNameCasing: Stage name 'Base' should be lowercase"]),
    ("FROM a as base", ["1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"]),
    ("from a AS base", ["1 FromAsCasing: 'AS' and 'from' keywords' casing do not match"]),
    ("FROM a\nRUN a \\\n\n  b", ["4 NoEmptyContinuation: Empty continuation line"]),
    (
        "FROM a\nRun b\nRUN c",
        ["2 ConsistentInstructionCasing: Command 'Run' should match the case of the command "
         "majority (uppercase)"],
    ),
    (
        "arg x=1\nFROM a\nrun b\nrun c",
        ["2 ConsistentInstructionCasing: Command 'FROM' should match the case of the command "
         "majority (lowercase)"],
    ),
    (
        "FROM a AS x\nFROM b AS x",
        ['2 DuplicateStageName: Duplicate stage name "x", stage names should be unique'],
    ),
    (
        "FROM a AS scratch",
        ['1 ReservedStageName: Stage name should not use the same name as reserved stage '
         '"scratch"'],
    ),
    (
        "FROM a\nCMD b\nENTRYPOINT c",
        [f"{line} JSONArgsRecommended: JSON arguments recommended for {word} to prevent "
         "unintended behavior related to OS signals" for line, word in ((2, "CMD"),
         (3, "ENTRYPOINT"))],
    ),
    ("FROM a\nSHELL [\"/bin/bash\", \"-c\"]\nCMD b", []),
    (
        "FROM a\nMAINTAINER me",
        ["2 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label"],
    ),
    (
        "ARG VERSION=1\nFROM a:${VERSON:-1}",
        ["2 UndefinedArgInFrom: FROM argument 'VERSON' is not declared (did you mean VERSION?)"],
    ),
    ("FROM --platform=$BUILDPLATFORM a", []),
    (
        "FROM a\nWORKDIR x\nWORKDIR y",
        ['2 WorkdirRelativePath: Relative workdir "x" can have unexpected results if the base '
         "image changes"],
    ),
    ("FROM a AS b\nWORKDIR /x\nFROM b\nWORKDIR y", []),
    (
        "FROM scratch\nENV FOOO=1\nCOPY $FOO /",
        ["3 UndefinedVar: Usage of undefined variable '$FOO' (did you mean $FOOO?)"],
    ),
    ("FROM a\nCOPY $FOO /", []),
    ("FROM scratch\nARG FOO\nCOPY x$FOO ${NOT:-a} /d/",
     ["3 UndefinedVar: Usage of undefined variable '$NOT'"]),
    (
        "FROM a\nCMD [\"a\"]\nCMD [\"b\"]\nHEALTHCHECK NONE\nHEALTHCHECK NONE",
        [f"{line} MultipleInstructionsDisallowed: Multiple {word} instructions should not be "
         "used in the same stage because only the last one will be used" for line, word in
         ((2, "CMD"), (4, "HEALTHCHECK"))],
    ),
    (
        "FROM a\nENV b c\nLABEL d e",
        [f'{line} LegacyKeyValueFormat: "{word} key=value" should be used instead of legacy '
         f'"{word} key value" format' for line, word in ((2, "ENV"), (3, "LABEL"))],
    ),
    (
        "FROM --platform=$TARGETPLATFORM a",
        ["1 RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is "
         "redundant as this is the default behavior"],
    ),
    (
        "FROM --platform=linux/arm64 a\nFROM --platform=linux/arm64 a AS x-arm64",
        ['1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value '
         '"linux/arm64"'],
    ),
    (
        "FROM a\nARG API_KEY\nENV DB_PASSWORD=x PUBLIC_KEY=y MONKEY=z TOKEN_FILE=f",
        [f"{line} SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data "
         f'({word} "{name}")' for line, word, name in ((2, "ARG", "API_KEY"),
         (3, "ENV", "DB_PASSWORD"))],
    ),
    (
        "# VERSION of the base\nARG VERSION=1\n# something\nFROM a AS b\n# more\n\nFROM c\n"
        "# x y\nARG Y Z",
        ["4 InvalidDefinitionDescription: Comment for FROM should follow the format: "
         "`# b <description>`",
         "9 InvalidDefinitionDescription: Comment for ARG should follow the format: "
         "`# <arg_key> <description>`"],
    ),
    (
        "FROM a\nEXPOSE 80/TcP 127.0.0.1:90:90",
        ["2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
         "mapping, found '127.0.0.1:90:90'",
         "2 ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be "
         "lowercase"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_rules(text: str, expected: list[str]) -> None:
    assert told(text) == expected


def test_a_default_that_names_no_image() -> None:
    text = "ARG TAG\nFROM busybox:${TAG}\nFROM ${TAG:-alpine}"
    assert told(text, args={"TAG": "1"}) == [
        "2 InvalidDefaultArgInFrom: Default value for ARG busybox:${TAG} results in empty or "
        "invalid base image name"
    ]


def test_the_base_s_variables_are_known_when_it_is_given() -> None:
    text = "FROM a\nCOPY $THERE $MISSING /d/"
    base = {"Env": ["THERE=1"]}
    assert told(text, bases={0: base}) == ["2 UndefinedVar: Usage of undefined variable '$MISSING'"]
    assert told(f"FROM b AS a\n{text}", bases={0: base}) == [
        "3 UndefinedVar: Usage of undefined variable '$MISSING'"
    ]


def test_files_that_the_context_lacks() -> None:
    text = "FROM a\nCOPY x/y /\nADD ./z https://h/x <<E /d/\nE\nCOPY --from=c x /\n"
    assert told(text, ignored=Matcher(["x", "z"])) == [
        '2 CopyIgnoredFile: Attempting to Copy file "x/y" that is excluded by .dockerignore',
        '3 CopyIgnoredFile: Attempting to Add file "./z" that is excluded by .dockerignore',
    ]
    assert told(text, ignored=Matcher(["x", "z", "!x/a"])) == []


def test_directive() -> None:
    text = "# check=skip=StageNameCasing,FromAsCasing;error=true\nFROM a as B\nMAINTAINER x"
    assert [finding.rule for finding in checked(text, options=None)] == [Rule.MAINTAINER_DEPRECATED]
    assert checked("# check=skip=all\nFROM a as B", options=None) == ()
    described = "# experimental=x\n# no\nFROM a AS b"
    assert checked(described, options=None) == ()
    for words in ("all", "CopyIgnoredFile,InvalidDefinitionDescription"):
        (finding,) = checked(f"# check=experimental={words}\n{described}", options=None)
        assert finding.rule is Rule.INVALID_DEFINITION_DESCRIPTION


def test_options() -> None:
    assert Options.parse(" skip=A, B ; error=1 ") == Options(frozenset("AB"), fails=True)
    assert Options.parse("") == Options()
    for text, reason in (
        ("skip", 'invalid check option "skip"'),
        ("x=y", 'invalid check option "x"'),
        ("error=x", 'failed to parse check option "error=x": strconv.ParseBool: parsing "x": '
         "invalid syntax"),
    ):  # fmt: skip
        with pytest.raises(DockerfileError) as caught:
            Options.parse(text)
        assert caught.value.reason == reason


def test_violation() -> None:
    found = checked("FROM a as B\nFROM c as D", options=Options())
    assert violation(found) == "lint violation found for rules: StageNameCasing, FromAsCasing"


def test_platform_of_the_base() -> None:
    (stage,) = plan(parse("FROM a"), build_platform=HERE).stages
    (finding,) = base_platform(stage, "a", HERE, Platform("linux", "arm64"))
    assert finding.message == (
        'Base image a was pulled with platform "linux/arm64", expected "linux/amd64" for '
        "current build"
    )
    assert list(base_platform(stage, "a", HERE, HERE)) == []


def test_every_rule_is_described() -> None:
    assert all(rule.description and rule.url for rule in Rule)
    pages = "https://docs.docker.com/go/dockerfile/rule"
    assert Rule.JSON_ARGS_RECOMMENDED.url == f"{pages}/json-args-recommended/"
    assert Rule.SECRETS_USED_IN_ARG_OR_ENV.url == f"{pages}/secrets-used-in-arg-or-env/"
